"""Which keys a cache file holds, so that a new request is known as new without asking SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

_MOST_KEYS = 250_000  # about 20 MB
_LOOK_SECONDS = 0.1

_FROM = "SELECT id, key, created FROM answers WHERE id >= ? ORDER BY id LIMIT ?"
_Row = tuple[int, str, float]


class CacheIndex:
    """Keys of one file, by their hashes. Not thread-safe.

    Every step of SQLite gives the interpreter lock away; with many threads, getting it back takes
    far longer than the step. What other processes add is seen within a tenth of a second: they
    commit no more often. A file with more keys than are kept here is always asked.
    """

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._newest: _Row | None = None
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
        rows: list[_Row] = []
        if self._newest is not None:
            rows = _rows(db, self._newest[0])
        if rows[:1] != [self._newest]:
            # The newest one was removed, so that its id and those before it may be given again.
            rows = _rows(db, 0)
        self.add(key for _, key, _ in rows)
        self._newest = rows[-1] if rows else None
        self._looked = time.monotonic()


def _rows(db: sqlite3.Connection, first: int) -> list[_Row]:
    """From this id on, in one statement: other processes write between two."""
    return db.execute(_FROM, (first, _MOST_KEYS + 1)).fetchall()
