"""Programs that come with the package, by name."""

from __future__ import annotations

import os
from pathlib import Path

from popi_prompt.errors import ProgramError


def shipped(name: str) -> Path | None:
    """The file of the program of this name that comes with the package, if there is one."""
    return _shipped().get(name)


def _shipped() -> dict[str, Path]:
    """In a checkout they are beside the package, installed inside it."""
    package = Path(__file__).parent
    folders = (package / "programs", package.parent / "programs")
    return {path.stem: path for folder in folders[::-1] for path in folder.glob("*.json")}


def located(path: Path) -> Path:
    """The path itself, or that of the shipped program of this bare name.

    A folder of this name is no program. Raises `ProgramError` for a bare name that is neither.
    """
    if path.suffix or len(path.parts) != 1 or _is_file(path):
        return path
    known = _shipped()
    if path.name not in known:
        raise ProgramError(
            f"there is no file and no shipped program {path.name!r}; shipped: "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    return known[path.name]


def _is_file(path: Path) -> bool:
    return os.path.exists(path) and not os.path.isdir(path)
