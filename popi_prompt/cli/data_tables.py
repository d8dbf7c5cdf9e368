"""What `popi-prompt data` found, for people."""

from __future__ import annotations

from pathlib import Path

import click

from popi_prompt.cli.render import plain
from popi_prompt.dataset_stats import Spread, Statistics
from popi_prompt.validation import Validation

_GROUPS = 10


def print_statistics(found: Statistics) -> None:
    """A line a question."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.signals.items())
    lines = [
        ("users", f"{found.users}{_lacking(found.without_signals, found.without_pairs)}"),
        ("gold", f"{found.with_gold} users have a true taste"),
        ("signals", kinds or "none"),
        ("per user", f"{_spread(found.signals_per_user)} signals"),
        ("", f"{_spread(found.signal_characters)} characters"),
        ("pairs", f"{found.pairs} on {found.prompts} prompts"),
        ("per user", f"{_spread(found.pairs_per_user)} pairs"),
        ("shared", f"{found.shared_prompts} prompts are of several users"),
    ]
    if found.answer_characters is not None and found.longer_chosen is not None:
        lines.append(("answers", f"{_spread(found.answer_characters)} characters"))
        lines.append(("length", f"the longer answer is chosen in {found.longer_chosen:.1%}"))
    for number, (name, count) in enumerate(found.groups.items()):
        if number == _GROUPS:
            lines.append(("", f"{len(found.groups) - _GROUPS} more groups"))
            break
        lines.append(("" if number else "groups", f"{count} {' '.join(plain(name).split())}"))
    lines.append(("data", found.fingerprint))
    for name, text in lines:
        click.echo(f"{name:<9} {text}")


def print_validation(found: Validation, path: Path, most: int) -> None:
    """The problems, at most `most` of them, and the count."""
    for problem in found.problems[:most]:
        where = path if problem.line is None else f"{path}:{problem.line}"
        click.echo(f"{where}: {plain(problem.text)}")
    if len(found.problems) > most:
        click.echo(f"... and {len(found.problems) - most} more; --json prints all")
    counts = f"{found.users} users can be read"
    lacking = _lacking(found.without_signals, found.without_pairs)
    click.echo(f"{counts}{lacking}; {len(found.problems)} problems")


def _lacking(signals: int, pairs: int) -> str:
    parts = [f"{count} without {what}" for count, what in ((signals, "signals"), (pairs, "pairs"))]
    shown = [part for part in parts if not part.startswith("0 ")]
    return f", {', '.join(shown)}" if shown else ""


def _spread(of: Spread) -> str:
    return f"{of.least:.0f} to {of.most:.0f}, median {of.median:g}"
