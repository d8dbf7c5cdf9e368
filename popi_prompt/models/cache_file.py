"""The SQLite file under the cache of answers: what is in it, how it is bounded, how it forgets."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from popi_prompt.errors import CacheError

_APPLICATION = 0x504F5049  # "POPI"
_VERSION = 1
_BUSY_SECONDS = 10.0
_KEEP = 0.9
_ROW_BYTES = 100
_WAL_PAGES = 256

# secure_delete overwrites what is deleted; the write-ahead log is cut back after checkpoints.
_SETTINGS = f"""
PRAGMA secure_delete = ON;
PRAGMA synchronous = NORMAL;
PRAGMA foreign_keys = ON;
PRAGMA wal_autocheckpoint = {_WAL_PAGES};
PRAGMA journal_size_limit = 0;
"""
_TABLES = (
    "CREATE TABLE answers (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, "
    "created REAL NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX answers_by_use ON answers (used, id)",
    "CREATE TABLE owners (user BLOB NOT NULL, answer INTEGER NOT NULL "
    "REFERENCES answers (id) ON DELETE CASCADE, PRIMARY KEY (user, answer)) WITHOUT ROWID",
    "CREATE INDEX owners_by_answer ON owners (answer)",
    "CREATE TABLE salt (bytes BLOB NOT NULL)",
)
_PUT = (
    "INSERT INTO answers (key, value, created, used) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, used = excluded.used"
)
_OWN = "INSERT OR IGNORE INTO owners SELECT ?, id FROM answers WHERE key = ?"


class CacheFile:
    """Answers by key, in a file of mode 0600. Thread-safe; other processes may share the file.

    Opening raises `CacheError` for a file that is damaged or not a cache, `OSError` or
    `sqlite3.OperationalError` where it cannot be opened or made; methods raise `sqlite3.Error`.
    """

    def __init__(self, path: Path, max_bytes: int):
        self.path = path
        _make(path)
        # Reads have their own connection: they do not wait while a batch is written.
        self._reader = self._connect()
        self._writer = self._connect()
        self._reading, self._writing = threading.Lock(), threading.Lock()
        try:
            self._salt = self._prepare()
            page: int = self._writer.execute("PRAGMA page_size").fetchone()[0]
        except sqlite3.OperationalError:
            self.close()
            raise
        except sqlite3.DatabaseError as error:
            self.close()
            raise CacheError(
                f"the cache {str(path)!r} is damaged or not a cache ({error}); "
                "move it away or delete it, and a new one is made"
            ) from None
        except CacheError:
            self.close()
            raise
        os.chmod(path, 0o600)
        self._page = page
        self._max_pages = max_bytes // page

    def read(self, key: str) -> bytes | None:
        """The value of `key`."""
        with self._reading:
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
        with self._writing, self._transaction() as db:
            db.executemany(_PUT, [(key, value, now, used[key]) for key, value in answers.items()])
            db.executemany(
                "UPDATE answers SET used = ? WHERE key = ? AND used < ?",
                [(at, key, at) for key, at in used.items() if key not in answers],
            )
            db.executemany(_OWN, owners)
            self._evict(db)

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
            with self._transaction() as db:
                removed = db.execute(f"DELETE FROM answers{which}", values).rowcount
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

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    def _prepare(self) -> bytes:
        """Settings, and the tables where the file is new; the salt."""
        self._check_ours()
        self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _with_wal(self._writer)
        for db in (self._reader, self._writer):
            db.executescript(_SETTINGS)
        with self._transaction() as db:
            # Asked again under the lock: another process may just have made the tables.
            if not self._check_ours():
                for statement in _TABLES:
                    db.execute(statement)
                db.execute("INSERT INTO salt VALUES (?)", (secrets.token_bytes(32),))
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
                db.execute(f"PRAGMA user_version = {_VERSION}")
        salt: bytes = self._writer.execute("SELECT bytes FROM salt").fetchall()[0][0]
        return salt

    def _check_ours(self) -> bool:
        """False for an empty database; raises `CacheError` for one that is not a cache."""
        db = self._writer
        application: int = db.execute("PRAGMA application_id").fetchone()[0]
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchall()[0][0]
        if application == 0 and version == 0 and tables == 0:
            return False
        if application != _APPLICATION:
            raise CacheError(
                f"{str(self.path)!r} is a database of something else; give the cache another path"
            )
        if version != _VERSION:
            raise CacheError(
                f"the cache {str(self.path)!r} has version {version}, this popi-prompt reads "
                f"{_VERSION}; delete it, and a new one is made"
            )
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def _evict(self, db: sqlite3.Connection) -> None:
        """Delete least recently used answers where the file is over its limit, and shrink it."""

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


def _make(path: Path) -> None:
    """An empty file that is the owner's alone; SQLite gives its mode to the files beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _with_wal(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait for others here, so this does."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
