"""People for demonstrations that show no user: from the shipped bank, or invented by the proposer.

Bank people have pairs, so that the reward says which summary serves which of two opposite tastes,
as it does for users. Which tastes are like those of the users is found in rehearsals with users.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np

from popi_prompt.bank import STATEMENTS, Invented, bank_people
from popi_prompt.errors import ModelError, OptimizationError
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.models.model import Sampling
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.prompts import Conditioning, invention_request
from popi_prompt.schema import Preference, User

BySummary = dict[str, list[User]]
Poles = Mapping[str, Sequence[Invented]]

_ASKED = 2  # people that the proposer is asked for, where the bank has none
_ROOM = Sampling(max_tokens=600, temperature=0.7)
_REQUEST = re.compile(
    r"^\W*Request\W*:\s*(.+?)^\W*Liked\W*:\s*(.+?)^\W*Disliked\W*:\s*(.+?)(?=^\W*Request\W*:|\Z)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def invented_people(
    task: Task, conditioning: Conditioning, texts: Sequence[str]
) -> list[BySummary]:
    """People under the texts that serve them, once for every dimension of taste.

    The last one holds who belongs to texts that serve none of them best: the people of a bank
    statement's own pole, else whom the proposer invents.
    """
    bank = _allowed(task)
    table = RewardTable(task, conditioning)
    everybody = [user for poles in bank.values() for pole in poles.values() for user in pole]
    try:
        table.fill(everybody, texts, "scoring invented people")
        found = [_opposed(table, poles, texts) for poles in bank.values()]
    except OptimizationError:  # a scorer of the user's own may know their users only
        found = []
    rest = [text for text in texts if not any(each.get(text) for each in found)]
    own = {text: _of_its_pole(bank, text) or _asked(task, text) for text in rest}
    return [each for each in (*found, {text: own[text] for text in rest if own[text]}) if each]


def _allowed(task: Task) -> dict[str, dict[str, tuple[Invented, ...]]]:
    """The bank without those who happen to speak like a user."""
    return {
        dimension: {
            pole: tuple(user for user in people if task.guard.allows_user(user))
            for pole, people in poles.items()
        }
        for dimension, poles in bank_people().items()
    }


def _opposed(table: RewardTable, poles: Poles, texts: Sequence[str]) -> BySummary:
    """The poles of a dimension under different texts, so that together they are served best.

    What counts is the contrast: a text that suits everybody would get both poles otherwise.
    Empty if a person could not be scored.
    """
    rewards = {
        (pole, text): float(np.mean([table.rewards(user, [text]) for user in people]))
        for pole, people in poles.items()
        for text in texts
        if people
    }
    names = list(dict.fromkeys(pole for pole, _ in rewards))
    ways = [
        list(zip(chosen, served, strict=True))
        for count in [min(len(names), len(texts))]
        for chosen in permutations(names, count)
        for served in permutations(texts, count)
    ]
    scored = [(sum(rewards[pair] for pair in way), way) for way in ways]
    best, way = max(scored, key=lambda each: each[0], default=(-np.inf, []))
    return {text: list(poles[pole]) for pole, text in way} if np.isfinite(best) else {}


def _of_its_pole(bank: Mapping[str, Poles], text: str) -> list[User]:
    return [
        user
        for statement in STATEMENTS
        if statement.text == text
        for user in bank[statement.dimension][statement.pole]
    ]


def _asked(task: Task, text: str) -> list[User]:
    """Whom the proposer invents when told the text, and nothing of any user."""
    task.observer(PhaseStarted("inventing people", _ASKED))
    people: list[User] = []
    for i in range(_ASKED):
        sampling = Sampling(_ROOM.max_tokens, _ROOM.temperature, task.seed + i)
        try:
            answer = task.door.chat("proposer", invention_request(text), sampling)
        except ModelError:
            continue
        finally:
            task.observer(Advanced())
        signals = parse_invention(answer.text)
        person = Invented(f"invented-{text}-{i}", signals)
        if answer.finish == "stop" and len(signals) > 1 and task.guard.allows_user(person):
            people.append(person)
    return people


def parse_invention(text: str) -> tuple[Preference, ...]:
    """Requests with both answers; those that are incomplete or alike are left out."""
    found = (
        [" ".join(part.split()).strip("* ") for part in each] for each in _REQUEST.findall(text)
    )
    return tuple(
        Preference(request, liked, disliked)
        for request, liked, disliked in found
        if request and liked and disliked and liked != disliked
    )
