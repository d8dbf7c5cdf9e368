"""Rewards: a user's scores made one number that the optimizer maximises. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from popi_prompt.scorers.scorer import PairScore

TOKEN_BUDGET = 40


class Reward(Protocol):
    """The reward of one user; that of many is the plain mean over them, whatever their pairs.

    Higher is better, and no margin's rise lowers it. Of a user's pairs it is the mean by weight:
    only the ratio of weights matters. `token_penalty` is paid, in the reward's own unit, for every
    token of the summary over `token_budget`.
    """

    name: ClassVar[str]

    def of_user(self, scores: Sequence[PairScore], tokens: int) -> float:
        """The reward of one user's summary of `tokens` tokens. `scores` must not be empty."""
        ...


@dataclass(frozen=True, slots=True)
class PopiReward:
    """(1/beta) log sigmoid(beta D) of a pair's margin D.

    Without a summary (D = 0) it is -log(2)/beta. Source: POPI, arXiv 2510.17881.
    """

    name: ClassVar[str] = "popi"
    beta: float = 0.01
    token_budget: int = TOKEN_BUDGET
    token_penalty: float = 0.0

    def of_margin(self, margin: float) -> float:
        """The reward of one pair's margin, in nats."""
        scaled = self.beta * margin
        if scaled >= 0:
            return -math.log1p(math.exp(-scaled)) / self.beta
        return (scaled - math.log1p(math.exp(scaled))) / self.beta

    def of_user(self, scores: Sequence[PairScore], tokens: int) -> float:
        """See `Reward`."""
        mean = weighted_mean(scores, lambda score: self.of_margin(score.margin))
        return mean - self.token_penalty * max(0, tokens - self.token_budget)


@dataclass(frozen=True, slots=True)
class AccuracyReward:
    """Reward accuracy: 1 for a pair with a margin above 0, else 0."""

    name: ClassVar[str] = "accuracy"
    token_budget: int = TOKEN_BUDGET
    token_penalty: float = 0.0

    def of_user(self, scores: Sequence[PairScore], tokens: int) -> float:
        """See `Reward`."""
        mean = weighted_mean(scores, lambda score: float(score.margin > 0))
        return mean - self.token_penalty * max(0, tokens - self.token_budget)


@dataclass(frozen=True, slots=True)
class MarginReward:
    """A pair's margin, in the scorer's unit, kept within -`limit` and `limit`.

    So no single pair with an extreme margin decides.
    """

    name: ClassVar[str] = "margin"
    limit: float = 20.0
    token_budget: int = TOKEN_BUDGET
    token_penalty: float = 0.0

    def of_user(self, scores: Sequence[PairScore], tokens: int) -> float:
        """See `Reward`."""
        mean = weighted_mean(scores, lambda score: self._clipped(score.margin))
        return mean - self.token_penalty * max(0, tokens - self.token_budget)

    def _clipped(self, margin: float) -> float:
        return max(-self.limit, min(self.limit, margin))


def weighted_mean(scores: Sequence[PairScore], value: Callable[[PairScore], float]) -> float:
    """The mean of a value over a user's pairs, by their weights. `scores` must not be empty."""
    most = max(score.weight for score in scores)
    weights = [score.weight / most for score in scores]  # their sum stays finite
    total = math.fsum(w * value(score) for w, score in zip(weights, scores, strict=True))
    return total / math.fsum(weights)
