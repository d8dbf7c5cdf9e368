"""Reports for people: rich tables on stdout, and the sentence that says what they mean."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from popi_prompt.report import IMPROVED, MARGIN, NO_CONTEXT, PREFERS, Interval, Report, Row

_NAMES = {
    NO_CONTEXT: "no context",
    "untuned": "untuned summary",
    "compiled": "compiled program",
    "gold": "true taste (gold)",
}


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """The text without what a terminal would obey: controls, reordering, lone surrogates."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def stdout() -> Console:
    """Plain text when piped, no colour when NO_COLOR is set; never narrower than the tables."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 100
    return console


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_report(report: Report, about: str) -> None:
    """The table, how to read it, and the verdict on compiled against untuned."""
    table = Table(title=f"{report.users} {about}", title_justify="left")
    table.add_column("what the generator is told")
    table.add_column("moved to the\nchosen answer", justify="right")
    table.add_column("shift D in nats\n[95% interval]", justify="right")
    table.add_column(report.prefers_label.replace(" ", "\n"), justify="right")
    table.add_column("tokens\ninserted", justify="right")
    table.add_column("failed", justify="right")
    for row in report.rows:
        table.add_row(*_cells(row))
    console = stdout()
    console.print(table)
    console.print(
        "D: how far the text moves the frozen generator from the answer the person rejected to "
        "the one they chose\n(log-odds; above 0 is better). Chance is 50% in both percentages."
    )
    gain = report.gain()
    if gain is not None:
        console.print(f"compiled - untuned: D {_signed(gain)}; {_verdict(gain)}")
    for row in report.rows:
        for failure in row.failures[:3]:
            console.print(f"failed, {_NAMES[row.name]}: {failure.reason}", markup=False)


def _cells(row: Row) -> tuple[str, ...]:
    bare = row.name == NO_CONTEXT
    return (
        _NAMES[row.name],
        "-" if bare else f"{row.mean(IMPROVED).mean:.1%}",
        "0 (reference)" if bare else _signed(row.mean(MARGIN)),
        f"{row.mean(PREFERS).mean:.1%}",
        f"{row.tokens(50):.0f}",
        str(len(row.failures)),
    )


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.2f} \\[{interval.low:+.2f}, {interval.high:+.2f}]"


def _verdict(gain: Interval) -> str:
    if gain.low > 0:
        return "the interval excludes 0: optimizing helped these users."
    if gain.high < 0:
        return "the interval excludes 0: optimizing harmed these users; keep the untuned program."
    return "the interval includes 0: no proof that optimizing helped; try more users or trials."


def print_side_by_side(summary: str, answer: str, bare: str) -> None:
    """The personalized answer beside the one anybody would get."""
    table = Table(show_lines=True, expand=True)
    table.add_column("for this person", ratio=1, overflow="fold")
    table.add_column("for anybody", ratio=1, overflow="fold")
    table.add_row(Text(answer), Text(bare))
    console = stdout()
    console.print(f"summary: {summary}", markup=False)
    console.print(table)


def size(count: int) -> str:
    """Bytes for people: "1.5 MiB"."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def moment(seconds: float) -> str:
    """Epoch seconds as local time."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
