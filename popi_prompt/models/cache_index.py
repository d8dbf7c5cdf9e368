"""Which keys a cache file holds, so that a new request is known as new without asking SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

_MOST_KEYS = 250_000  # about 20 MB
_LOOK_SECONDS = 0.1

_NEWER = "SELECT id, key FROM answers WHERE id > ? ORDER BY id LIMIT ?"


class CacheIndex:
    """Keys of one file, by their hashes. Not thread-safe.

    Every step of SQLite gives the interpreter lock away; with many threads, getting it back takes
    far longer than the step. What other processes add is seen within a tenth of a second: they
    commit no more often. A file with more keys than are kept here is always asked.
    """

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._newest = 0
        self._looked = float("-inf")
        self._full = False

    def may_hold(self, key: str, db: sqlite3.Connection) -> bool:
        """Whether it is worth asking the file. Raises `sqlite3.Error`."""
        if self._full:
            return True
        if hash(key) not in self._hashes and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look(db)
        return self._full or hash(key) in self._hashes

    def add(self, keys: Iterable[str]) -> None:
        """These are in the file now."""
        if not self._full:
            self._hashes.update(map(hash, keys))
        if len(self._hashes) > _MOST_KEYS:
            self._full = True
            self._hashes.clear()

    def _look(self, db: sqlite3.Connection) -> None:
        newest: int | None = db.execute("SELECT max(id) FROM answers").fetchall()[0][0]
        if (newest or 0) < self._newest:
            self._newest = 0  # some were removed, and ids start anew
        rows = db.execute(_NEWER, (self._newest, _MOST_KEYS + 1)).fetchall()
        self.add(key for _, key in rows)
        self._newest = max(newest or 0, rows[-1][0] if rows else 0)
        self._looked = time.monotonic()
