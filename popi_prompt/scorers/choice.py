"""Choice: the generator reads both answers and names one; both orders, averaged."""

from __future__ import annotations

from popi_prompt.generator import Generator
from popi_prompt.schema import Pair, User
from popi_prompt.scorers.scorer import PairScore, log_odds


class ChoiceScorer:
    """For models that give no log-probabilities of given answers (AlignXplore's protocol).

    `prefers` is the probability of naming the chosen answer, averaged over both orders; the margin
    is the shift of its log-odds, with probabilities kept within [0.01, 0.99].
    """

    name = "choice"
    prefers_label = "choice accuracy"
    unit = "nats"

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        """Two calls with the summary, and two for the reference without it."""
        bare = _mean(generator.choice(pair, None))
        prefers = bare if summary is None else _mean(generator.choice(pair, summary))
        return PairScore(margin=log_odds(prefers) - log_odds(bare), prefers=prefers)

    def first_shown(
        self, generator: Generator, user: User, pair: Pair, summary: str | None
    ) -> tuple[float, float]:
        """See `Comparing`; the chosen answer comes first, then second."""
        as_first, as_second = generator.choice(pair, summary)
        return as_first, 1 - as_second


def _mean(both_orders: tuple[float, float]) -> float:
    return sum(both_orders) / 2
