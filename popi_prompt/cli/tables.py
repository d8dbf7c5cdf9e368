"""Reports for people: rich tables on stdout, and the sentences that say what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from popi_prompt.cli.render import plain, stdout
from popi_prompt.evaluation import Failure
from popi_prompt.folds import Folds
from popi_prompt.intervals import Interval
from popi_prompt.report import HARMED_RULE, Report
from popi_prompt.rows import (
    COMPILED,
    IMPROVED,
    MARGIN,
    NO_CONTEXT,
    PREFERS,
    RAW,
    TITLES,
    UNTUNED,
    Against,
    Row,
    Statistic,
)

_LISTED = 3  # failures of a row


def print_report(report: Report, about: str) -> None:
    """The table, how to read it, and the verdict on compiled against untuned."""
    console = stdout()
    console.print(_measured(report, f"{report.users} {about}"))
    console.print(
        "D: how far the text moves the frozen generator from the answer the person rejected to "
        f"the one they chose\n({_above_zero(report)}). Chance is 50% in all percentages"
        f"{_ties(report)}."
    )
    gain = report.gain()
    if gain is not None:
        console.print(f"compiled - untuned: D {signed(gain)}; {_verdict(gain)}")
    if report.stopped is not None:
        console.print(plain(f"Other rows were not measured: {report.stopped}."), markup=False)
    for row in report.rows:
        print_failures(console, TITLES[row.name], row.failures)
        for label in report.also:
            print_failures(console, f"{TITLES[row.name]}, {label}", row.by(label).failures)


def print_failures(console: Console, what: str, failures: Sequence[Failure]) -> None:
    """The first few of a row, and how many more there are."""
    for failure in failures[:_LISTED]:
        console.print(plain(f"failed, {what}: {failure.reason}"), markup=False)
    if len(failures) > _LISTED:
        more = len(failures) - _LISTED
        console.print(plain(f"failed, {what}: {more} more; --json lists all"), markup=False)


def print_folds(found: Folds) -> None:
    """What the search gains on held-out users, fold by fold and over all of them."""
    table = Table(
        title="The search on other splits", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for column in ("fold", "learnt\nfrom", "chosen\nby", "held\nout", "found - untuned, D"):
        table.add_column(column, justify="right")
    for number, fold in enumerate(found.folds, start=1):
        sizes = (len(part) for part in (fold.split.train, fold.split.val, fold.split.test))
        table.add_row(str(number), *map(str, sizes), signed(fold.gain()))
    table.add_row("all", "", "", str(found.users), signed(found.gain()))
    console = stdout()
    console.print(table)
    for number, fold in enumerate(found.folds, start=1):
        if fold.report is None:
            console.print(plain(f"fold {number} failed: {fold.reason}"), markup=False)
    console.print()


def print_evaluation(report: Report, about: str) -> None:
    """The same, then each row against untuned and raw, what it takes, and every group."""
    print_report(report, about)
    console = stdout()
    if report.row(UNTUNED) or report.row(RAW):
        console.print()
        console.print(_compared(report))
        console.print(f"Users {HARMED_RULE}.")
    console.print()
    console.print(_needed(report))
    console.print("Calls are those sent now; what is in memory or the cache is not asked again.")
    for name in report.groups:
        group = report.group(name)
        console.print()
        console.print(_measured(group, f"group {plain(name)}: {group.users} users"))
        _print_group_gain(console, group)


def _print_group_gain(console: Console, group: Report) -> None:
    found = group.against(COMPILED, UNTUNED)
    if found is not None:
        console.print(
            f"compiled - untuned: D {signed(found.margin)}; helped {found.tally.helped}, "
            f"unchanged {found.tally.unchanged}, harmed {found.tally.harmed}"
        )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("what the generator\nis told")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _measured(report: Report, title: str) -> Table:
    table = _table(
        title,
        "moved to\nchosen",
        f"shift D in {report.unit}\n\\[95% interval]",
        *(label.replace(" ", "\n") for label in (report.prefers_label, *report.also)),
        "tokens\ninserted",
        "failed",
    )
    for row in report.rows:
        also = (_share_by(row.by(label)) for label in report.also)
        bare = row.name == NO_CONTEXT
        table.add_row(
            TITLES[row.name],
            share(row, IMPROVED),
            "0 (reference)" if bare else signed(row.figure(MARGIN)),
            share(row, PREFERS),
            *also,
            _tokens(row, 50),
            _failed(row),
        )
    return table


def _compared(report: Report) -> Table:
    table = _table(
        "What it changes, user by user",
        "D minus untuned\n\\[95% interval]",
        "D minus raw\n\\[95% interval]",
        "users\nhelped",
        "un-\nchanged",
        "harmed",
    )
    for row in report.rows:
        untuned, raw = (report.against(row.name, other) for other in (UNTUNED, RAW))
        if untuned is None and raw is None:
            continue
        counts = ("-", "-", "-")
        if untuned is not None:
            tally = untuned.tally
            counts = (str(tally.helped), str(tally.unchanged), str(tally.harmed))
        table.add_row(TITLES[row.name], shifted(untuned), shifted(raw), *counts)
    return table


def _needed(report: Report) -> Table:
    table = _table("What it takes", "tokens\nmedian", "tokens\np95", "calls", "USD")
    for row in report.rows:
        usd = row.cost.usd
        table.add_row(
            TITLES[row.name],
            _tokens(row, 50),
            _tokens(row, 95),
            str(row.cost.calls),
            "unknown" if usd is None else f"{usd:.4f}",
        )
    return table


def share(row: Row, statistic: Statistic) -> str:
    """The mean of a share, in per cent; "-" where the row has none."""
    found = row.figure(statistic)
    return "-" if found is None else f"{found.mean:.1%}"


def _share_by(row: Row) -> str:
    """Of a further scorer; how many it could not score stands below, if there are any."""
    failed = f"\n{len(row.failures)} failed" if row.failures else ""
    return f"{share(row, PREFERS)}{failed}"


def _ties(report: Report) -> str:
    tied = [
        f"{row.ties:.0%} of {TITLES[row.name]}"
        for row in report.rows
        if row.name != NO_CONTEXT and row.defines(IMPROVED) and row.ties
    ]
    if not tied:
        return ""
    return (
        f", but for pairs that move neither way (D = 0):\nthey count as not moved, "
        f"{', '.join(tied)}"
    )


def _tokens(row: Row, percentile: float) -> str:
    return f"{row.tokens(percentile):.0f}" if row.scored else "-"


def _failed(row: Row) -> str:
    count = len(row.failures)
    return f"{count} ({count / len(row.results):.0%})" if count else "0"


def shifted(found: Against | None) -> str:
    """D of one row minus another; "-" where they are not compared."""
    return "-" if found is None else signed(found.margin)


def signed(interval: Interval | None) -> str:
    """A mean with its interval, as rich markup; "-" for none."""
    if interval is None:
        return "-"
    if not math.isfinite(interval.low):
        return f"{interval.mean:+.2f} \\[unknown]"
    return f"{interval.mean:+.2f} \\[{interval.low:+.2f}, {interval.high:+.2f}]"


def _above_zero(report: Report) -> str:
    if report.unit == "nats":
        return "log-odds; above 0 is better"
    return f"{report.unit}; above 0 is better"


def _verdict(gain: Interval) -> str:
    if gain.above_zero:
        return "the interval excludes 0: optimizing helped these users."
    if gain.below_zero:
        return "the interval excludes 0: optimizing harmed these users; keep the untuned program."
    return "the interval includes 0: no proof that optimizing helped; try more users or trials."
