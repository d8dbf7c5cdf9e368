"""Compile a program and measure it on every held-out user; print and keep the figures.

    python benchmarks/held_out.py users.jsonl --name student_phd

Writes benchmarks/results/NAME.json: the report, the run's settings and times. Run it again with
another name to repeat it.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

from popi_prompt.candidate import DEMOS
from popi_prompt.cli.progress import Display
from popi_prompt.cli.tables import print_report
from popi_prompt.dataset import load_users
from popi_prompt.files import write_text
from popi_prompt.settings import Settings
from popi_prompt.workflow import optimize

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--trials", type=int, default=Settings().trials)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--demos", choices=DEMOS, default="real", help="see docs/privacy.md")
    arguments = parser.parse_args()
    settings = Settings(trials=arguments.trials, seed=arguments.seed, demos=arguments.demos)
    users = load_users(arguments.data, need_pairs=True)
    RESULTS.mkdir(exist_ok=True)
    started = time.monotonic()
    with Display() as display:
        done = optimize(users, settings, observer=display)
    seconds = time.monotonic() - started
    record = {
        "command": f"python benchmarks/held_out.py {arguments.data.name} --name {arguments.name} "
        f"--trials {arguments.trials} --seed {arguments.seed} --demos {arguments.demos}",
        "seconds": round(seconds),
        "machine": f"{platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}",
        "program": done.program.as_record(),
        "report": done.report.as_record(),
    }
    # Demonstrations and groups hold the data's text, which is not ours to keep.
    record["report"].pop("groups")  # type: ignore[attr-defined]
    record["program"]["demonstrations"] = len(done.program.candidate.demonstrations)  # type: ignore[index]
    write_text(RESULTS / f"{arguments.name}.json", json.dumps(record, indent=2) + "\n")
    print_report(done.report, "held-out users, not seen while optimizing")
    print(f"{seconds:.0f} s in all")


if __name__ == "__main__":
    main()
