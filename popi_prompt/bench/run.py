"""All families on all generators, and what they add up to."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from popi_prompt.bench.cells import Cell, slug
from popi_prompt.bench.families import Family
from popi_prompt.bench.measuring import Measuring, TimeOver
from popi_prompt.bench.settings import BENCH_ROWS, BenchSettings
from popi_prompt.errors import BudgetExceeded, UsageError
from popi_prompt.events import Noted, Observer, ignore
from popi_prompt.files import make_folder
from popi_prompt.lock import held
from popi_prompt.models.meter import Meter
from popi_prompt.models.spent import Spent
from popi_prompt.report import Report

_TIME_OVER = "the time is over"


@dataclass(frozen=True, slots=True)
class Block:
    """One family on one generator.

    `program` is a digest of what is compiled, None for nothing; `inference` is None where nothing
    was summarized.
    """

    family: str
    generator: str
    inference: str | None
    program: str | None
    report: Report
    seconds: float

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values; what ended the run is the run's to say."""
        report = self.report.as_record()
        del report["stopped"]
        return {
            "family": self.family,
            "generator": self.generator,
            "inference": self.inference,
            "program": self.program,
            "seconds": round(self.seconds, 1),
            **report,
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """The blocks that have a cell; `stopped` says what ended the run before the last one.

    `spent` is what this run has sent, by role, what was compiled included.
    """

    blocks: tuple[Block, ...]
    stopped: str | None = None
    spent: Mapping[str, Spent] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"stopped": self.stopped, "blocks": [block.as_record() for block in self.blocks]}


def bench(
    families: Sequence[Family],
    settings: BenchSettings,
    folder: Path,
    observer: Observer = ignore,
) -> Bench:
    """Measure every cell that `folder` does not hold yet; the same call goes on where one ended.

    Users are those that the program never saw. At a cap, or when the time is over, it measures
    nothing more, and gives what there is of every family. Raises `UsageError` for cells that were
    measured under other conditions and for two families or generators whose cells would be one
    file, `ModelError` for a model that cannot be opened, `OptimizationError` for a family that
    cannot be split.
    """
    _apart("families", [family.name for family in families], "rename the file of one")
    _apart("generators", settings.generators, "measure one of them in another folder")
    make_folder(folder)
    with _alone(folder):
        return _bench(families, settings, folder, observer)


def _bench(
    families: Sequence[Family], settings: BenchSettings, folder: Path, observer: Observer
) -> Bench:
    until = math.inf if settings.minutes is None else time.monotonic() + 60 * settings.minutes
    meter = settings.access.meter or Meter(settings.access.caps, observer)
    metered = replace(settings, access=replace(settings.access, meter=meter))
    measuring = Measuring(metered, folder, observer, until)
    blocks: list[Block] = []
    stopped: str | None = None
    for family in families:
        for generator in settings.generators:
            observer(Noted(f"family {family.name}, generator {generator}"))
            cells: list[Cell] = []
            ended = _fill(cells, measuring, family, generator)
            if cells:
                blocks.append(_block(cells))
            if ended is not None and stopped is None:
                stopped = ended
                measuring.stop()
    return Bench(tuple(blocks), stopped, meter.spent())


def _apart(what: str, names: Sequence[str], instead: str) -> None:
    """Raise `UsageError` for two names that are one as part of a cell's file name."""
    before: dict[str, str] = {}
    for name in names:
        other = before.setdefault(slug(name), name)
        if other != name:
            raise UsageError(
                f"the {what} {other!r} and {name!r} would have their cells in the same files; "
                f"{instead}"
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two runs would both compile, and pay, and measure one program with cells of the other."""
    path = folder / ".lock"
    lock = held(path, f"the folder {str(folder)!r}", "name another folder with -o")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _fill(cells: list[Cell], measuring: Measuring, family: Family, generator: str) -> str | None:
    """Add the cells of a family on a generator; why it ended before the last one, if it did."""
    try:
        for cell in measuring.cells(family, generator):
            cells.append(cell)
    except TimeOver:
        return _TIME_OVER
    except BudgetExceeded as stop:
        return str(stop)
    return None


def _block(cells: Sequence[Cell]) -> Block:
    cells = sorted(cells, key=lambda cell: BENCH_ROWS.index(cell.row.name))
    (name, prefers, unit), *others = cells[0].conditions["scorers"]
    rows = tuple(cell.row for cell in cells)
    return Block(
        family=cells[0].family,
        generator=cells[0].generator,
        inference=_first(cells, "inference"),
        program=_first(cells, "program"),
        report=Report(rows, name, prefers, unit, tuple(label for _, label, _ in others)),
        seconds=sum(cell.seconds for cell in cells),
    )


def _first(cells: Sequence[Cell], key: str) -> str | None:
    return next(filter(None, (cell.conditions.get(key) for cell in cells)), None)
