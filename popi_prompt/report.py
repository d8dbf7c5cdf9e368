"""What was measured, row by row, with intervals over users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from popi_prompt.evaluation import Outcome
from popi_prompt.intervals import Interval, as_record
from popi_prompt.rows import (
    COMPILED,
    IMPROVED,
    MARGIN,
    PREFERS,
    RAW,
    REWARD,
    UNTUNED,
    Against,
    Row,
    against,
)

HARMED_RULE = (
    "helped: mean D above that with the untuned summary; harmed: below it; unchanged: the same"
)


@dataclass(frozen=True, slots=True)
class Report:
    """Rows on the same users; none where a run ended before they were measured.

    `unit` is that of the margin; `also` labels what further scorers measured; `groups` maps a group
    to the ids of its users. `stopped` says which cap left rows out.
    """

    rows: tuple[Row, ...]
    scorer: str
    prefers_label: str
    unit: str = "nats"
    also: tuple[str, ...] = ()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    stopped: str | None = None

    def row(self, name: str) -> Row | None:
        """The row with this name, if it was measured."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def users(self) -> int:
        """How many users were measured, failures included."""
        return max((len(row.results) for row in self.rows), default=0)

    def gain(self) -> Interval | None:
        """Margin of the compiled program minus the untuned one's; None where not both have one."""
        found = self.against(COMPILED, UNTUNED)
        return None if found is None else found.margin

    def against(self, name: str, other: str) -> Against | None:
        """One row compared with another, if both were measured."""
        one, reference = self.row(name), self.row(other)
        return None if one is None or reference is None else against(one, reference)

    def group(self, name: str) -> Report:
        """The same figures for the users of a group."""
        rows = tuple(row.of(self.groups[name]) for row in self.rows)
        return replace(self, rows=rows, groups={}, stopped=None)

    def as_record(self, *, by_user: bool = False) -> dict[str, Any]:
        """Plain JSON values of everything the tables show; with `by_user` of each user, too."""
        rows = [
            {**self._figures(row), **_cost(row), **(_by_user(row) if by_user else {})}
            for row in self.rows
        ]
        return {
            "scorer": self.scorer,
            "unit": self.unit,
            "prefers": [key(label) for label in (self.prefers_label, *self.also)],
            "users": self.users,
            "stopped": self.stopped,
            "rows": rows,
            "gain_in_margin": as_record(self.gain()),
            "rule": HARMED_RULE,
            "groups": {name: self.group(name)._group_record() for name in self.groups},
        }

    def _group_record(self) -> dict[str, Any]:
        return {"users": self.users, "rows": [self._figures(row) for row in self.rows]}

    def _figures(self, row: Row) -> dict[str, Any]:
        compared = {other: self.against(row.name, other) for other in (UNTUNED, RAW)}
        return {
            "context": row.name,
            "users": len(row.scored),
            "failures": [asdict(failure) for failure in row.failures],
            "reward_accuracy": as_record(row.figure(IMPROVED)),
            "margin": as_record(row.figure(MARGIN)),
            key(self.prefers_label): as_record(row.figure(PREFERS)),
            **{key(label): _also(row, label) for label in self.also},
            "reward": as_record(row.figure(REWARD)),
            "tokens_median": row.tokens(50) if row.scored else None,
            "tokens_p95": row.tokens(95) if row.scored else None,
            **{
                f"against_{other}": None if found is None else found.as_record()
                for other, found in compared.items()
            },
        }


def key(label: str) -> str:
    """The name in JSON of what a scorer's `prefers_label` says."""
    return label.replace(" ", "_")


def _also(row: Row, label: str) -> dict[str, Any] | None:
    """By a further scorer; users that only it could not score are counted here."""
    if label not in row.also:
        return None
    by = row.by(label)
    figure = as_record(by.figure(PREFERS)) or dict.fromkeys(("mean", "low", "high"))
    failures = [asdict(failure) for failure in by.failures]
    return {**figure, "failed": len(failures), "failures": failures}


def _cost(row: Row) -> dict[str, Any]:
    return {
        "calls": row.cost.calls,
        "usd": row.cost.usd,
        "spent": {role: asdict(each) for role, each in row.spent.items()},
    }


def _by_user(row: Row) -> dict[str, Any]:
    return {"by_user": [_user(row, outcome) for outcome in row.scored]}


def _user(row: Row, outcome: Outcome) -> dict[str, Any]:
    return {
        "user_id": outcome.user_id,
        "margin": outcome.margin if row.defines(MARGIN) else None,
        "reward_accuracy": outcome.improved if row.defines(IMPROVED) else None,
        "prefers": outcome.prefers,
        "tokens": outcome.tokens,
    }
