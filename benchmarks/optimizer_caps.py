"""Many searches with a random cap each: does the server ever see more than the cap?

    python benchmarks/optimizer_caps.py --runs 50

Every optimizer searches on `datasets/tastes.jsonl` against a stub that sometimes refuses, from
eight threads, until its cap is reached. A third of the runs cap calls, a third tokens, a third
minutes: there it is the last arrival at the stub that counts, in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.comparison import Scoring
from popi_prompt.dataset import load_users
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.roles import ROLES
from popi_prompt.models.spent import Caps
from popi_prompt.optimizers import OPTIMIZERS
from popi_prompt.rewards import PopiReward
from popi_prompt.scorers import ChoiceScorer
from popi_prompt.search import search
from popi_prompt.settings import Settings
from popi_prompt.split import split_users
from popi_prompt.stub_server import Faults, Reply, StubServer

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
MODEL = "openai/stub"
THREADS = 8
_ON_ITS_WAY = 250.0  # milliseconds from the cap's last check to the stub's own clock, cores shared


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its cap, what the stub saw of it, and whether the best so far was kept."""

    number: int
    kind: str
    cap: float
    seen: float
    ended: bool
    kept: bool


def run(optimizer: str, number: int) -> Run:
    draw = random.Random(f"{optimizer} {number}")
    kind = ("tokens", "calls", "minutes")[number % 3]
    calls = draw.randint(1, 400) if kind == "calls" else None
    tokens = draw.randint(1_000, 80_000) if kind == "tokens" else None
    seconds = draw.uniform(0.0, 4.0) if kind == "minutes" else None
    minutes = None if seconds is None else seconds / 60
    last = [0.0]

    def arrived(body: dict[str, Any]) -> Reply:
        last[0] = time.monotonic()
        return {}

    faults = Faults(rate_limited=0.05, empty=0.05, retry_after=0.01, seed=number)
    split = split_users(load_users(DATA, need_pairs=True), seed=number)
    with StubServer(latency=0.002, faults=faults, reply=arrived) as stub:
        role = RoleConfig(settings={"api_base": stub.api_base, "concurrency": THREADS})
        access = Access(
            {str(each): role for each in ROLES}, caps=Caps(None, calls, tokens, minutes)
        )
        settings = Settings(MODEL, MODEL, optimizer=optimizer, seed=number, access=access)
        started = time.monotonic()
        with settings.door() as door:
            scoring = Scoring(door, ChoiceScorer(), PopiReward())
            found = search(split, scoring, settings)
        billed = sum(entry.tokens_in + entry.tokens_out for entry in stub.log)
    after = max(0.0, 1000 * (last[0] - started)) if stub.log else 0.0
    seen = {"calls": len(stub.log), "tokens": billed, "minutes": after}[kind]
    cap = 1000 * seconds + _ON_ITS_WAY if seconds is not None else calls or tokens or 0
    kept = found.curve[0].candidate == UNTUNED_CANDIDATE
    kept = kept and found.curve[-1].candidate == found.found
    return Run(number, kind, cap, seen, found.stopped is not None, kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=50, help="for every optimizer")
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS))
    arguments = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "none"
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for optimizer in arguments.optimizers:
            runs = [run(optimizer, number) for number in range(arguments.runs)]
            exceeded = [each for each in runs if each.seen > each.cap]
            over = len(exceeded)
            lost = sum(not each.kept for each in runs)
            ended = sum(each.ended for each in runs)
            print(
                f"{optimizer}: {ended} of {len(runs)} runs ended at their cap, {over} exceeded it, "
                f"{lost} lost what they had found",
                flush=True,
            )
            for each in exceeded:
                unit = "ms" if each.kind == "minutes" else each.kind
                print(
                    f"  run {each.number}: {each.seen:,.0f} of {each.cap:,.0f} {unit}", flush=True
                )
            wrong += over + lost
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
