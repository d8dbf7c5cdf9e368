"""What a file is called among others, where users are named after the file they come from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from popi_prompt.importers.tables import HUB


def file_names(files: Sequence[str]) -> dict[str, str]:
    """A name for every file: its stem, with as many folders before it as tell it from the others.

    Files that differ in nothing but their suffix keep it. A file that is given twice has one name.
    """
    paths = {source: full_path(source) for source in files}
    known = Counter(name for path in set(paths.values()) for name in set(_names(path)))
    return {
        source: next((name for name in _names(path) if known[name] == 1), str(path))
        for source, path in paths.items()
    }


def full_path(source: str) -> PurePath:
    """The path from the root; links stay, as what they lead to may have another name."""
    return PurePath(source if source.startswith(HUB) else os.path.abspath(source))


def _names(path: PurePath) -> Iterator[str]:
    parts, depths = path.parts, range(1, len(path.parts) + 1)
    for depth in depths:
        yield "/".join((*parts[:-1], path.stem)[-depth:])
    for depth in depths[1:]:
        yield "/".join(parts[-depth:])
