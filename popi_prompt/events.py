"""What a long run tells while it runs: frozen events; progress bars and logs are observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from popi_prompt.program import Program


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of `total` steps begins; `title` is for people."""

    title: str
    total: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """One step of the current phase is done."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A fact worth a line of its own."""

    text: str


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """A candidate was scored. `reward` is None where it was stopped early or failed throughout.

    `params` say what was chosen, without text of users; `tokens` is the mean inserted, None where
    it is not known.
    """

    number: int
    what: str
    reward: float | None
    best: float
    params: Mapping[str, str | int | float] = field(default_factory=dict)
    tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Improved:
    """A better program than any before; what an interrupted run should keep."""

    program: Program


@dataclass(frozen=True, slots=True)
class BudgetUsed:
    """Half, then four fifths of a cap are used; `cap` is "usd", "calls", "tokens" or "minutes"."""

    cap: str
    used: float
    limit: float


Event = PhaseStarted | Advanced | Noted | TrialFinished | Improved | BudgetUsed
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer that does nothing."""
