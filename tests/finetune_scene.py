"""Users of two tastes, a program of theirs, and models whose summaries serve one or the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.dataset import fingerprint
from popi_prompt.finetune.plan import Plan
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.program import Origin, Program
from popi_prompt.prompts import Messages
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.testing import FakeModel, fake_door

PLAIN = "use simple everyday words that a young child can easily understand"
EXPERT = "use the precise technical terms that only an expert in the field understands"
SUMMARIES = ("Answer somehow.", "Simple everyday words.", "Precise technical terms.")
COPY = f"Please {PLAIN}."


def user(number: int) -> User:
    chosen, rejected = (PLAIN, EXPERT) if number % 2 else (EXPERT, PLAIN)
    return User(
        f"u{number:03d}",
        (Preference(f"signal {number}", chosen, rejected),),
        (Pair(f"pair {number}", chosen, rejected),),
    )


def users(count: int = 20) -> tuple[User, ...]:
    return tuple(map(user, range(count)))


def program_of(
    people: tuple[User, ...], candidate: Candidate = UNTUNED_CANDIDATE, **changes: Any
) -> Program:
    origin = {
        "scorer": "likelihood",
        "seed": 0,
        "dataset": fingerprint(people),
        "users": len(people),
        "trials": 0,
        **changes,
    }
    names = {role: f"fake/{role}" for role in ("generator", "inference", "proposer")}
    return Program(candidate, names, Origin(**origin))


def reply(messages: Messages, sampling: Sampling) -> str:
    """The first draw serves nobody, the others one taste each."""
    return SUMMARIES[sampling.sample % len(SUMMARIES)]


def door_of(inference: FakeModel | None = None, generator: FakeModel | None = None) -> Door:
    return fake_door(
        {"inference": inference or FakeModel(reply), "generator": generator or FakeModel()}
    )


def plan_in(folder: Path, **changes: Any) -> Plan:
    files = {
        "output": folder / "train.jsonl",
        "samples": folder / "samples.jsonl",
        "validation": folder / "validation.jsonl",
    }
    return Plan(**{**files, "draws": 3, **changes})


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
