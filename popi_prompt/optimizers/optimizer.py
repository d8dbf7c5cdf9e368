"""The contract of every optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from popi_prompt.candidate import Candidate
from popi_prompt.evaluation import Metric
from popi_prompt.events import Observer
from popi_prompt.generator import Generator
from popi_prompt.guard import Guard
from popi_prompt.models.door import Door
from popi_prompt.models.spent import Spent
from popi_prompt.optimizers.effort import MEDIUM, Effort
from popi_prompt.optimizers.points import Point
from popi_prompt.prompts import Conditioning
from popi_prompt.rewards import Reward
from popi_prompt.schema import User
from popi_prompt.scorers.scorer import PairScore, Scorer


@dataclass(frozen=True, slots=True)
class Task:
    """What an optimizer works with. Everything it decides is a function of these and of scores.

    `keep(candidate, reward)` is called for every candidate that is better than all before, the
    untuned one first: what an interrupted run falls back to. `reward` is the mean over
    `validation()`, or over `choosers()` where nothing is learned from anybody; None for a candidate
    that is not scored yet. `trials` is about how many candidates are scored on all of them, and
    `effort` what else is looked at. `point` is called for every candidate that was, by optimizers
    that keep a front of two objectives. `guard` says what may be in a candidate; what it does not
    allow is taken out of what is kept and found.
    """

    train: tuple[User, ...]
    val: tuple[User, ...]
    door: Door
    scorer: Scorer
    reward: Reward
    trials: int
    seed: int
    observer: Observer
    keep: Callable[[Candidate, float | None], None]
    guard: Guard = field(default_factory=Guard)
    effort: Effort = MEDIUM
    point: Callable[[Point], None] = lambda point: None

    def metric(self, conditioning: Conditioning) -> Metric:
        """How candidates with this conditioning are measured."""
        return Metric(Generator(self.door, conditioning), self.scorer, self.reward)

    def unaided(self, user: User) -> float:
        """The reward of a user where no summary is told: the reference, whose margins are 0."""
        none = [PairScore(margin=0.0, prefers=0.5, weight=pair.weight) for pair in user.pairs]
        return self.reward.of_user(none, 0)

    def validation(self) -> tuple[User, ...]:
        """The users of `val`, drawn by the seed, that every optimizer chooses by; see `Effort`."""
        order = np.random.default_rng(self.seed).permutation(len(self.val))
        return tuple(self.val[i] for i in order[: self.effort.validation_users])

    def choosers(self) -> tuple[User, ...]:
        """As many as the effort has: those of `validation()` first, then others, `train` last."""
        rng = np.random.default_rng(self.seed)
        drawn = [part[i] for part in (self.val, self.train) for i in rng.permutation(len(part))]
        return tuple(drawn[: self.effort.choosing_users])

    def starts(self) -> tuple[Candidate, ...]:
        """The effort's starting points, but for those in words that the guard does not allow."""
        return tuple(
            each
            for each in self.effort.starts
            if self.guard.allows_instruction(each.instruction)
            and self.guard.allows(each.conditioning.wording)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """The best candidate, its mean reward over validation users, and how many trials there were.

    The observer is told of each. A trial may be of what another one tried, or of what turns out to
    be too long for the context.
    """

    candidate: Candidate
    reward: float
    trials: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A candidate as it was kept, and what had been spent until then, all roles together.

    All that a run kept, in order, is its curve: reward against what it cost.
    """

    candidate: Candidate
    reward: float | None
    spent: Spent


class Optimizer(Protocol):
    """Maximises the mean reward over validation users. The untuned candidate takes part.

    Models are reached through the task's door alone, and nothing is printed.
    """

    name: str

    def run(self, task: Task) -> Found:
        """Search.

        Raises `OptimizationError` if not even the untuned candidate can be scored, and lets the
        door's `BudgetExceeded` through: the run ends with what it kept.
        """
        ...
