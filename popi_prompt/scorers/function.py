"""A scorer of one's own: a Python function, found by `module:function`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from popi_prompt.errors import CallError, ScorerError
from popi_prompt.generator import Generator
from popi_prompt.models import imagined
from popi_prompt.named import load_named
from popi_prompt.schema import Pair, User
from popi_prompt.scorers.scorer import PairScore, Scorer, log_odds

ScoringFunction = Callable[[User, Pair, "str | None", str], float]
"""`function(user, pair, summary, answer) -> float` in [0, 1], 1 for an answer that suits best.

`answer` is what the frozen generator wrote to `pair.prompt` with `summary`; without one, `summary`
is None and `answer` what anybody gets. Called by several threads; the same arguments must give the
same number.
"""


@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """`prefers` is the function's number; the margin is the shift of its log-odds in nats.

    Numbers are kept within [0.01, 0.99] for the log-odds.
    """

    name: str
    function: ScoringFunction
    prefers_label: str = "mean score"
    unit: str = "nats"

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        """Two answers. Raises `ScorerError` where the function raises or gives no such number."""
        bare = self._value(generator, user, pair, None)
        prefers = bare if summary is None else self._value(generator, user, pair, summary)
        return PairScore(margin=log_odds(prefers) - log_odds(bare), prefers=prefers)

    def _value(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> float:
        answer = generator.respond(pair.prompt, summary).text
        try:
            value: Any = self.function(user, pair, summary, answer)
            is_number = isinstance(value, Real)
            if is_number and 0 <= value <= 1:
                return float(value)
            shown = " ".join(f"{value!r:.60}".split())
        except CallError:
            raise
        except (Exception, SystemExit) as error:
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            raise self._failure(user, f"raised {problem:.200}") from error
        raise self._failure(user, f"gave {shown}, expected a number in [0, 1]")

    def _failure(self, user: User, problem: str) -> ScorerError:
        return ScorerError(f"scorer {self.name!r} {problem}", user_id=user.user_id)


def uncalled(scorer: str | Scorer | None) -> str | Scorer | None:
    """For a run that sends nothing: a function of the user's own may, so its numbers are imagined.

    Other scorers are as given.
    """
    if isinstance(scorer, str) and ":" in scorer:
        scorer = load_function(scorer)
    if isinstance(scorer, FunctionScorer):
        return replace(scorer, function=imagined.score)
    return scorer


def load_function(path: str) -> FunctionScorer:
    """The scorer at `module:function`; see `load_named` for where it is looked for.

    Raises `UsageError` for a module that cannot be imported, a name it has not, or no function.
    """
    found = load_named(path, f"scorer {path!r}", "function", "myscorer:score")
    return FunctionScorer(path, found)
