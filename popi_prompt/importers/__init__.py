"""Public formats -> our users, one file a format.

An importer is a function `(path) -> Imported`. It raises `DataError` with the file (and the record)
for anything that is not the format it reads, and counts what it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from popi_prompt.importers.alignx import import_alignx
from popi_prompt.importers.imported import Imported

Importer = Callable[[Path], Imported]


@dataclass(frozen=True, slots=True)
class Format:
    """A name for the command line, what it reads, and the function that reads it."""

    name: str
    describes: str
    read: Importer


FORMATS = {
    "alignx": Format("alignx", "AlignX benchmark JSON (P-Soups files)", import_alignx),
}

__all__ = ["FORMATS", "Format", "Imported", "Importer"]
