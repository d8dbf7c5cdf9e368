"""How a cache file is made and recognized."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from popi_prompt.errors import CacheError

_APPLICATION = 0x504F5049  # "POPI"
_VERSION = 1
BUSY_SECONDS = 10.0
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


def make_file(path: Path) -> None:
    """An empty file that is the owner's alone; SQLite gives its mode to the files beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def connect(path: Path) -> sqlite3.Connection:
    """A connection without transactions of its own, for any thread, one at a time."""
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """A transaction, rolled back by any exception; IMMEDIATE to write, DEFERRED to read."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled it back already.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def prepare(path: Path, reader: sqlite3.Connection, writer: sqlite3.Connection) -> bytes:
    """Settings, and the tables where the file is new; the salt of its user ids.

    Raises `CacheError` for a file that is damaged or not a cache, before anything is written.
    """
    try:
        with transaction(writer, "DEFERRED"):
            new = not _check_ours(writer, path)
        os.chmod(path, 0o600)
        if new:
            writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _with_wal(writer)
        for db in (reader, writer):
            db.executescript(_SETTINGS)
        with transaction(writer):
            # Asked again under the lock: another process may just have made the tables.
            if not _check_ours(writer, path):
                for statement in _TABLES:
                    writer.execute(statement)
                writer.execute("INSERT INTO salt VALUES (?)", (secrets.token_bytes(32),))
                writer.execute(f"PRAGMA application_id = {_APPLICATION}")
                writer.execute(f"PRAGMA user_version = {_VERSION}")
        salt: bytes = writer.execute("SELECT bytes FROM salt").fetchall()[0][0]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise CacheError(
            f"the cache {str(path)!r} is damaged or not a cache ({error}); "
            "move it away or delete it, and a new one is made"
        ) from None
    return salt


def _check_ours(db: sqlite3.Connection, path: Path) -> bool:
    """False for an empty database; raises `CacheError` for one of something else."""
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchall()[0][0]
    if application == 0 and version == 0 and tables == 0:
        return False
    if application != _APPLICATION:
        raise CacheError(
            f"{str(path)!r} is a database of something else; give the cache another path"
        )
    if version != _VERSION:
        raise CacheError(
            f"the cache {str(path)!r} has version {version}, this popi-prompt reads "
            f"{_VERSION}; delete it, and a new one is made"
        )
    return True


def _with_wal(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait for others here, so this does."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
