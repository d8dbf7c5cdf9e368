"""Guesses: what the inference model makes of training users before it is shown anybody.

Of many summaries some suit a few users by luck, and luck does not come back. A summary is worth
what users get who are given it on the model's guess: what the model cannot tell pays nobody.
Dimensions of taste are compared, not any two summaries, of which there are too many to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from popi_prompt.bank import Statement
from popi_prompt.candidate import Candidate
from popi_prompt.evaluation import in_parallel
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.optimizers.calibration import FEWEST, logs_of
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.schema import User

_CLEARLY = 0.3  # of what the first dimension gains, a further one must gain so much
_NO_SPREAD = 1e-6  # nats; less is rounding

Groups = Mapping[str, tuple[str, ...]]  # texts by dimension


@dataclass(frozen=True, slots=True)
class Guesses:
    """How much likelier than for others a model finds each of `texts` for a user, by user id.

    In standard deviations over all users and texts; means over users are 0.
    """

    texts: tuple[str, ...]
    levels: Mapping[str, NDArray[np.float64]]

    def worth(self, table: RewardTable, users: Sequence[User], texts: Sequence[str]) -> float:
        """Mean expected reward of users who get one of these texts with the guesses as odds."""
        places = [self.texts.index(text) for text in texts]
        expected = []
        for user in users:
            rewards = np.array(table.rewards(user, texts))
            if user.user_id in self.levels and np.all(np.isfinite(rewards)):
                odds = np.exp(self.levels[user.user_id][places])
                expected.append(float(odds @ rewards / odds.sum()))
        return float(np.mean(expected)) if expected else -np.inf

    def ranked(self, table: RewardTable, users: Sequence[User], groups: Groups) -> list[str]:
        """Names of the dimensions, those first that are worth most."""
        return sorted(groups, key=lambda name: -self.worth(table, users, groups[name]))

    def kept(
        self, table: RewardTable, users: Sequence[User], groups: Groups, count: int
    ) -> tuple[str, ...]:
        """Texts of the first dimensions, at least so many."""
        texts: list[str] = []
        for name in self.ranked(table, users, groups):
            if len(texts) < count:
                texts += groups[name]
        return tuple(texts)

    def kinds_of_taste(
        self, table: RewardTable, users: Sequence[User], groups: Groups
    ) -> tuple[str, ...]:
        """The first dimension, and what is clearly worth more together with it."""
        first, *rest = self.ranked(table, users, groups)
        chosen = groups[first]
        worth = self.worth(table, users, chosen)
        single = max(table.mean(users, text) for text in chosen)
        while rest:
            values = {name: self.worth(table, users, (*chosen, *groups[name])) for name in rest}
            best = max(rest, key=values.__getitem__)
            if values[best] - worth < _CLEARLY * max(worth - single, 0.0) or values[best] <= worth:
                break
            chosen, worth = (*chosen, *groups[best]), values[best]
            rest.remove(best)
        return chosen


def guess(task: Task, users: Sequence[User], texts: tuple[str, ...]) -> Guesses | None:
    """Ask the model about these users; None where it tells no log-probabilities, or of too few."""
    if not task.door.scores_responses("inference"):
        return None
    task.observer(PhaseStarted("guessing what training users want", len(users)))
    bare = Candidate(view="liked")

    def one(user: User) -> tuple[float, ...] | None:
        try:
            return logs_of(bare, texts, task.door, user)
        finally:
            task.observer(Advanced())

    found = in_parallel(one, users, task.door.model("inference").concurrency)
    known = {
        user.user_id: logs for user, logs in zip(users, found, strict=True) if logs is not None
    }
    if len(known) < FEWEST:
        return None
    logs = np.array(list(known.values()))
    levels = logs - logs.mean(axis=0)
    spread = max(float(levels.std()), _NO_SPREAD)
    return Guesses(texts, dict(zip(known, levels / spread, strict=True)))


def by_dimension(texts: Sequence[str], bank: Sequence[Statement]) -> Groups:
    """Statements of the bank by their dimension; all other texts are one of their own."""
    dimension = {statement.text: statement.dimension for statement in bank}
    groups: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name = dimension.get(text, "")
        groups[name] = (*groups.get(name, ()), text)
    return groups
