"""Damage files of every public format, and files of users, and read them.

    python benchmarks/fuzz_importers.py --files 10000

Every file must load or be refused with a typed error that names a place, in under 5 s and without
growing the process by 500 MB. Ends with exit code 1 otherwise. The files are those that the tests
use, damaged by Hypothesis; `--seed` gives other ones.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from damage import Damaged, damaged
from public_formats import COLUMNS, FORMATS, Files, save

from popi_prompt.dataset import load_users, write_users
from popi_prompt.errors import DataError, UsageError
from popi_prompt.importers import Wanted, import_users

SECONDS = 5.0
MEGABYTES = 500.0


@dataclass(slots=True)
class Outcome:
    """What became of the files of one target."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    broken: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = make_targets(folder)
        each = -(-arguments.files // len(targets))
        for warm in targets.values():
            warm.read(warm.files)
        before = peak()
        total = Outcome()
        print(f"{'target':<20} {'loaded':>7} {'refused':>8} {'slowest':>9} {'peak':>8}")
        for label, target in targets.items():
            found = fuzz(target, each, arguments.seed)
            total.counts += found.counts
            total.slowest = max(total.slowest, found.slowest)
            total.broken += [f"{label}: {problem}" for problem in found.broken]
            show(label, found, peak() - before)
        show("all", total, peak() - before)
    for problem in total.broken[:20]:
        print(problem)
    sys.exit(1 if total.broken or total.slowest > SECONDS or peak() - before > MEGABYTES else 0)


@dataclass(frozen=True, slots=True)
class Target:
    """Files in a folder, and how they are read: None if they load, or what the refusal says."""

    folder: Path
    files: Files
    read: Callable[[Files], str | None]


def make_targets(folder: Path) -> dict[str, Target]:
    """One for each hand-made set of files, and one for the reader of users."""
    targets: dict[str, Target] = {}
    for label, (name, files) in FORMATS.items():
        home = folder / label.replace(" ", "_")
        wanted = Wanted(columns=COLUMNS.get(label, {}))
        targets[label] = Target(home, files, importing(home, name, wanted))
    home = folder / "users"
    home.mkdir()
    made = import_users("pahf", save(folder / "pahf", FORMATS["pahf"][1])).users
    write_users(home / "users.jsonl", made)
    text = (home / "users.jsonl").read_text("utf-8")
    targets["users"] = Target(home, {"users.jsonl": text}, loading(home))
    return targets


def importing(home: Path, name: str, wanted: Wanted) -> Callable[[Files], str | None]:
    """Reads the files as the command line does, to the last user."""

    def read(files: Files) -> str | None:
        return refusal(lambda: list(import_users(name, save(home, files), wanted).users), home)

    return read


def loading(home: Path) -> Callable[[Files], str | None]:
    """Reads the files as users."""

    def read(files: Files) -> str | None:
        return refusal(lambda: load_users(save(home, files)[0]), home)

    return read


def refusal(read: Callable[[], object], home: Path) -> str | None:
    """What a typed error says; it must be one line that names the file. Others pass through."""
    try:
        read()
    except DataError as error:
        said = str(error)
        assert said.startswith(str(home)), f"names no file: {said!r}"
        assert len(said.splitlines()) == 1, f"is not one line: {said!r}"
        return said
    except UsageError as error:
        return str(error)
    return None


def fuzz(target: Target, count: int, start: int) -> Outcome:
    """Read `count` damaged versions of the target's files."""
    outcome = Outcome()

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(target.files))
    def run(case: Damaged) -> None:
        outcome.counts["files"] += 1
        faulthandler.dump_traceback_later(60, exit=True)
        started = time.perf_counter()
        try:
            refused = target.read({**target.files, case[0]: case[1]}) is not None
        except Exception as error:
            refused = True
            outcome.broken.append(f"{type(error).__name__}: {error} on {case[0]} {case[1][:200]!r}")
        outcome.slowest = max(outcome.slowest, time.perf_counter() - started)
        faulthandler.cancel_dump_traceback_later()
        outcome.counts["refused" if refused else "loaded"] += 1

    run()
    return outcome


def show(label: str, found: Outcome, grown: float) -> None:
    """One line of the table."""
    loaded, refused = found.counts["loaded"], found.counts["refused"]
    print(
        f"{label:<20} {loaded:>7} {refused:>8} {found.slowest * 1000:>6.0f} ms {grown:>+5.0f} MB",
        flush=True,
    )


def peak() -> float:
    """The most memory this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
