"""Answers that were paid for, kept on disk: the same request is not sent twice."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from popi_prompt.errors import CacheError, UsageError
from popi_prompt.models.cache_batch import Batch
from popi_prompt.models.cache_file import CacheFile
from popi_prompt.models.cache_key import JSON, encoded_json
from popi_prompt.models.cache_key import cache_key as cache_key
from popi_prompt.models.cache_stats import DEFAULT_BYTES, CacheStats
from popi_prompt.models.cache_stats import default_path as default_path
from popi_prompt.models.redaction import holds_secret

_SMALLEST = 1 << 18
_LARGEST_SHARE = 8
_COMMIT_SECONDS = 0.1
_RETRY_SECONDS = 2.0
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class AnswerCache:
    """JSON values by key, in one SQLite file that threads and processes may share.

    `put` returns once the answer is on disk, so that a killed process loses none that anything was
    decided by; those who wait share a commit. Who used what is written by a thread about ten times
    a second, and by `close` (also at exit).

    A file that is damaged or not a cache is a `CacheError` when it is opened. A disk that is full,
    read-only or failing is not an error: it is told once to `notify`, answers stay in memory (up to
    64 MB) for this process and are written as soon as that works, and reads that fail are misses.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_BYTES,
        notify: Callable[[str], None] = _log.warning,
    ):
        if max_bytes < _SMALLEST:
            raise UsageError(f"a cache of {max_bytes} bytes is too small; {_SMALLEST} is the least")
        self.path = path
        self._limit = max_bytes
        self._notify = notify
        self._told: set[str] = set()
        self._hits = self._misses = 0
        self._file: CacheFile | None = None
        self._begin()
        self._open()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            mine = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := mine()) and method())

    def get(self, key: str, *, users: Collection[str] = ()) -> Any | None:
        """The value of `key`, or None. It is about these users too from now on."""
        encoded = self._found(key)
        try:
            value = (
                None if encoded is None else json.loads(encoded.decode("utf-8", "surrogatepass"))
            )
        except ValueError:
            self._tell("value", "holds damaged answers; they are asked for again")
            encoded = value = None
        with self._lock:
            if encoded is None:
                self._misses += 1
            else:
                self._hits += 1
                if not self._closing.is_set():
                    self._note(key, users)
        return value

    def put(self, key: str, value: JSON, *, users: Collection[str] = ()) -> None:
        """Keep a value for `key` that is about `users`, as JSON has it: tuples come back as lists.

        Raises `TypeError` for what is not JSON. Not kept are values in which a secret of the
        environment stands, and those larger than an eighth of the cache; after `close`, none is.
        Does not wait while the disk fails.
        """
        encoded = encoded_json(value)
        if holds_secret(encoded.decode("utf-8", "surrogatepass")):
            self._tell("secret", "an answer holds a key of the environment, so it is not kept")
            return
        if len(encoded) > self._limit // _LARGEST_SHARE:
            self._tell("large", f"an answer of {len(encoded)} bytes is too large to be kept")
            return
        with self._lock:
            if not self._closing.is_set():
                self._fresh.put(key, encoded)
                self._note(key, users)
        self._commit(key)

    def stats(self) -> CacheStats:
        """Counts and sizes, after a commit. Raises `CacheError` where the file cannot be read."""
        self._save()
        entries, oldest, newest = self._on_file(CacheFile.usage)
        beside = self.path.with_name(self.path.name + "-wal")
        size = sum(each.stat().st_size for each in (self.path, beside) if each.exists())
        return CacheStats(
            self.path, entries, size, self._limit, self._hits, self._misses, oldest, newest
        )

    def clear(self) -> int:
        """Remove all answers; how many. Raises `CacheError` where that cannot be done."""
        return self._forget(None)

    def forget_user(self, user_id: str) -> int:
        """Remove every answer that was put or got for a user, with others or alone; how many.

        Their bytes are gone from the file and its write-ahead log. Raises `CacheError` where that
        cannot be done. Another process that still works on this user may add answers afterwards.
        """
        return self._forget(user_id)

    def close(self) -> None:
        """Commit what is left, and close the file. May be called twice."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            self._due.set()
        atexit.unregister(self.close)
        if self._thread is not None:
            self._thread.join()
        if not self._save() and self._fresh.answers:
            lost = len(self._fresh.answers)
            self._notify(f"cache {self.path}: answers that were not saved: {lost}")
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._fresh, self._moving = Batch(), Batch()
        self._lock, self._saving = threading.Lock(), threading.RLock()
        self._due, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def _open(self) -> None:
        try:
            self._file = CacheFile(self.path, self._limit)
        except (OSError, sqlite3.OperationalError) as error:
            self._tell("disk", f"cannot be opened ({error}); answers stay in memory until it can")

    def _after_fork(self) -> None:
        """A connection may not cross a fork, and what is unsaved is the parent's to save."""
        if not self._closing.is_set():
            self._begin()
            self._file = None
            try:
                self._open()
            except CacheError as error:
                self._tell("disk", f"cannot be opened ({error}); answers stay in memory")

    def _note(self, key: str, users: Collection[str]) -> None:
        """Under the lock: the key was used, for these users; a commit is due."""
        self._fresh.used[key] = time.time_ns()
        self._fresh.owners.update((user, key) for user in users)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._save_often, name="popi-prompt cache", daemon=True
            )
            self._thread.start()
        self._due.set()

    def _found(self, key: str) -> bytes | None:
        with self._lock:
            encoded = self._fresh.answers.get(key) or self._moving.answers.get(key)
        file = self._file
        if encoded is not None or file is None:
            return encoded
        try:
            return file.read(key)
        except sqlite3.Error as error:
            if not self._closing.is_set():
                self._tell("read", f"cannot be read ({error}); its answers are asked for again")
            return None

    def _save_often(self) -> None:
        pause = _COMMIT_SECONDS
        while not self._closing.is_set():
            self._due.wait()
            self._closing.wait(pause)
            self._due.clear()
            pause = _COMMIT_SECONDS
            if not self._save():
                self._due.set()
                pause = _RETRY_SECONDS

    def _commit(self, key: str) -> None:
        """Return once the answer is on disk; the first of those who wait here commits for all."""
        if self._failing:
            return
        with self._saving:
            with self._lock:
                unsaved = key in self._fresh.answers
            if unsaved:
                self._save()

    def _save(self) -> bool:
        """Commit what is unsaved; where that fails it stays unsaved, and this is False."""
        with self._saving:
            with self._lock:
                batch = self._moving = self._fresh
                self._fresh = Batch()
            saved = self._written(batch)
            with self._lock:
                if not saved:
                    batch.add(self._fresh)
                    self._fresh = batch
                self._moving = Batch()
            self._failing = not saved
            return saved

    def _written(self, batch: Batch) -> bool:
        if not batch.used:
            return True
        try:
            if self._file is None:
                self._open()
            if self._file is None:
                return False
            owners = [(self._file.owner(user), key) for user, key in batch.owners]
            self._file.write(batch.answers, owners, batch.used)
        except (sqlite3.Error, CacheError) as error:
            self._tell("disk", f"cannot be written ({error}); answers stay in memory until it can")
            return False
        return True

    def _forget(self, user_id: str | None) -> int:
        with self._saving:
            self._save()
            removed = self._on_file(lambda file: file.forget(user_id))
            with self._lock:
                return removed + self._fresh.forget(user_id)

    def _on_file(self, work: Callable[[CacheFile], _T]) -> _T:
        if self._file is None:
            raise CacheError(f"the cache {str(self.path)!r} is not open")
        try:
            return work(self._file)
        except sqlite3.Error as error:
            raise CacheError(f"the cache {str(self.path)!r} cannot be used ({error})") from None

    def _tell(self, what: str, problem: str) -> None:
        """Once for each kind of problem."""
        with self._lock:
            if what in self._told:
                return
            self._told.add(what)
        self._notify(f"cache {self.path}: {problem}")
