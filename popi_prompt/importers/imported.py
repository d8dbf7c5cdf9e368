"""What an importer is asked for and what it gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from popi_prompt.schema import User


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to make users of a file. `None`: as the format's own default has it.

    `signals` and `pairs`: at most so many a user. `columns` maps our names to a file's.
    """

    signals: int | None = None
    pairs: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Imported:
    """Users, read as they are asked for. `left_out` maps a reason to how much it cost.

    The counts are complete when the users are used up.
    """

    users: Iterator[User]
    left_out: Counter[str]
