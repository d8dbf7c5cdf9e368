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
        told = generator.respond(pair.prompt, summary).text
        bare = generator.respond(pair.prompt, None).text
        win = _TIE if told == bare else _win_rate(generator, user, pair, (told, bare))
        return PairScore(margin=log_odds(win), prefers=win)


def _win_rate(generator: Generator, user: User, pair: Pair, answers: tuple[str, str]) -> float:
    """Of the first answer against the second."""
    told, bare = answers
    ask = generator.door.option_odds
    first, _, tie = ask("judge", judge_messages(user, pair.prompt, told, bare), JUDGE_OPTIONS)
    _, second, other = ask("judge", judge_messages(user, pair.prompt, bare, told), JUDGE_OPTIONS)
    return (first + second + (tie + other) / 2) / 2
