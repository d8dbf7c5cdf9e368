"""What was measured, row by row, with intervals over users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Outcome, Result

RESAMPLES = 10_000
NO_CONTEXT, UNTUNED, COMPILED, GOLD = "no context", "untuned", "compiled", "gold"

Statistic = Callable[[Outcome], float]
MARGIN: Statistic = attrgetter("margin")
IMPROVED: Statistic = attrgetter("improved")
PREFERS: Statistic = attrgetter("prefers")
REWARD: Statistic = attrgetter("reward")


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users and its 95% bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One context on all users: what a line of the report shows. Means leave failures out."""

    name: str
    results: tuple[Result, ...]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The users that could be scored. Raises `OptimizationError` if there is none."""
        scored = tuple(result for result in self.results if isinstance(result, Outcome))
        if not scored:
            reason = next(r.reason for r in self.results if isinstance(r, Failure))
            raise OptimizationError(f"{self.name}: no user could be scored; the first: {reason}")
        return scored

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The users that could not."""
        return tuple(result for result in self.results if isinstance(result, Failure))

    def mean(self, statistic: Statistic) -> Interval:
        """Mean over users with its interval."""
        return bootstrap([statistic(outcome) for outcome in self.outcomes])

    def tokens(self, percentile: float) -> float:
        """Percentile of the context overhead over users."""
        return float(np.percentile([outcome.tokens for outcome in self.outcomes], percentile))


def difference(one: Row, other: Row, statistic: Statistic) -> Interval:
    """Mean of one minus other over the users both could score: a paired comparison."""
    others = {outcome.user_id: outcome for outcome in other.outcomes}
    return bootstrap(
        [
            statistic(outcome) - statistic(others[outcome.user_id])
            for outcome in one.outcomes
            if outcome.user_id in others
        ]
    )


def bootstrap(values: Sequence[float]) -> Interval:
    """Mean and 95% percentile interval over 10,000 resamples of the values, always the same ones.

    Raises `OptimizationError` without values.
    """
    if not values:
        raise OptimizationError("nothing to compare: no user could be scored in both rows")
    array = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(0).integers(len(array), size=(RESAMPLES, len(array)))
    low, high = np.percentile(array[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(array.mean()), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Report:
    """Rows on the same users; none where a run ended before they were measured."""

    rows: tuple[Row, ...]
    scorer: str
    prefers_label: str

    def row(self, name: str) -> Row | None:
        """The row with this name, if it was measured."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def users(self) -> int:
        """How many users were measured, failures included."""
        return max((len(row.results) for row in self.rows), default=0)

    def gain(self) -> Interval | None:
        """Margin of the compiled program minus the untuned one's."""
        compiled, untuned = self.row(COMPILED), self.row(UNTUNED)
        return difference(compiled, untuned, MARGIN) if compiled and untuned else None

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values of everything the tables show."""
        gain = self.gain()
        return {
            "scorer": self.scorer,
            "users": self.users,
            "rows": [_row_record(row) for row in self.rows],
            "gain_in_margin": asdict(gain) if gain else None,
        }


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "context": row.name,
        "users": len(row.outcomes),
        "failures": [asdict(failure) for failure in row.failures],
        "reward_accuracy": None if row.name == NO_CONTEXT else asdict(row.mean(IMPROVED)),
        "margin": asdict(row.mean(MARGIN)),
        "prefers": asdict(row.mean(PREFERS)),
        "reward": asdict(row.mean(REWARD)),
        "tokens_median": row.tokens(50),
        "tokens_p95": row.tokens(95),
    }
