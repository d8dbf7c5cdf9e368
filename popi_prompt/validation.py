"""Everything that is wrong with a file of users, not the first thing alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popi_prompt.dataset import NO_USERS, read_users
from popi_prompt.errors import DataError


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and on which line; None where it is the file as a whole."""

    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Validation:
    """How many users could be read, how many of them lack something, and every bad line."""

    users: int
    without_signals: int
    without_pairs: int
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Whether every command reads the file."""
        return not self.problems

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "valid": self.valid,
            "users": self.users,
            "without_signals": self.without_signals,
            "without_pairs": self.without_pairs,
            "problems": [{"line": each.line, "problem": each.text} for each in self.problems],
        }


def validate(path: Path, *, need_pairs: bool = False) -> Validation:
    """Read every line of a file of users, and keep none of them.

    With `need_pairs` a user without pairs is a problem, too. Raises `DataError` where the file
    itself cannot be read.
    """
    users = without_signals = without_pairs = 0
    problems: list[Problem] = []
    for line, found in read_users(path, need_pairs=need_pairs):
        if isinstance(found, DataError):
            problems.append(Problem(line, found.problem))
            continue
        users += 1
        without_signals += not found.signals
        without_pairs += not found.pairs
    if not users and not problems:
        problems.append(Problem(None, NO_USERS))
    return Validation(users, without_signals, without_pairs, tuple(problems))
