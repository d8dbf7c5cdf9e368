"""The cache on disk, only read: for an estimate, which leaves no trace in it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from popi_prompt.errors import CacheError
from popi_prompt.models.cache_key import JSON
from popi_prompt.models.cache_stats import default_path


class CacheReader:
    """Answers by key. Thread-safe. What is put is dropped, and use is not noted.

    A file in which nothing was made yet, as a full disk leaves it, holds none. Raises `CacheError`
    for one that cannot be read.
    """

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        address = f"{path.absolute().as_uri()}?mode=ro"
        try:
            self._db = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._made = bool(self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall())
            if self._made:
                self._db.execute("SELECT key, value FROM answers LIMIT 1").fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def get(self, key: str, *, users: Collection[str] = ()) -> Any | None:
        """The value of `key`, or None."""
        if not self._made:
            return None
        try:
            with self._lock:
                rows = self._db.execute(
                    "SELECT value FROM answers WHERE key = ?", (key,)
                ).fetchall()
            return json.loads(bytes(rows[0][0]).decode("utf-8", "surrogatepass")) if rows else None
        except ValueError:
            return None
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def put(self, key: str, value: JSON, *, users: Collection[str] = ()) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _unreadable(self, error: Exception) -> CacheError:
        return CacheError(f"the cache {str(self._path)!r} cannot be read ({error})")


def open_reader(wanted: bool = True) -> CacheReader | None:
    """Of the cache at its usual place, if there is one."""
    path = default_path()
    return CacheReader(path) if wanted and path.exists() else None
