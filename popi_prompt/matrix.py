"""Generators by scorers, all on the same summaries: the figures of a transfer, and its verdicts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from popi_prompt.intervals import Interval, as_record
from popi_prompt.report import Report, key
from popi_prompt.rows import IMPROVED, MARGIN, NO_CONTEXT, PREFERS, UNTUNED, Against, Row

Word = Literal["plug-and-play", "not proven", "harmful", "failed"]


@dataclass(frozen=True, slots=True)
class Unscored:
    """Why there are no figures; `kind` is the error's class in `popi_prompt.errors`."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One generator by one scorer; the report's rows are no context, untuned and the program's."""

    scorer: str
    measured: Report | Unscored

    @property
    def report(self) -> Report | None:
        """The figures, if there are any."""
        return self.measured if isinstance(self.measured, Report) else None

    @property
    def own(self) -> Row | None:
        """The program's row; that of an untuned program is "untuned"."""
        return None if self.report is None else self.report.rows[-1]

    @property
    def reason(self) -> str:
        """Why there are no figures; "" where there are."""
        return self.measured.reason if isinstance(self.measured, Unscored) else ""

    def against(self, other: str) -> Against | None:
        """The program's row minus another on the users both could score."""
        if self.report is None or self.own is None:
            return None
        return self.report.against(self.own.name, other)

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        if isinstance(self.measured, Unscored):
            return {"scorer": self.scorer, "error": asdict(self.measured)}
        report, own = self.measured, self.measured.rows[-1]
        compared = {other: self.against(other) for other in (NO_CONTEXT, UNTUNED)}
        return {
            "scorer": self.scorer,
            "unit": report.unit,
            "users": len(own.scored),
            "failures": [asdict(failure) for failure in own.failures],
            "other_failures": {
                key(row.name): [asdict(failure) for failure in row.failures]
                for row in report.rows[:-1]
            },
            "reward_accuracy": as_record(own.figure(IMPROVED)),
            "margin": as_record(own.figure(MARGIN)),
            key(report.prefers_label): as_record(own.figure(PREFERS)),
            **{
                f"against_{key(other)}": None if found is None else found.as_record()
                for other, found in compared.items()
            },
            "tokens_median": own.tokens(50),
            "tokens_p95": own.tokens(95),
            "error": None,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """All scorers on one generator; `failed` where it could not be opened, so there is no cell."""

    generator: str
    cells: tuple[Cell, ...] = ()
    failed: Unscored | None = None

    @property
    def verdict(self) -> Word:
        """By the first scorer that gave figures, whose interval of the shift decides."""
        decides = next((cell for cell in self.cells if cell.report is not None), None)
        return "failed" if decides is None else _word(decides)

    def says(self) -> str:
        """The verdict in words, with what further scorers say."""
        scored = [cell for cell in self.cells if cell.report is not None]
        if not scored:
            return f"failed: {self._reason()}"
        first, others = scored[0], scored[1:]
        text = f"{self.verdict}: by {first.scorer}, {_SAYS[self.verdict]}{_beyond(first)}"
        agreeing = [each.scorer for each in others if _word(each) == self.verdict]
        parts = [f"so by {', '.join(agreeing)}"] if agreeing else []
        parts += [
            f"{_word(each)} by {each.scorer}" for each in others if each.scorer not in agreeing
        ]
        return "; ".join([text, *parts])

    @property
    def kind(self) -> str:
        """The class of the error that the first cell, or the line, failed by; "" for none."""
        first = self.failed if self.failed is not None else self.cells[0].measured
        return first.kind if isinstance(first, Unscored) else ""

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "generator": self.generator,
            "verdict": self.verdict,
            "says": self.says(),
            "error": None if self.failed is None else asdict(self.failed),
            "cells": [cell.as_record() for cell in self.cells],
        }

    def _reason(self) -> str:
        return self.cells[0].reason if self.failed is None else self.failed.reason


@dataclass(frozen=True, slots=True)
class Transfer:
    """A line for each generator, in the order given, all on the same summaries of `users` users."""

    lines: tuple[Line, ...]
    users: int

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"users": self.users, "generators": [line.as_record() for line in self.lines]}


_SAYS: dict[Word, str] = {
    "plug-and-play": "the summaries move it towards what people chose",
    "not proven": "the interval of the shift includes 0",
    "harmful": "the summaries move it towards what people rejected",
}


def _word(cell: Cell) -> Word:
    shift = _shift(cell)
    if shift is not None and shift.above_zero:
        return "plug-and-play"
    if shift is not None and shift.below_zero:
        return "harmful"
    return "not proven"


def _shift(cell: Cell) -> Interval | None:
    """No context has no shift: the mean is the difference to it."""
    return None if cell.own is None else cell.own.figure(MARGIN)


def _beyond(cell: Cell) -> str:
    """How the program compares with the untuned one, where there are two."""
    found = cell.against(UNTUNED)
    if found is None:
        return ""
    if found.margin.above_zero:
        return ", better than untuned ones"
    if found.margin.below_zero:
        return ", worse than untuned ones"
    return ", not proven better than untuned ones"
