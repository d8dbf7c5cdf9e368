"""The contract of every scorer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from popi_prompt.generator import Generator
from popi_prompt.schema import Pair


@dataclass(frozen=True, slots=True)
class PairScore:
    """One pair under one summary.

    `margin`: log-odds shift towards the chosen answer that the summary causes, in nats; above 0 is
    better than no summary, and without a summary it is 0.
    `prefers`: how far the generator itself prefers the chosen answer, in [0, 1]; chance is 0.5.
    """

    margin: float
    prefers: float


class Scorer(Protocol):
    """Scores a pair; deterministic for a deterministic generator."""

    name: str
    prefers_label: str

    def score(self, generator: Generator, pair: Pair, summary: str | None) -> PairScore:
        """Score one pair. Raises `ModelError`; a failure is never a score."""
        ...
