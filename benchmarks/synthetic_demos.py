"""Programs that show invented people beside programs that show users, on the same held-out users.

    python benchmarks/synthetic_demos.py student_phd.json

Reads an AlignX file with the importer, optimizes once with each kind of demonstrations, counts the
runs of six words that the synthetic program shares with the signals of all users, and writes
benchmarks/results/synthetic_demos.json: figures only, no text and no ids.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from popi_prompt.candidate import DEMOS, Demos
from popi_prompt.cli.progress import Display
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample
from popi_prompt.errors import PopiError
from popi_prompt.files import check_writable, write_text
from popi_prompt.importers import import_users
from popi_prompt.intervals import Interval, as_record, bootstrap
from popi_prompt.ngrams import Runs
from popi_prompt.program import Program
from popi_prompt.report import Report
from popi_prompt.rows import COMPILED, IMPROVED, MARGIN, UNTUNED, Row, difference
from popi_prompt.schema import User, texts_in_signals
from popi_prompt.settings import Settings
from popi_prompt.workflow import optimize

OUTPUT = Path(__file__).parent / "results" / "synthetic_demos.json"


def main() -> None:
    options = _options()
    try:
        check_writable(options.output)
        users = tuple(import_users("alignx", [str(options.data)]).users)
        everybody = sample(users, options.max_users, options.seed)
        record, rows = _measured(everybody, users, options)
    except PopiError as error:
        sys.exit(f"Error: {error}")
    real, synthetic = rows["real"], rows["synthetic"]
    for name, statistic in (("margin", MARGIN), ("reward_accuracy", IMPROVED)):
        gap = difference(synthetic, real, statistic)
        record[f"synthetic_minus_real_{name}"] = as_record(gap)
        print(f"synthetic - real, {name}: {_said(gap)}")
    write_text(options.output, json.dumps(record, indent=2) + "\n")


def _measured(
    users: tuple[User, ...], everyone: tuple[User, ...], options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Row]]:
    """One search for each kind; what it found is measured, shipped or not."""
    record: dict[str, Any] = {"dataset": fingerprint(users), "users": len(users)}
    record |= {"trials": options.trials, "seed": options.seed}
    rows: dict[str, Row] = {}
    for demos in DEMOS:
        settings = Settings(
            demos=demos,
            trials=options.trials,
            seed=options.seed,
            held_out=options.held_out,
            force=True,
        )
        started = time.monotonic()
        with Display() as display:
            done = optimize(users, settings, observer=display)
        rows[demos] = _own(done.report)
        record[demos] = _figures(done.program, rows[demos], everyone)
        record[demos]["seconds"] = round(time.monotonic() - started)
        _print(demos, record[demos], done.report)
    return record, rows


def _own(report: Report) -> Row:
    row = report.row(COMPILED) or report.row(UNTUNED)
    assert row is not None
    return row


def _figures(program: Program, row: Row, everyone: tuple[User, ...]) -> dict[str, Any]:
    signals = Runs(text for user in everyone for text in texts_in_signals(user))
    candidate = program.candidate
    texts = [candidate.instruction, candidate.conditioning.wording]
    texts += [text for demo in candidate.demonstrations for text in (demo.signals, demo.summary)]
    margins = [outcome.margin for outcome in row.outcomes]
    return {
        "shared_6_grams": sum(map(signals.shared, texts)),
        "users_checked": len(everyone),
        "demonstrations": len(candidate.demonstrations),
        "held_out": len(row.scored),
        "failed": len(row.failures),
        "reward_accuracy": as_record(row.mean(IMPROVED)),
        "margin": as_record(bootstrap(margins)),
        "tokens_median": row.tokens(50),
    }


def _print(demos: Demos, figures: dict[str, Any], report: Report) -> None:
    row = _own(report)
    print(
        f"{demos}: {figures['shared_6_grams']} shared 6-grams with {figures['users_checked']} "
        f"users' signals; {figures['demonstrations']} demonstrations, {figures['held_out']} "
        f"held-out users; D {_said(row.mean(MARGIN))}, reward accuracy {_said(row.mean(IMPROVED))}"
    )
    if demos == "synthetic" and figures["shared_6_grams"]:
        sys.exit("Error: the synthetic program shares text with users")


def _said(found: Interval) -> str:
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="student_phd.json, as AlignX publishes it")
    parser.add_argument("--trials", type=int, default=Settings().trials)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-users", type=int)
    parser.add_argument("--held-out", type=int, help="measure at most this many users")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
