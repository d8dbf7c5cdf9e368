"""Where the cache of answers is, and how full."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_BYTES = 1 << 30


def default_path() -> Path:
    """`$XDG_CACHE_HOME/popi-prompt/answers.sqlite`, under `~/.cache` where that is not set."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return folder / "popi-prompt" / "answers.sqlite"


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The cache now. `hits` and `misses` are of this process; times are epoch seconds.

    `bytes` is the file with its write-ahead log; `limit` bounds the file.
    """

    path: Path
    entries: int
    bytes: int
    limit: int
    hits: int
    misses: int
    oldest: float | None
    newest: float | None

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"path": str(self.path)}
