"""Load, split and validate very many users: seconds, processor time and peak memory of each.

    python benchmarks/many_users.py [DATA] [--count 100000] [--name many_users]

The users are made from DATA by `popi-prompt data sample --copies`. Each step runs in a process of
its own, as a command would; the peak is that of the whole process. Split loads first, and its
seconds are those of both. With --name, writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from popi_prompt.files import write_text

RESULTS = Path(__file__).parent / "results"
TASTES = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
# Linux counts in KiB, macOS in bytes.
_MEBIBYTES = 1024 * (1024 if sys.platform == "darwin" else 1)


def make(source: Path, path: Path, count: int) -> int:
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.drawing import draw

    write_users(path, draw(load_users(source), count, copies=True))
    return count


def load(source: Path, path: Path, count: int) -> int:
    from popi_prompt.dataset import load_users

    return len(load_users(path, need_pairs=True))


def split(source: Path, path: Path, count: int) -> int:
    from popi_prompt.dataset import load_users
    from popi_prompt.split import split_users

    done = split_users(load_users(path, need_pairs=True))
    return sum(map(len, done.parts.values()))


def validate(source: Path, path: Path, count: int) -> int:
    from popi_prompt.validation import validate

    found = validate(path, need_pairs=True)
    assert found.valid
    return found.users


STEPS: tuple[Callable[[Path, Path, int], int], ...] = (make, load, split, validate)


def measured(
    step: Callable[[Path, Path, int], int], source: Path, path: Path, count: int
) -> tuple[float, float, float, int]:
    """Seconds, those of the processor, MiB at the peak, users; for a process of its own."""
    started, busy = time.perf_counter(), time.process_time()
    users = step(source, path, count)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEBIBYTES
    return seconds, busy, peak, users


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, nargs="?", default=TASTES)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--name")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    record: dict[str, object] = {"data": options.data.name, "count": options.count}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.jsonl"
        for step in STEPS:
            arguments = (step, options.data, path, options.count)
            with context.Pool(1) as pool:
                seconds, busy, peak, users = pool.apply(measured, arguments)
            print(
                f"{step.__name__:<9} {seconds:6.1f} s  {busy:6.1f} s busy  {peak:6.0f} MiB  "
                f"{users} users"
            )
            record[step.__name__] = {
                "seconds": round(seconds, 1),
                "processor_seconds": round(busy, 1),
                "peak_mib": round(peak),
            }
            if step is make:
                size = path.stat().st_size / 1e6
                print(f"{'':<9} the file has {size:.0f} MB")
                record["file_mb"] = round(size)
    if options.name is not None:
        write_text(RESULTS / f"{options.name}.json", json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
