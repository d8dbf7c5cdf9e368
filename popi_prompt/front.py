"""The programs between which reward and tokens must be traded, as one JSON file.

It holds what its programs hold: text and numbers, which may be text of training users; `holds` says
so. Loading it runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from popi_prompt.candidate import Candidate
from popi_prompt.errors import ProgramError
from popi_prompt.files import write_text
from popi_prompt.json_record import read_record, versioned
from popi_prompt.program import Program, program_from_record

if TYPE_CHECKING:
    from popi_prompt.optimizers import Point

SCHEMA_VERSION = 1
_VERSION_KEY = "popi_prompt_front"
_NUMBERS = ("reward", "margin", "tokens")
_COUNTS = ("users", "failed")


@dataclass(frozen=True, slots=True)
class Member:
    """A program and its means on the `users` to choose by, which are not held out.

    `tokens` are those inserted, `margin` is D in the scorer's unit; `failed` users are in no mean.
    """

    program: Program
    reward: float
    margin: float
    tokens: float
    users: int
    failed: int

    def as_record(self) -> dict[str, Any]:
        """The JSON object in the file."""
        numbers = {name: round(getattr(self, name), 6) for name in _NUMBERS}
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {**numbers, **counts, "program": self.program.as_record()}


def members(points: Sequence[Point], program: Callable[[Candidate], Program]) -> tuple[Member, ...]:
    """The points' programs, in the same order."""
    return tuple(
        Member(
            program(each.candidate),
            each.reward,
            each.margin,
            each.tokens,
            each.users,
            each.failed,
        )
        for each in points
    )


def holds(front: Sequence[Member]) -> str:
    """What of people is in the file, in words."""
    quoting = [
        each
        for each in front
        if each.program.candidate.demonstrations and each.program.origin.demos == "real"
    ]
    if not quoting:
        return "no user's text"
    return (
        f"signals of training users, as demonstrations, in {len(quoting)} of {len(front)} programs"
    )


def front_path(program: Path) -> Path:
    """Where the front of a run that writes `program` is."""
    return program.with_name(f"{program.stem}.front.json")


def save_front(front: Sequence[Member], path: str | Path) -> None:
    """Write the JSON file, whole or not at all."""
    record = {
        _VERSION_KEY: SCHEMA_VERSION,
        "holds": holds(front),
        "members": [each.as_record() for each in front],
    }
    write_text(Path(path), json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def load_front(path: str | Path) -> tuple[Member, ...]:
    """Read a front, the highest reward first.

    Raises `ProgramError` with the path and what is wrong.
    """
    return read_record(Path(path), _parse)


def _parse(raw: Any) -> tuple[Member, ...]:
    found = versioned(raw, _VERSION_KEY, SCHEMA_VERSION, "no front of programs").get("members")
    if not isinstance(found, list) or not found:
        raise ProgramError("has no list of 'members'; is it damaged?")
    return tuple(_member(each, f"members[{i}]") for i, each in enumerate(found))


def _member(raw: Any, where: str) -> Member:
    if not isinstance(raw, dict):
        raise ProgramError(f"{where} is not an object")
    for kinds, names in (((int, float), _NUMBERS), ((int,), _COUNTS)):
        for name in names:
            value = raw.get(name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ProgramError(f"{where} has a {name!r} that is no number: {value!r:.60}")
    try:
        program = program_from_record(raw.get("program"))
    except ProgramError as error:
        raise ProgramError(f"{where}: {error}") from None
    return Member(program, **{name: raw[name] for name in (*_NUMBERS, *_COUNTS)})
