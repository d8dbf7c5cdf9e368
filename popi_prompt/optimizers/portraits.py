"""Portraits: statements that are told to whom they pay, as what people chose says.

1. The inference model weighs what training users chose under each statement of the bank. The
   dimensions stay in which a user's acts agree best, that is in which people are seen to differ.
2. Their statements are scored on the same users: what evidence is worth in reward, see `worth`.
3. Portraits of one, two and three statements are scored on validation users, and the untuned
   program. Dimensions of which next to no training user would be told anything are left out.

Nothing is written by a model, nobody is shown: a program holds statements of ours and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from popi_prompt.bank import BANK, Statement
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import ModelError, OptimizationError, UsageError
from popi_prompt.evaluation import in_parallel
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.evidence import acts, evidence_of_acts
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.calibration import FEWEST
from popi_prompt.optimizers.couples import in_couples
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.shortlist import Entry, best_of
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.optimizers.worth import Sight, fitted, seen
from popi_prompt.portrait import Line, Portrait, levels
from popi_prompt.prompts import TELLING
from popi_prompt.schema import User

_DIMENSIONS = 6  # whose statements are scored
_USERS = 24  # at least, if there are so many, to say what evidence is worth
_RARE = 1 / 20  # of training users; what so few are told is not worth weighing for everybody
_MOST = (2, 1, 3)  # statements of a summary, in the order in which they are tried


class PortraitOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "portrait"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps.

        Raises `UsageError` where the inference model gives no log-probabilities.
        """
        task.keep(UNTUNED_CANDIDATE, None)
        if not task.door.scores_responses("inference"):
            raise UsageError(
                f"inference model {task.door.names['inference']!r} gives no log-probabilities of "
                "given answers, by which portraits are made; choose another --optimizer"
            )
        lines, people = _lines(task)
        model = task.door.names["inference"]
        portraits = [
            Portrait(model, lines, most).without_the_rare(people, _RARE) for most in _MOST if lines
        ]
        return best_of(
            task,
            task.validation(),
            [
                Entry(
                    Candidate(conditioning=TELLING, menu=each),
                    f"portrait: at most {each.most} statement{'s' if each.most > 1 else ''}",
                    {"statements": each.most},
                )
                for each in portraits
                if each.most <= max(len({line.dimension for line in each.lines}), 1)
            ],
        )


def _lines(task: Task) -> tuple[tuple[Line, ...], Sequence[Sequence[float]]]:
    """Statements for which evidence pays, of the dimensions in which people are seen to differ.

    And the levels of training users for each.
    """
    rng = np.random.default_rng(task.seed)
    drawn = in_couples([task.train[i] for i in rng.permutation(len(task.train))])
    users = drawn[: max(task.effort.training_users * 2 // 3, _USERS)]
    bank = [each for each in BANK if task.guard.allows(each.text)]
    if not bank:
        raise OptimizationError("every statement of the bank repeats texts of users word for word")
    found = _levels(task, users, bank)
    if len(found) < FEWEST:
        return (), ()
    known = [user for user in users if user.user_id in found]
    sights = {
        each: seen([[act[i] for act in found[user.user_id]] for user in known])
        for i, each in enumerate(bank)
    }
    kept = _reliable(sights)
    table = RewardTable(task, TELLING)
    table.fill(known, [each.text for each in kept], "scoring statements")
    gains = [
        np.array([table.mean([user], each.text) - task.unaided(user) for user in known])
        for each in kept
    ]
    lines = fitted(kept, [sights[each] for each in kept], gains)
    totals = {each.text: sights[each].totals for each in kept}
    return lines, np.array([totals[line.text] for line in lines]).T.tolist()


def _reliable(sights: Mapping[Statement, Sight]) -> list[Statement]:
    """Those of the dimensions in which people are seen best: generator calls are dear."""
    best: dict[str, float] = {}
    for statement, sight in sights.items():
        name = statement.dimension
        best[name] = max(best.get(name, 0.0), sight.reliability)
    names = sorted(best, key=best.__getitem__, reverse=True)[:_DIMENSIONS]
    return [each for each in sights if each.dimension in names and best[each.dimension] > 0]


def _levels(
    task: Task, users: Sequence[User], bank: Sequence[Statement]
) -> Mapping[str, list[list[float]]]:
    """Levels by user id, act and statement; without users who chose nothing, or failed."""
    texts = [each.text for each in bank]
    dimensions = [each.dimension for each in bank]
    ask = partial(task.door.logprobs, "inference")
    asked = [user for user in users if acts(user.signals)]
    task.observer(PhaseStarted("weighing what training users chose", len(asked)))

    def one(user: User) -> list[list[float]]:
        try:
            with attributed(user_id=user.user_id):
                found = evidence_of_acts(texts, user.signals, ask)
        except ModelError:
            return []
        finally:
            task.observer(Advanced())
        return [levels(dimensions, act) for act in found]

    found = in_parallel(one, asked, task.door.model("inference").concurrency)
    return {user.user_id: each for user, each in zip(asked, found, strict=True) if each}
