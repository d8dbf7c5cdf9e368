"""Families of users that are measured side by side: files of their own, or by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from popi_prompt.dataset import load_users
from popi_prompt.errors import UsageError
from popi_prompt.program import Program, load
from popi_prompt.schema import User
from popi_prompt.shipped import shipped

_USERS = "users.jsonl"


@dataclass(frozen=True, slots=True)
class Family:
    """Users with pairs under a name; `program` is the one compiled for them, if there is one."""

    name: str
    users: tuple[User, ...]
    program: Program | None = None


def load_families(
    given: Sequence[str], programs: Mapping[str, str | Path] | None = None
) -> tuple[Family, ...]:
    """Families from paths of JSONL files or names of folders in `datasets`.

    A family's program is that of `programs`, by the family's name, else the shipped one of that
    name. Raises `UsageError` for a family that is none or is named twice, and for a program of a
    family that is not among them; `DataError` and `ProgramError` for files that cannot be read.
    """
    paths = [_path(each) for each in given]
    names = [_name(path) for path in paths]
    wanted = dict(programs or {})
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two families are named {name!r}; rename a file")
    for name in wanted:
        if name not in names:
            raise UsageError(f"a program is given for {name!r}; families: {', '.join(names)}")
    for name in names:
        path = shipped(name)
        if path is not None:
            wanted.setdefault(name, path)
    loaded = {name: load(path) for name, path in wanted.items()}
    return tuple(
        Family(name, load_users(path, need_pairs=True), loaded.get(name))
        for name, path in zip(names, paths, strict=True)
    )


def _path(given: str) -> Path:
    """A file as given, or of the project's data in this folder or in the package's checkout."""
    checkout = Path(__file__).parent.parent
    named = [Path(root) / "datasets" / given / _USERS for root in (Path(), checkout)]
    for path in (Path(given), *named):
        if os.path.isfile(path):
            return path
    if Path(given).suffix:
        return Path(given)  # reading it says what is wrong
    raise UsageError(f"no family {given!r}: there is neither such a file nor {str(named[0])!r}")


def _name(path: Path) -> str:
    return path.resolve().parent.name if path.name == _USERS else path.stem
