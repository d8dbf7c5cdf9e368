"""Rows of a report: one context on all users, and how two of them differ, user by user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Outcome, Result
from popi_prompt.intervals import Interval, Tally, as_record, bootstrap, tally
from popi_prompt.models.spent import Spent, total

NO_CONTEXT, RAW, RETRIEVED = "no context", "raw", "retrieved"
UNTUNED, COMPILED = "untuned", "compiled"
TUNED = "tuned"  # the program on a fine-tuned inference model; measured where one is adopted
SHUFFLED, GOLD, OPPOSITE, LONGEST = "shuffled", "gold", "opposite gold", "longest answer"
ALL_ROWS = (NO_CONTEXT, RAW, RETRIEVED, UNTUNED, COMPILED, SHUFFLED, GOLD, OPPOSITE, LONGEST)
CORE_ROWS = (NO_CONTEXT, UNTUNED, COMPILED, GOLD)
TITLES = {
    NO_CONTEXT: "no context",
    RAW: "raw signals",
    RETRIEVED: "retrieved signals",
    UNTUNED: "untuned summary",
    COMPILED: "compiled program",
    TUNED: "fine-tuned model",
    SHUFFLED: "another's summary",
    GOLD: "true taste (gold)",
    OPPOSITE: "opposite taste",
    LONGEST: "longer answer",
}


@dataclass(frozen=True, slots=True)
class Statistic:
    """A figure of one user; a share lies within [0, 1]."""

    of: Callable[[Outcome], float]
    share: bool = False


MARGIN = Statistic(attrgetter("margin"))
REWARD = Statistic(attrgetter("reward"))
IMPROVED = Statistic(attrgetter("improved"), share=True)
PREFERS = Statistic(attrgetter("prefers"), share=True)

# No text, no shift: the bare prompt is the reference, and the longest answer asks no model.
_UNDEFINED = {NO_CONTEXT: (IMPROVED,), LONGEST: (MARGIN, IMPROVED, REWARD)}


@dataclass(frozen=True, slots=True)
class Row:
    """One context on all users: what a line of the report shows. Means leave failures out.

    `also` holds the results by further scorers, under their `prefers_label`. `spent` is what was
    sent for this row, by role: not what an earlier row or run had paid for.
    """

    name: str
    results: tuple[Result, ...]
    also: Mapping[str, tuple[Result, ...]] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict, compare=False)

    @property
    def scored(self) -> tuple[Outcome, ...]:
        """The users that could be scored."""
        return tuple(result for result in self.results if isinstance(result, Outcome))

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The users that could be scored. Raises `OptimizationError` if there is none."""
        scored = self.scored
        if not scored:
            reason = next((each.reason for each in self.failures), "there are no users")
            raise OptimizationError(f"{self.name}: no user could be scored; the first: {reason}")
        return scored

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The users that could not."""
        return tuple(result for result in self.results if isinstance(result, Failure))

    @property
    def ties(self) -> float:
        """The share of pairs that are moved neither way: over users, as reward accuracy is."""
        return sum(outcome.tied for outcome in self.scored) / max(len(self.scored), 1)

    def by(self, label: str) -> Row:
        """The row as a further scorer sees it; empty where that has no figure of it."""
        return Row(self.name, self.also.get(label, ()))

    @property
    def cost(self) -> Spent:
        """What was sent for this row, all roles together."""
        return total(self.spent.values())

    def mean(self, statistic: Statistic) -> Interval:
        """Mean over users with its interval."""
        values = [statistic.of(outcome) for outcome in sorted(self.outcomes, key=_user_id)]
        return bootstrap(values, 0, 1) if statistic.share else bootstrap(values)

    def defines(self, statistic: Statistic) -> bool:
        """Whether this row has such a figure."""
        return statistic not in _UNDEFINED.get(self.name, ())

    def figure(self, statistic: Statistic) -> Interval | None:
        """The mean; None where this row has no such figure, or no user."""
        return self.mean(statistic) if self.scored and self.defines(statistic) else None

    def tokens(self, percentile: float) -> float:
        """Percentile of the context overhead over users."""
        return float(np.percentile([outcome.tokens for outcome in self.outcomes], percentile))

    def of(self, user_ids: frozenset[str]) -> Row:
        """The same row for some of the users; what it cost is not known."""
        return Row(
            self.name,
            _some(self.results, user_ids),
            {label: _some(results, user_ids) for label, results in self.also.items()},
        )


def _some(results: Sequence[Result], user_ids: frozenset[str]) -> tuple[Result, ...]:
    return tuple(result for result in results if result.user_id in user_ids)


def difference(one: Row, other: Row, statistic: Statistic) -> Interval:
    """Mean of one minus other over the users both could score: a paired comparison."""
    found = gaps(one, other, statistic)
    return bootstrap(found, -1, 1) if statistic.share else bootstrap(found)


def gaps(one: Row, other: Row, statistic: Statistic) -> list[float]:
    """One minus other, a figure for each user whom both could score, in the order of their ids."""
    others = {outcome.user_id: outcome for outcome in other.scored}
    return [
        statistic.of(outcome) - statistic.of(others[outcome.user_id])
        for outcome in sorted(one.scored, key=_user_id)
        if outcome.user_id in others
    ]


def _user_id(outcome: Outcome) -> str:
    """The order in which users are resampled, whatever the order of the file."""
    return outcome.user_id


@dataclass(frozen=True, slots=True)
class Against:
    """A row minus another on the users both could score; `margin` is of D, in nats."""

    users: int
    margin: Interval
    reward_accuracy: Interval | None
    prefers: Interval
    tally: Tally

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "users": self.users,
            "margin": as_record(self.margin),
            "reward_accuracy": as_record(self.reward_accuracy),
            "prefers": as_record(self.prefers),
            **asdict(self.tally),
        }


def against(one: Row, other: Row) -> Against | None:
    """One row compared with another; None where no user has a margin in both."""
    if one.name == other.name or not (one.defines(MARGIN) and other.defines(MARGIN)):
        return None
    margins = gaps(one, other, MARGIN)
    if not margins:
        return None
    both = one.defines(IMPROVED) and other.defines(IMPROVED)
    return Against(
        users=len(margins),
        margin=bootstrap(margins),
        reward_accuracy=difference(one, other, IMPROVED) if both else None,
        prefers=difference(one, other, PREFERS),
        tally=tally(margins),
    )
