"""The contract of every optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from popi_prompt.candidate import Candidate
from popi_prompt.evaluation import Metric
from popi_prompt.events import Observer
from popi_prompt.generator import Generator
from popi_prompt.guard import Guard
from popi_prompt.models.door import Door
from popi_prompt.prompts import Conditioning
from popi_prompt.rewards import Reward
from popi_prompt.schema import User
from popi_prompt.scorers.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Task:
    """What an optimizer works with. Everything it decides is a function of these and of scores.

    `keep(candidate)` is called for every candidate that is better than all before, the untuned one
    first: what an interrupted run falls back to. `guard` says what may be in a candidate; what it
    does not allow is taken out of what is kept and found.
    """

    train: tuple[User, ...]
    val: tuple[User, ...]
    door: Door
    scorer: Scorer
    reward: Reward
    trials: int
    seed: int
    observer: Observer
    keep: Callable[[Candidate], None]
    guard: Guard = field(default_factory=Guard)

    def metric(self, conditioning: Conditioning) -> Metric:
        """How candidates with this conditioning are measured."""
        return Metric(Generator(self.door, conditioning), self.scorer, self.reward)


@dataclass(frozen=True, slots=True)
class Found:
    """The best candidate, its mean reward over validation users, and how many were tried."""

    candidate: Candidate
    reward: float
    trials: int


class Optimizer(Protocol):
    """Maximises the mean reward over validation users. The untuned candidate takes part."""

    name: str

    def run(self, task: Task) -> Found:
        """Search. Raises `OptimizationError` if not even the untuned candidate can be scored."""
        ...
