"""Rewards: a user's scores made one number that the optimizer maximises. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from popi_prompt.scorers.scorer import PairScore


@dataclass(frozen=True, slots=True)
class PopiReward:
    """(1/beta) log sigmoid(beta D), averaged over a user's pairs, less a price for long summaries.

    Higher is better; without a summary (D = 0) it is -log(2)/beta. `token_penalty` is paid for
    every token over `token_budget`. Source: POPI, arXiv 2510.17881.
    """

    beta: float = 0.01
    token_budget: int = 40
    token_penalty: float = 0.0

    def of_margin(self, margin: float) -> float:
        """The reward of one pair's margin, in nats."""
        scaled = self.beta * margin
        if scaled >= 0:
            return -math.log1p(math.exp(-scaled)) / self.beta
        return (scaled - math.log1p(math.exp(scaled))) / self.beta

    def of_user(self, scores: Sequence[PairScore], tokens: int) -> float:
        """The reward of one user's summary of `tokens` tokens. `scores` must not be empty."""
        mean = sum(self.of_margin(score.margin) for score in scores) / len(scores)
        return mean - self.token_penalty * max(0, tokens - self.token_budget)
