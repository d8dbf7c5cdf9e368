"""What an importer gives back."""

from __future__ import annotations

from dataclasses import dataclass

from popi_prompt.schema import User


@dataclass(frozen=True, slots=True)
class Imported:
    """Users read from a public format. `left_out` maps a reason to how many records it cost."""

    users: tuple[User, ...]
    left_out: dict[str, int]
