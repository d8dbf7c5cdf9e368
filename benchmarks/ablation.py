"""Does an optimized small inference model beat a larger one as it is, before the same generator?

    python benchmarks/ablation.py datasets/tastes.jsonl

Two inference models, each untuned and optimized, write summaries of the same held-out users for
one frozen generator. Every arm is written to benchmarks/results/ablation.json as soon as it is
measured, and a second run goes on where the first one ended: answers are kept in the cache. The
file holds figures by place in the held-out part, no ids and no texts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.cli.progress import Display
from popi_prompt.cli.render import stdout
from popi_prompt.comparison import Scoring, compare
from popi_prompt.dataset import fingerprint, load_users
from popi_prompt.drawing import sample
from popi_prompt.errors import DataError, PopiError, UsageError
from popi_prompt.evaluation import Outcome
from popi_prompt.files import check_writable, parse_json, read_bytes, write_text
from popi_prompt.intervals import Interval, bootstrap
from popi_prompt.models.access import Access
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import COMPILED, UNTUNED, Row
from popi_prompt.schema import User
from popi_prompt.scorers import make_scorer
from popi_prompt.settings import Settings
from popi_prompt.split import split_users
from popi_prompt.workflow import optimize

OUTPUT = Path(__file__).parent / "results" / "ablation.json"
SMALL, LARGE = "local/smollm2-135m", "local/qwen2.5-coder-1.5b"
# The arm that the paper is about first, then what it is compared with.
ARMS = ("small optimized", "large untuned", "large optimized", "small untuned")
FIGURES = {"margin": (-inf, inf), "reward_accuracy": (0.0, 1.0), "tokens": (0.0, inf)}

Record = dict[str, Any]


def main() -> None:
    options = _options()
    settings = {
        "small": options.small,
        "large": options.large,
        "generator": options.generator,
        "scorer": options.scorer,
        "trials": options.trials,
        "seed": options.seed,
        "max_users": options.max_users,
        "held_out": options.held_out,
    }
    try:
        users = sample(load_users(options.data, need_pairs=True), options.max_users, options.seed)
        settings["dataset"] = fingerprint(users)
        record = _started(options.output, settings)
        run(users, options, record)
    except PopiError as error:
        sys.exit(f"Error: {error}")
    _print(record)


def run(users: Sequence[User], options: argparse.Namespace, record: Record) -> None:
    """Measure the arms that are not there yet, and write each as it is done."""
    for arm in ARMS:
        if arm in record["arms"]:
            continue
        size, state = arm.split()
        measure = _optimized if state == "optimized" else _untuned
        started = time.monotonic()
        with Display() as display:
            row = measure(users, _settings(options, getattr(options, size)), display)
        record["arms"][arm] = {
            "inference": getattr(options, size),
            "seconds": round(time.monotonic() - started),
            "failed": len(row.failures),
            "by_user": _by_user(row),
        }
        write_text(options.output, json.dumps(record, indent=1) + "\n")


def _settings(options: argparse.Namespace, inference: str) -> Settings:
    return Settings(
        generator=options.generator,
        inference_model=inference,
        scorer=options.scorer,
        trials=options.trials,
        held_out=options.held_out,
        seed=options.seed,
        access=Access(cache=True),
    )


def _optimized(users: Sequence[User], settings: Settings, display: Display) -> Row:
    """What the search found, shipped or not, on users that it never saw."""
    report = optimize(users, settings, observer=display).report
    row = report.row(COMPILED) or report.row(UNTUNED)
    assert row is not None
    return row


def _untuned(users: Sequence[User], settings: Settings, display: Display) -> Row:
    """The plain instruction on the same held-out users."""
    test = sample(split_users(users, seed=settings.seed).test, settings.held_out, settings.seed)
    with settings.door(display) as door:
        scoring = Scoring(door, make_scorer(settings.scorer, door), PopiReward())
        row = compare(UNTUNED_CANDIDATE, test, scoring, (UNTUNED,), display).row(UNTUNED)
    assert row is not None
    return row


def _by_user(row: Row) -> list[Record | None]:
    """In the order of the held-out part; None for who could not be scored."""
    return [
        {"margin": each.margin, "reward_accuracy": each.improved, "tokens": each.tokens}
        if isinstance(each, Outcome)
        else None
        for each in row.results
    ]


def _started(output: Path, settings: Record) -> Record:
    """What an earlier run with the same settings left. Raises `UsageError` for another one's."""
    check_writable(output)
    if not output.exists():
        return {"settings": settings, "arms": {}}
    record = parse_json(read_bytes(output).decode("utf-8", "replace"), output)
    if not isinstance(record, dict) or not {"settings", "arms"} <= set(record):
        raise DataError("holds no ablation; name another file with --output", path=output)
    for key, value in settings.items():
        before = record["settings"].get(key)
        if before != value:
            raise UsageError(
                f"{str(output)!r} was measured with {key} {before!r}, this run has {value!r}; "
                "name another file with --output"
            )
    return dict(record)


def figures(record: Record, arm: str, figure: str, minus: str | None = None) -> Interval:
    """Mean of an arm, or of its paired difference from another, over users scored in both."""
    mine = record["arms"][arm]["by_user"]
    other = mine if minus is None else record["arms"][minus]["by_user"]
    both = [(a[figure], b[figure]) for a, b in zip(mine, other, strict=True) if a and b]
    if minus is not None:
        return bootstrap([a - b for a, b in both])
    return bootstrap([a for a, _ in both], *FIGURES[figure])


def _print(record: Record) -> None:
    generator = record["settings"]["generator"]
    count = len(record["arms"][ARMS[0]]["by_user"])
    arms = _table(f"{count} held-out users, generator {generator}", "failed")
    for arm, found in record["arms"].items():
        name = f"{arm.split()[1]} {found['inference']}"
        arms.add_row(name, *_figures(partial(figures, record, arm)), str(found["failed"]))
    gaps = _table(f"{ARMS[0]} minus")
    for other in ARMS[1:]:
        paired = partial(figures, record, ARMS[0], minus=other)
        gaps.add_row(other, *_figures(paired, "+"))
    console = stdout()
    console.print(arms)
    console.print(gaps)


def _table(title: str, *more: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("inference")
    for column in ("D", "moved to chosen", "tokens inserted", *more):
        table.add_column(column, justify="right")
    return table


def _figures(figure: Callable[[str], Interval], sign: str = "") -> tuple[str, str, str]:
    """Means with their intervals, for a row of the table."""
    d, share, tokens = (figure(name) for name in FIGURES)
    return (
        f"{d.mean:+.2f} \\[{d.low:+.2f}, {d.high:+.2f}]",
        f"{share.mean:{sign}.1%} \\[{share.low:{sign}.1%}, {share.high:{sign}.1%}]",
        f"{tokens.mean:{sign}.1f} \\[{tokens.low:{sign}.1f}, {tokens.high:{sign}.1f}]",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--small", default=SMALL, help="an inference model")
    parser.add_argument("--large", default=LARGE, help="a larger one")
    parser.add_argument("--generator", default=SMALL, help="frozen, the same for all arms")
    parser.add_argument("--scorer", help="likelihood, choice, ...; default: by route")
    parser.add_argument("--trials", type=int, default=Settings().trials)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-users", type=int)
    parser.add_argument("--held-out", type=int, help="measure at most this many users")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
