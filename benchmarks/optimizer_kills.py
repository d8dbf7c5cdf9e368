"""Kill `optimize` at random moments, run it again until it ends, compare with the whole run.

    python benchmarks/optimizer_kills.py --kills 50

A small run against a stub that answers like a sampling model: whoever asks the same again gets
another answer, unless the first one was in flight at a kill. Every run is in the results as soon as
it has ended; the same command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from killed_searches import Ended, run

RESULTS = Path(__file__).parent / "results" / "optimizer_kills.json"


def record(ended: Ended) -> dict[str, Any]:
    found = {**asdict(ended), "program": hashlib.sha256(ended.program).hexdigest()}
    return {**found, "seconds": round(ended.seconds, 2)}


def measured(concurrency: int, kills: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The whole run first, then killed ones, until there are enough kills."""
    path: Path = options.output
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    runs: list[dict[str, Any]] = results.setdefault(f"concurrency {concurrency}", [])
    while not runs or sum(each["kills"] for each in runs) < kills:
        draw = random.Random(f"{options.seed} {concurrency} {len(runs)}")
        left = kills - sum(each["kills"] for each in runs)
        most = min(options.kills_per_run, left) if runs else 0
        span = runs[0]["seconds"] if runs else 0.0
        runs.append(record(run(concurrency, kills=most, draw=draw, span=span)))
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(f"concurrency {concurrency}, run {len(runs)}: {runs[-1]}", flush=True)
    return runs


def wrong(concurrency: int, runs: list[dict[str, Any]]) -> int:
    whole, killed = runs[0], runs[1:]
    differ = sum(each["program"] != whole["program"] for each in killed)
    repeated = sum(each["repeated"] for each in runs)
    twice = sum(each["trials_twice"] for each in killed)
    other = sum(
        (each["trials"], each["kept"]) != (whole["trials"], whole["kept"]) for each in killed
    )
    kills, in_flight = (sum(each[name] for each in killed) for name in ("kills", "in_flight"))
    print(
        f"concurrency {concurrency}: {len(killed)} runs of {whole['calls']} calls, {kills} kills: "
        f"{differ} programs that differ, {repeated} answered calls sent again, {twice} trials "
        f"recorded twice, {other} other records; {in_flight} calls in flight at a kill, sent again"
    )
    return int(differ + repeated + twice + other)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=50, help="at each concurrency")
    parser.add_argument("--kills-per-run", type=int, default=5)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = {each: measured(each, options.kills, options) for each in options.concurrency}
    programs = {runs[0]["program"] for runs in found.values()}
    print(f"programs of the whole runs: {len(programs)}")
    return 1 if sum(wrong(each, runs) for each, runs in found.items()) + len(programs) - 1 else 0


if __name__ == "__main__":
    sys.exit(main())
