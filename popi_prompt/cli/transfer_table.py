"""A transfer for people: generators by scorers, a verdict a generator, and what failed."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from popi_prompt.cli.render import plain, stdout
from popi_prompt.cli.tables import print_failures, share, shifted, signed
from popi_prompt.matrix import Cell, Transfer
from popi_prompt.rows import IMPROVED, MARGIN, TITLES, UNTUNED


def print_transfer(found: Transfer, about: str) -> None:
    """Generators by scorers, how to read them, a verdict a generator, and what failed."""
    console = stdout()
    console.print(_matrix(found, f"{found.users} {plain(about)}"))
    console.print(
        "D: how far the program's summaries move a frozen generator from the answer the person\n"
        "rejected to the one they chose, compared with no context; units differ between scorers."
    )
    console.print()
    for line in found.lines:
        console.print(plain(f"{line.generator}: {line.says()}"), markup=False)
    for line in found.lines:
        for cell in line.cells:
            where = f"{line.generator} by {cell.scorer}"
            if cell.report is None:
                console.print(plain(f"failed, {where}: {cell.reason}"), markup=False)
                continue
            for row in cell.report.rows:
                what = where if row is cell.own else f"{where}, {TITLES[row.name]}"
                print_failures(console, what, row.failures)


def _matrix(found: Transfer, title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("generator,\nby scorer", max_width=24, overflow="fold")
    for column in (
        "moved to\nchosen",
        "D\n\\[95% interval]",
        "D minus untuned\n\\[95% interval]",
        "users\nscored",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for line in found.lines:
        table.add_row(Text(plain(line.generator)), *(() if line.cells else ("failed",)))
        for cell in line.cells:
            table.add_row(Text(plain(f"  {cell.scorer}")), *_figures(cell))
    return table


def _figures(cell: Cell) -> tuple[str, ...]:
    if cell.own is None:
        return ("failed",)
    scored = f"{len(cell.own.scored)}/{len(cell.own.results)}"
    found = cell.against(UNTUNED)
    fewer = found is not None and found.users < len(cell.own.scored)
    beyond = f"{shifted(found)}{f', {found.users} users' if found is not None and fewer else ''}"
    return (share(cell.own, IMPROVED), signed(cell.own.figure(MARGIN)), beyond, scored)
