"""An export's report for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from rich.table import Table

from popi_prompt.cli.render import stdout
from popi_prompt.finetune.report import Exported, PartReport
from popi_prompt.intervals import Interval
from popi_prompt.ngrams import RUN


def print_export(done: Exported, samples: Path) -> None:
    """Both files, how far the best summaries are ahead, and who was left out."""
    parts = {"train": done.train}
    if done.validation is not None:
        parts["validation"] = done.validation
    stdout().print(_table(parts))
    for name, part in parts.items():
        _print_left_out(f"Of the users for {name}", part.left_out)
    _print_left_out("In no file", done.apart)
    completions = sum(part.completions for part in parts.values())
    repeats = sum(part.repeats for part in parts.values())
    click.echo(
        f"{repeats} of {completions} summaries repeat {RUN} words in a row of anybody's signals "
        f"({done.runs} such runs looked for)."
    )
    if not done.own_split:
        click.echo("DATA is not what the program was compiled from: split anew by its seed.")
    if done.failed:
        click.echo(
            f"{len(done.failed)} users have draws that failed and may work another time; the "
            f"first: {next(iter(done.failed.values()))}"
        )
    _print_files(done, parts, samples)


def _table(parts: Mapping[str, PartReport]) -> Table:
    table = Table(title="Training files", title_justify="left")
    table.add_column("")
    for name in parts:
        table.add_column(name, justify="right")
    rows = {
        "users": [f"{part.users}" for part in parts.values()],
        "lines": [f"{part.examples}" for part in parts.values()],
        "tokens of prompts": [_tokens(part, "prompts") for part in parts.values()],
        "tokens of summaries": [_tokens(part, "completions") for part in parts.values()],
        "USD an epoch": [_usd(part) for part in parts.values()],
        "best minus mean reward": [_gap(part, "mean") for part in parts.values()],
        "best minus worst": [_gap(part, "worst") for part in parts.values()],
        "best minus the greedy one": [_gap(part, "program") for part in parts.values()],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _tokens(part: PartReport, name: str) -> str:
    return "unknown" if part.tokens is None else f"{getattr(part.tokens, name)}"


def _usd(part: PartReport) -> str:
    usd = None if part.tokens is None else part.tokens.usd
    return "unknown" if usd is None else f"{usd:.4f}"


def _gap(part: PartReport, name: str) -> str:
    found: Interval | None = None if part.gaps is None else getattr(part.gaps, name)
    return "-" if found is None else f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _print_left_out(title: str, counts: Mapping[str, int]) -> None:
    for why, count in counts.items():
        click.echo(f"{title}, left out {count}: {why}.")


def _print_files(done: Exported, parts: Mapping[str, PartReport], samples: Path) -> None:
    for name, part in parts.items():
        if part.output is None:
            click.echo(f"Wrote no {name} file: nobody was left for it.")
        else:
            click.echo(f"Wrote {part.output}. It holds signals and summaries of its users.")
    if done.train.examples < done.fewest:
        click.echo(
            f"{done.provider} takes files of {done.fewest} lines and more; add users or draws."
        )
    click.echo(f"Samples: {samples}; another --format with the same --samples calls no model.")
