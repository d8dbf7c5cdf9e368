"""The program of a family that has none: compiled for each generator, and kept in the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from popi_prompt.bench.cells import slug
from popi_prompt.bench.families import Family
from popi_prompt.bench.settings import BenchSettings
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample
from popi_prompt.errors import BudgetExceeded, DataError, UsageError
from popi_prompt.events import Observer
from popi_prompt.files import make_folder, parse_json, read_bytes, write_text
from popi_prompt.models.roles import RECORDED
from popi_prompt.program import Program, load
from popi_prompt.runs.config import unusual
from popi_prompt.settings import DEFAULT_MODEL, Settings
from popi_prompt.workflow import optimize


def program_path(folder: Path, family: Family, generator: str) -> Path:
    """Where the program compiled for a generator is kept."""
    return folder / "programs" / f"{slug(family.name)}--{slug(generator)}.json"


def kept(path: Path, family: Family, generator: str, settings: BenchSettings) -> Program | None:
    """The program that an earlier run compiled.

    Raises `UsageError` where that was from other users or by other settings: who was learned from
    then would be measured as never seen, and its figures would stand under this run's command.
    Raises `DataError` for a damaged record of what was asked of its search.
    """
    if not path.exists():
        return None
    program = load(path)
    users = sample(family.users, settings.max_users, settings.seed)
    asked, asking = _asked(path), _asking(generator, settings)
    there = (
        ("users", program.origin.dataset, fingerprint(users)),
        ("seed", program.origin.seed, settings.seed),
        ("generator", program.models["generator"], generator),
        ("inference model", program.models["inference"], _inference(settings)),
        *((what, asked[what], now) for what, now in asking.items() if what in asked),
    )
    for what, before, now in there:
        if before != now:
            raise UsageError(
                f"{str(path)!r} was compiled with {what} {before!r}, this run has {now!r}; remove "
                "it and the cells of its family to compile again, or name another folder with -o"
            )
    return program


def compiled(
    path: Path, family: Family, generator: str, settings: BenchSettings, observer: Observer
) -> Program:
    """A new program, as it was found: held-out users measure it here, and choose nothing.

    Raises `BudgetExceeded` where a cap ended its search: half a search is no benchmark.
    """
    make_folder(path.parent)
    done = optimize(family.users, _search(generator, settings), observer=observer)
    if done.stopped is not None and not done.report.rows:
        raise BudgetExceeded(done.stopped)
    record = _record_path(path)
    make_folder(record.parent)
    # Before the program: one without a record is taken whatever was asked of its search.
    write_text(record, json.dumps(_asking(generator, settings), indent=1) + "\n")
    done.program.save(path)
    return load(path)  # numbers are rounded in the file, and the next run reads that


def _search(generator: str, settings: BenchSettings) -> Settings:
    return Settings(
        generator=generator,
        inference_model=_inference(settings),
        trials=settings.trials,
        max_users=settings.max_users,
        held_out=settings.held_out,
        seed=settings.seed,
        force=True,
        access=settings.access,
    )


def _asking(generator: str, settings: BenchSettings) -> dict[str, Any]:
    """What decides a search and no program says: it counts the trials that were told."""
    routes = settings.access.routes(_search(generator, settings).names())
    return {
        "trials": settings.trials,
        "routes": {role: own for role in RECORDED if (own := unusual(routes[role]))},
    }


def _asked(path: Path) -> dict[str, Any]:
    """What was asked of the program's search; empty for one that was kept without a record."""
    record = _record_path(path)
    if not record.exists():
        return {}
    try:
        found = parse_json(read_bytes(record).decode("utf-8"), record)
        return {"trials": found["trials"], "routes": found["routes"]}
    except (KeyError, TypeError, UnicodeDecodeError):
        raise DataError(
            f"is no record of a search; remove it and {str(path)!r} to compile again", path=record
        ) from None


def _record_path(path: Path) -> Path:
    return path.parent.with_name("searches") / path.name


def _inference(settings: BenchSettings) -> str:
    return settings.access.name("inference", settings.inference_model, DEFAULT_MODEL)
