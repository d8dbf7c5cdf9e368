"""What every command prints: JSON, tables, sizes and times, safe for a terminal."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout, with everything escaped that a terminal would obey."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    click.echo(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_side_by_side(summary: str, answer: str, bare: str) -> None:
    """The personalized answer beside the one anybody would get."""
    table = Table(show_lines=True, expand=True)
    table.add_column("for this person", ratio=1, overflow="fold")
    table.add_column("for anybody", ratio=1, overflow="fold")
    table.add_row(Text(plain(answer)), Text(plain(bare)))
    console = stdout()
    console.print(f"summary: {plain(summary)}", markup=False)
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
