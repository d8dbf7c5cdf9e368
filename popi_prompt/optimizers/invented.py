"""People for demonstrations that show no user: from the shipped bank, or invented by the proposer.

Which of the bank's opposite tastes are like those of the users, and which way round, no statement
tells: a text may serve a taste that it does not name. Rehearsals with users tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from popi_prompt.bank import STATEMENTS, Invented, bank_people
from popi_prompt.errors import ModelError
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.models.model import Sampling
from popi_prompt.optimizers.demonstrations import Pool
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.proposals import invention_request
from popi_prompt.schema import Preference, User

Bank = Mapping[str, Mapping[str, Sequence[Invented]]]

_ASKED = 2  # people that the proposer is asked for, where the bank has none
_ROOM = Sampling(max_tokens=600, temperature=0.7)
_REQUEST = re.compile(
    r"^[\W\d]*Request\W*:\s*(.+?)^[\W\d]*Liked\W*:\s*(.+?)^[\W\d]*Disliked\W*:\s*(.+?)(?=^[\W\d]*Request\W*:|\Z)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def invented_people(task: Task, texts: Sequence[str]) -> list[Pool]:
    """People under the texts, once for every dimension of taste, and the other way round.

    The first two texts, those that serve the users best, get the two poles. Others get the people
    of their own statement, or whom the proposer invents; without any they are not shown.
    """
    bank = _allowed(task)
    others = {text: _of_its_pole(bank, text) or _asked(task, text) for text in texts[2:]}
    found = []
    for poles in bank.values():
        for people in (list(poles.values()), list(poles.values())[::-1]):
            taste: Pool = {**dict(zip(texts[:2], people, strict=False)), **others}
            found.append(_each_once(taste))
    return found


def _each_once(taste: Pool) -> Pool:
    """Nobody under two texts, no text without people."""
    used: set[str] = set()
    kept: dict[str, Sequence[User]] = {}
    for text, people in taste.items():
        new = [user for user in people if user.user_id not in used]
        used.update(user.user_id for user in new)
        if new:
            kept[text] = new
    return kept


def _allowed(task: Task) -> Bank:
    """The bank without those who happen to speak like a user."""
    return {
        dimension: {
            pole: [user for user in people if task.guard.allows_user(user)]
            for pole, people in poles.items()
        }
        for dimension, poles in bank_people().items()
    }


def _of_its_pole(bank: Bank, text: str) -> list[User]:
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
