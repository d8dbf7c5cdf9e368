"""The SQLite file under the cache of answers: what is in it, how it is bounded, how it forgets."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from popi_prompt.errors import CacheError
from popi_prompt.models.cache_index import CacheIndex
from popi_prompt.models.cache_schema import connect, make_file, prepare, transaction

_KEEP = 0.9
_ROW_BYTES = 100
_WAL_PAGES = 256

# Many rows a statement: each step of SQLite gives the interpreter lock away, and other threads
# keep it.
_ROWS = 100
_PUT = (
    "INSERT INTO answers (key, value, created, used) VALUES {rows} "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, used = excluded.used"
)
_OWN = (
    "WITH owned (user, key) AS (VALUES {rows}) INSERT OR IGNORE INTO owners "
    "SELECT owned.user, answers.id FROM owned JOIN answers ON answers.key = owned.key"
)


class CacheFile:
    """Answers by key, in a file of mode 0600. Thread-safe; other processes may share the file.

    Opening raises `CacheError` for a file that is damaged or not a cache, `OSError` or
    `sqlite3.OperationalError` where it cannot be opened or made; methods raise `sqlite3.Error`.
    """

    def __init__(self, path: Path, max_bytes: int):
        self.path = path
        make_file(path)
        # Reads have their own connection: they do not wait while a batch is written.
        self._reader, self._writer = connect(path), connect(path)
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._index = CacheIndex()
        try:
            self._salt = prepare(path, self._reader, self._writer)
            self._page: int = self._writer.execute("PRAGMA page_size").fetchone()[0]
        except BaseException:
            self.close()
            raise
        self._max_pages = max_bytes // self._page
        _open_files.add(self)

    def read(self, key: str) -> bytes | None:
        """The value of `key`."""
        with self._reading:
            if not self._index.may_hold(key, self._reader):
                return None
            # fetchall ends the read, so that it does not hold back checkpoints.
            rows = self._reader.execute(
                "SELECT value FROM answers WHERE key = ?", (key,)
            ).fetchall()
        return bytes(rows[0][0]) if rows else None

    def write(
        self,
        answers: Mapping[str, bytes],
        owners: Iterable[tuple[bytes, str]],
        used: Mapping[str, int],
    ) -> None:
        """Add answers, note who owns them and when keys were used (nanoseconds), in one commit.

        The answers used longest ago make room: the file does not grow over its limit.
        """
        now = time.time()
        db = self._writer
        with self._writing, transaction(db):
            _many(db, _PUT, [(key, value, now, used[key]) for key, value in answers.items()])
            db.executemany(
                "UPDATE answers SET used = ? WHERE key = ? AND used < ?",
                [(at, key, at) for key, at in used.items() if key not in answers],
            )
            _many(db, _OWN, list(owners))
            self._evict()
        with self._reading:
            self._index.add(answers)

    def owner(self, user_id: str) -> bytes:
        """What stands for a user in the file: a hash with a salt that only this file has."""
        name = user_id.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, key=self._salt, digest_size=16).digest()

    def forget(self, user_id: str | None) -> int:
        """Remove the answers of a user, or all for None; how many. No byte of them is left here.

        Raises `CacheError` where that is not sure: a full disk, or others who use the file.
        """
        which = "" if user_id is None else " WHERE id IN (SELECT answer FROM owners WHERE user = ?)"
        values = () if user_id is None else (self.owner(user_id),)
        problem = "another process uses it"
        with self._writing:
            with transaction(self._writer):
                removed = self._writer.execute(f"DELETE FROM answers{which}", values).rowcount
            try:
                # Pages that were rebalanced keep copies that secure_delete does not know of.
                self._writer.execute("VACUUM")
                if not self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    return removed
            except sqlite3.OperationalError as error:
                problem = str(error)
        raise CacheError(
            f"removed {removed} answers, but bytes of them may still be in {str(self.path)!r} "
            f"({problem}); run this again"
        )

    def usage(self) -> tuple[int, float | None, float | None]:
        """Number of answers, and when the oldest and the newest were added (epoch seconds)."""
        query = "SELECT count(*), min(created), max(created) FROM answers"
        with self._reading:
            row: tuple[int, float | None, float | None] = self._reader.execute(query).fetchall()[0]
        return row

    def close(self) -> None:
        """Close both connections; the last process to close removes the write-ahead log."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()

    def _evict(self) -> None:
        """Delete least recently used answers where the file is over its limit, and shrink it."""
        db = self._writer

        def number(pragma: str) -> int:
            value: int = db.execute(f"PRAGMA {pragma}").fetchone()[0]
            return value

        if number("page_count") <= self._max_pages:
            return
        # Room for more than this batch, so that not every batch has to shrink the file.
        target = int(self._max_pages * _KEEP)
        if number("page_count") - number("freelist_count") > self._max_pages:
            while (excess := number("page_count") - number("freelist_count") - target) > 0:
                victims = _oldest(db, excess * self._page)
                if not victims:
                    break
                db.executemany("DELETE FROM answers WHERE id = ?", victims)
        for _ in range(number("page_count") - self._max_pages):
            # Python's execute takes one step of this pragma, which is one page.
            db.execute("PRAGMA incremental_vacuum")


def _many(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Execute a statement for all rows, many at a time."""
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        marks = ", ".join([f"({', '.join('?' * len(some[0]))})"] * len(some))
        db.execute(statement.format(rows=marks), [value for row in some for value in row])


def _oldest(db: sqlite3.Connection, need: int) -> list[tuple[int]]:
    """Ids of the answers used longest ago that together hold `need` bytes."""
    victims: list[tuple[int]] = []
    freed = 0
    rows: Any = db.execute("SELECT id, length(value) FROM answers ORDER BY used, id")
    for number, size in rows:
        victims.append((number,))
        freed += size + _ROW_BYTES
        if freed >= need:
            break
    rows.close()
    return victims


_open_files: weakref.WeakSet[CacheFile] = weakref.WeakSet()
_held: list[CacheFile] = []


def _before_fork() -> None:
    """No call into SQLite is under way while the process is copied."""
    _held[:] = _open_files
    for each in _held:
        each._writing.acquire()
        each._reading.acquire()


def _after_fork() -> None:
    for each in _held:
        each._reading.release()
        each._writing.release()
    _held.clear()


def _after_fork_in_child() -> None:
    """A connection may not be used across a fork, nor stay open beside a new one."""
    inherited = list(_held)
    _after_fork()
    for each in inherited:
        each.close()
    _open_files.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
