"""Judge: does the person get a better answer with the summary than anybody gets?"""

from __future__ import annotations

from popi_prompt.generator import Generator
from popi_prompt.prompts import JUDGE_OPTIONS, judge_messages
from popi_prompt.schema import Pair, User
from popi_prompt.scorers.scorer import PairScore, log_odds

_TIE = 0.5


class JudgeScorer:
    """The generator answers with the summary and without; the judge compares, in both orders.

    The judge knows the person by the gold description, or by their pairs where there is none; it
    is never told the summary. `prefers` is the win rate: the judge's probability of the
    personalized answer and half of that of a tie, averaged over both orders (0 or 1 a verdict
    where its route gives no top log-probabilities). The margin is its log-odds in nats, kept
    within [0.01, 0.99], so an even match is 0. Without a summary both are one answer: 0 and 0.5.
    """

    name = "judge"
    prefers_label = "win rate"
    unit = "nats"

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        """Two answers and two verdicts; the answer without a summary is asked for once a prompt.

        A verdict that names no option or several is a `BadResponse`.
        """
        if summary is None:
            return PairScore(margin=0.0, prefers=_TIE)
        verdicts = self.first_shown(generator, user, pair, summary)
        win = _TIE if verdicts is None else (verdicts[0] + 1 - verdicts[1]) / 2
        return PairScore(margin=log_odds(win), prefers=win)

    def first_shown(
        self, generator: Generator, user: User, pair: Pair, summary: str | None
    ) -> tuple[float, float] | None:
        """See `Comparing`; the personalized answer comes first, then second."""
        if summary is None:
            return None
        told = generator.respond(pair.prompt, summary).text
        bare = generator.respond(pair.prompt, None).text
        if told == bare:
            return None
        ask = generator.door.option_odds
        orders = ((told, bare), (bare, told))
        asked = (judge_messages(user, pair.prompt, *both) for both in orders)
        first, second = (ask("judge", messages, JUDGE_OPTIONS) for messages in asked)
        return first[0] + first[2] / 2, second[0] + second[2] / 2
