"""Samples: summaries that were drawn for one user and scored, and those that failed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from popi_prompt.records import user_record
from popi_prompt.schema import User

COPIED = "Copied"


@dataclass(frozen=True, slots=True)
class Sample:
    """A summary with its reward and mean margin over the user's pairs.

    `number` 0 is what the model writes by the program's instruction, greedily: the program's own
    summary where it has no menu. The others are drawn with temperature.
    """

    number: int
    text: str
    reward: float
    margin: float


@dataclass(frozen=True, slots=True)
class Missed:
    """A draw that gives no sample, however often it is repeated: `error` is a type, or "Copied"."""

    number: int
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """All draws of one user. `key` is of the user's signals and pairs as they were then."""

    user_id: str
    key: str
    samples: tuple[Sample, ...] = ()
    missed: tuple[Missed, ...] = ()

    def numbers(self) -> frozenset[int]:
        """The draws that need not be repeated."""
        return frozenset(
            (*(each.number for each in self.samples), *(each.number for each in self.missed))
        )

    def plus(self, found: Sample | Missed) -> Drawn:
        """With one more draw."""
        if isinstance(found, Sample):
            return replace(self, samples=(*self.samples, found))
        return replace(self, missed=(*self.missed, found))

    def first(self, draws: int) -> Drawn:
        """The draws below this number: a file may hold more than an export asks for."""
        return replace(
            self,
            samples=tuple(each for each in self.samples if each.number < draws),
            missed=tuple(each for each in self.missed if each.number < draws),
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """What samples depend on beside the user; samples of another recipe are not comparable.

    `program` is a hash of the instruction, demonstrations, view and conditioning. `models` are
    those that drew and scored, by role: a name, or an object of the name and what else decides the
    answers of its route.
    """

    program: str
    models: Mapping[str, Any]
    scorer: str
    reward: str
    temperature: float
    seed: int

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "models": dict(self.models)}


def user_key(user: User) -> str:
    """Changes with anything that samples of this user depend on."""
    record = user_record(user)
    known = {"signals": record["signals"], "pairs": record["pairs"], "gold": record.get("gold")}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:24]
