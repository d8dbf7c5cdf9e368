"""Optimizers side by side: what they find for the same calls, on users that none of them saw.

    python benchmarks/optimizers.py student_phd.jsonl --max-calls 1500 --seeds 0 1 2

Every optimizer searches on the same split and validation users, under the same cap, and without a
cache, so that it pays for all it asks. What it kept on the way is measured on held-out users
afterwards, outside the cap. A run is written to benchmarks/results/optimizers.json once it is
measured, and the same command goes on after the last one. The file holds figures by a user's place
in the data, no ids and no texts. Curves go to a PNG beside it (`pip install ".[bench]"`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from optimizer_tables import Record, plot, print_tables

from popi_prompt.candidate import Candidate
from popi_prompt.cli.progress import Display
from popi_prompt.comparison import Scoring
from popi_prompt.dataset import fingerprint, load_users
from popi_prompt.drawing import sample
from popi_prompt.errors import DataError, PopiError, UsageError
from popi_prompt.evaluation import Metric, Outcome, evaluate
from popi_prompt.events import PhaseStarted
from popi_prompt.files import check_writable, parse_json, read_bytes, write_text
from popi_prompt.generator import Generator
from popi_prompt.guard import make_guard
from popi_prompt.inference import summarizer
from popi_prompt.models.access import Access
from popi_prompt.models.spent import Caps, total
from popi_prompt.schema import User
from popi_prompt.search import Searched, open_scoring, search
from popi_prompt.settings import DEFAULT_MODEL, Settings
from popi_prompt.split import split_users

OUTPUT = Path(__file__).parent / "results" / "optimizers.json"
COMPARED = ["popi", "mipro", "gepa", "random"]


def main() -> None:
    options = _options()
    try:
        users = sample(load_users(options.data, need_pairs=True), options.max_users, 0)
        recorded = ("generator", "inference_model", "proposer", "scorer", "trials")
        settings = {name: getattr(options, name) for name in recorded}
        settings |= {"max_calls": options.max_calls, "max_tokens": options.max_tokens}
        settings |= {"held_out": options.held_out, "dataset": fingerprint(users)}
        record = _started(options.output, settings)
        for seed in options.seeds:
            for name in options.optimizers:
                _run(users, options, record, (name, seed))
    except PopiError as error:
        sys.exit(f"Error: {error}")
    print_tables(record, options.seeds, options.optimizers)
    plot(record, options.seeds, options.optimizers, options.output.with_suffix(".png"))


def _run(
    users: Sequence[User], options: argparse.Namespace, record: Record, which: tuple[str, int]
) -> None:
    """Search and measure, unless that was done before, and write what came of it."""
    name, seed = which
    if f"{name} {seed}" in record["runs"]:
        return
    split = split_users(users, seed=seed)
    settings = _settings(options, name, seed)
    guard = make_guard("real", users, split)
    started = time.monotonic()
    with Display() as display:
        with settings.door(display) as door:
            scoring = open_scoring(settings, door, display)
            found = search(split, scoring, settings, display, guard=guard)
            spent = total(door.spent().values())
        seconds = time.monotonic() - started
        places = {user.user_id: i for i, user in enumerate(users)}
        held_out = split.test[: options.held_out]
        measured = _measured(found, held_out, options, display)
    record["runs"][f"{name} {seed}"] = {
        "seconds": round(seconds),
        "stopped": found.stopped is not None,
        "calls": spent.calls,
        "tokens": spent.tokens,
        "curve": [
            {
                "calls": kept.spent.calls,
                "tokens": kept.spent.tokens,
                "validation_reward": kept.reward,
                "demonstrations": len(kept.candidate.demonstrations),
                "held_out": _by_place(measured[kept.candidate], places),
            }
            for kept in found.curve
        ],
    }
    write_text(options.output, json.dumps(record, indent=1) + "\n")


def _settings(options: argparse.Namespace, optimizer: str, seed: int) -> Settings:
    return Settings(
        generator=options.generator,
        inference_model=options.inference_model,
        proposer=options.proposer,
        scorer=options.scorer,
        optimizer=optimizer,
        trials=options.trials,
        seed=seed,
        access=Access(caps=Caps(calls=options.max_calls, tokens=options.max_tokens)),
    )


def _measured(
    found: Searched, users: Sequence[User], options: argparse.Namespace, display: Display
) -> dict[Candidate, list[tuple[str, Record | None]]]:
    """Every candidate that was kept on users that took no part; None for who cannot be scored."""
    settings = Settings(
        generator=options.generator,
        inference_model=options.inference_model,
        scorer=options.scorer,
        access=Access(cache=True),
    )
    measured = {}
    with settings.door(display) as door:
        scoring: Scoring = open_scoring(settings, door, display)
        for candidate in dict.fromkeys(kept.candidate for kept in found.curve):
            display(PhaseStarted("held-out users", len(users)))
            generator = Generator(door, candidate.conditioning)
            metric = Metric(generator, scoring.scorer, scoring.reward)
            results = evaluate(users, summarizer(candidate, door), metric, display)
            measured[candidate] = [
                (each.user_id, _figures(each) if isinstance(each, Outcome) else None)
                for each in results
            ]
    return measured


def _figures(outcome: Outcome) -> Record:
    return {
        "margin": round(outcome.margin, 4),
        "reward_accuracy": outcome.improved,
        "tokens": outcome.tokens,
    }


def _by_place(
    measured: Sequence[tuple[str, Record | None]], places: Mapping[str, int]
) -> dict[str, Record | None]:
    return {str(places[user_id]): figures for user_id, figures in measured}


def _started(output: Path, settings: Record) -> Record:
    """What an earlier run with the same settings left. Raises `UsageError` for another one's."""
    check_writable(output)
    if not output.exists():
        return {"settings": settings, "runs": {}}
    record = parse_json(read_bytes(output).decode("utf-8", "replace"), output)
    if not isinstance(record, dict) or not {"settings", "runs"} <= set(record):
        raise DataError("holds no such benchmark; name another file with --output", path=output)
    for key, value in settings.items():
        before = record["settings"].get(key)
        if before != value:
            raise UsageError(
                f"{str(output)!r} was measured with {key} {before!r}, this run has {value!r}; "
                "name another file with --output"
            )
    return dict(record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--generator", default=DEFAULT_MODEL)
    parser.add_argument("--inference-model", default=DEFAULT_MODEL)
    parser.add_argument("--proposer", help="default: the inference model")
    parser.add_argument("--scorer", help="likelihood, choice, ...; default: by route")
    parser.add_argument("--optimizers", nargs="+", default=COMPARED, help="own one first")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-calls", type=int, help="of each search")
    parser.add_argument("--max-tokens", type=int, help="of each search")
    parser.add_argument("--trials", type=int, default=40, help="of each search, if the cap allows")
    parser.add_argument("--max-users", type=int)
    parser.add_argument("--held-out", type=int, help="measure at most this many users")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
