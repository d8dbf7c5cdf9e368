"""What a program's menu and its priors bring, with its demonstrations and without.

    python benchmarks/choosing.py programs/tastes.json datasets/tastes.jsonl

Five ways to a summary, on the held-out users of the program's split: written; the likeliest of
the menu; the one furthest above its prior; and the last two without demonstrations,
with priors measured anew on training users. Writes benchmarks/results/choosing.json, figures by
place in the held-out part, no ids and no texts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from popi_prompt.candidate import Candidate, Menu
from popi_prompt.cli.progress import Display
from popi_prompt.cli.render import stdout
from popi_prompt.dataset import load_users
from popi_prompt.errors import PopiError, UsageError
from popi_prompt.evaluation import Metric, Outcome, evaluate
from popi_prompt.files import write_text
from popi_prompt.generator import Generator
from popi_prompt.inference import summarizer
from popi_prompt.intervals import bootstrap
from popi_prompt.models.access import Access
from popi_prompt.models.door import Door
from popi_prompt.optimizers.calibration import Calibration
from popi_prompt.program import Program, load
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.settings import Settings
from popi_prompt.split import split_users

OUTPUT = Path(__file__).parent / "results" / "choosing.json"
ASKED = 24  # training users, for the priors without demonstrations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("program", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    try:
        arms = measured(load(options.program), options.data)
    except PopiError as error:
        sys.exit(f"Error: {error}")
    write_text(options.output, json.dumps(arms, indent=1) + "\n")
    _print(arms)


def measured(program: Program, data: Path) -> dict[str, list[float]]:
    """D of the held-out users by arm."""
    split = split_users(load_users(data, need_pairs=True), seed=program.origin.seed)
    models = program.models
    settings = Settings(
        generator=models["generator"],
        inference_model=models["inference"],
        access=Access(cache=True),
    )
    with Display() as display, settings.door(display) as door:
        arms = _arms(program.candidate, split.train[:ASKED], door)
        metric = Metric(
            Generator(door, program.candidate.conditioning), LikelihoodScorer(), PopiReward()
        )
        return {
            name: [
                each.margin
                for each in evaluate(split.test, summarizer(arm, door), metric)
                if isinstance(each, Outcome)
            ]
            for name, arm in arms.items()
        }


def _arms(chosen: Candidate, asked: tuple[User, ...], door: Door) -> Mapping[str, Candidate]:
    if not isinstance(chosen.menu, Menu):
        raise UsageError("the program has no menu of whole summaries")
    bare = replace(chosen, demonstrations=(), menu=None)
    alone = Calibration(chosen.menu.summaries, asked).of(bare, door)
    return {
        "written": replace(chosen, menu=None),
        "likeliest": _likeliest(chosen),
        "above its prior": chosen,
        "likeliest, no demonstrations": _likeliest(alone),
        "above its prior, no demonstrations": alone,
    }


def _likeliest(candidate: Candidate) -> Candidate:
    if not isinstance(candidate.menu, Menu):
        raise UsageError("the inference model gives no log-probabilities")
    flat = (0.0,) * len(candidate.menu.summaries)
    return replace(candidate, menu=replace(candidate.menu, priors=flat))


def _print(arms: Mapping[str, list[float]]) -> None:
    table = Table(box=SIMPLE_HEAD)
    for name in ("summary", "D in nats [95% interval]", "moved to chosen", "users"):
        table.add_column(name, justify="left" if name == "summary" else "right")
    for name, margins in arms.items():
        found = bootstrap(margins)
        share = sum(each > 0 for each in margins) / len(margins)
        shift = f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
        table.add_row(name, shift, f"{share:.1%}", f"{len(margins)}")
    stdout().print(table)


if __name__ == "__main__":
    main()
