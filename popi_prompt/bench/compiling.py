"""The program of a family that has none: compiled for each generator, and kept in the folder."""

from __future__ import annotations

from pathlib import Path

from popi_prompt.bench.cells import slug
from popi_prompt.bench.families import Family
from popi_prompt.bench.settings import BenchSettings
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample
from popi_prompt.errors import BudgetExceeded, UsageError
from popi_prompt.events import Observer
from popi_prompt.files import make_folder
from popi_prompt.program import Program, load
from popi_prompt.settings import DEFAULT_MODEL, Settings
from popi_prompt.workflow import optimize


def program_path(folder: Path, family: Family, generator: str) -> Path:
    """Where the program compiled for a generator is kept."""
    return folder / "programs" / f"{slug(family.name)}--{slug(generator)}.json"


def kept(path: Path, family: Family, generator: str, settings: BenchSettings) -> Program | None:
    """The program that an earlier run compiled.

    Raises `UsageError` where that was from other users or by other settings: who was learned from
    then would be measured as never seen.
    """
    if not path.exists():
        return None
    program = load(path)
    users = sample(family.users, settings.max_users, settings.seed)
    there = (
        ("users", program.origin.dataset, fingerprint(users)),
        ("seed", program.origin.seed, settings.seed),
        ("generator", program.models["generator"], generator),
        ("inference model", program.models["inference"], _inference(settings)),
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
    done = optimize(
        family.users,
        Settings(
            generator=generator,
            inference_model=_inference(settings),
            trials=settings.trials,
            max_users=settings.max_users,
            held_out=settings.held_out,
            seed=settings.seed,
            force=True,
            access=settings.access,
        ),
        observer=observer,
    )
    if done.stopped is not None:
        raise BudgetExceeded(done.stopped)
    done.program.save(path)
    return load(path)  # numbers are rounded in the file, and the next run reads that


def _inference(settings: BenchSettings) -> str:
    return settings.access.name("inference", settings.inference_model, DEFAULT_MODEL)
