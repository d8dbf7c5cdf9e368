"""The contract of every scorer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from popi_prompt.generator import Generator
from popi_prompt.schema import Pair, User

_EDGE = 0.01


@dataclass(frozen=True, slots=True)
class PairScore:
    """One pair under one summary.

    `margin`: shift towards what the person chose that the summary causes, in the scorer's unit;
    above 0 is better than no summary, and without a summary it is 0.
    `prefers`: how far what the generator does suits the person, in [0, 1]; chance is 0.5.
    `weight`: the pair's, as the data give it.
    """

    margin: float
    prefers: float
    weight: float = 1.0


class Scorer(Protocol):
    """Scores a pair; deterministic for deterministic models, and called by several threads."""

    @property
    def name(self) -> str:
        """What `--scorer` is given."""
        ...

    @property
    def prefers_label(self) -> str:
        """What the mean of `PairScore.prefers` is called."""
        ...

    @property
    def unit(self) -> str:
        """Of the margin: "nats" or "cosine"."""
        ...

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        """Score one pair of a user; `summary` is None for no context.

        Without a summary the margin is exactly 0. No model but the frozen generator is told the
        summary. Raises `ModelError`; a failure is never a score.
        """
        ...


@runtime_checkable
class Comparing(Protocol):
    """A scorer that has two answers compared side by side, in both orders."""

    def first_shown(
        self, generator: Generator, user: User, pair: Pair, summary: str | None
    ) -> tuple[float, float] | None:
        """Probability that the answer shown first is named, in one order and in the other.

        Half of a tie is its. 0.5 both times, or sums of 1, are no bias towards a place. None where
        nothing is compared. Asks what `score` asks. Raises `ModelError`.
        """
        ...


def log_odds(probability: float) -> float:
    """Log-odds in nats; probabilities are kept within [0.01, 0.99], so that they are finite."""
    kept = min(max(probability, _EDGE), 1 - _EDGE)
    return math.log(kept / (1 - kept))
