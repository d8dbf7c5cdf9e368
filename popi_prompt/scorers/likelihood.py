"""Margin D: the shift of the exact log-likelihood ratio of the two answers."""

from __future__ import annotations

from popi_prompt.generator import Generator
from popi_prompt.schema import Pair, User
from popi_prompt.scorers.scorer import PairScore


class LikelihoodScorer:
    """D(s) = [log p(chosen|x,s) - log p(rejected|x,s)] - [log p(chosen|x) - log p(rejected|x)].

    Summed token log-probabilities, natural logarithm; the reference is the same generator on the
    bare prompt (POPI, arXiv 2510.17881).
    """

    name = "likelihood"
    prefers_label = "preference accuracy"
    unit = "nats"

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        """`prefers` is 1 where the chosen answer is the likelier one, 0.5 for a tie."""
        bare = generator.log_ratio(pair, None)
        ratio = bare if summary is None else generator.log_ratio(pair, summary)
        prefers = 0.5 if ratio == 0 else float(ratio > 0)
        return PairScore(margin=ratio - bare, prefers=prefers)
