"""The folder of job records, safe to share between processes and to be killed in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from popi_prompt.errors import DataError, FineTuningUnavailable, JobError, UsageError
from popi_prompt.files import parse_json, read_bytes, write_text
from popi_prompt.finetune.record import JobRecord, record_from

_LOCK_SECONDS = 30.0
_SHORTEST = 4


def default_folder() -> Path:
    """`$XDG_STATE_HOME/popi-prompt/finetune`, under `~/.local/state` where that is not set."""
    home = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"
    return folder / "popi-prompt" / "finetune"


class JobFolder:
    """Records by key, a file each, its owner's alone; made when the first one is written."""

    def __init__(self, path: Path):
        self.path = path

    def get(self, key: str) -> JobRecord | None:
        """The record, if there is one. Raises `JobError` for one that cannot be read."""
        path = self._file(key)
        if not path.exists():
            return None
        try:
            return record_from(parse_json(read_bytes(path).decode("utf-8"), path))
        except (DataError, UnicodeDecodeError) as error:
            shown = f"{error}" if str(path) in f"{error}" else f"{path}: {error}"
            raise JobError(shown) from None

    def all(self) -> Iterator[JobRecord]:
        """Every record, the newest first."""
        if not self.path.is_dir():
            return
        for path in sorted(self.path.glob("*.json"), key=_age, reverse=True):
            found = self.get(path.stem)
            if found is not None:
                yield found

    def find(self, name: str) -> JobRecord:
        """By key, the first letters of one, or the provider's id.

        Raises `UsageError` where it is none or more than one.
        """
        found = [
            record
            for record in self.all()
            if name in (record.key, record.job_id)
            or (len(name) >= _SHORTEST and record.key.startswith(name))
        ]
        if not found:
            known = ", ".join(record.key for record in self.all()) or "none"
            raise UsageError(f"no job {name!r} in {str(self.path)!r}; known: {known}")
        if len(found) > 1:
            keys = ", ".join(record.key for record in found)
            raise UsageError(f"{name!r} is the beginning of several jobs: {keys}")
        return found[0]

    def add(self, record: JobRecord) -> JobRecord:
        """Write a new record, unless there is one with its key; returns what is on disk."""
        self._make()
        with self._locked(f"{record.key}.lock", _LOCK_SECONDS):
            found = self.get(record.key)
            if found is None:
                self._write(record)
            return found or record

    def update(self, key: str, change: Callable[[JobRecord], JobRecord]) -> JobRecord:
        """Read, change and write in one; nobody else writes in between."""
        with self._locked(f"{key}.lock", _LOCK_SECONDS):
            found = self.get(key)
            if found is None:
                raise JobError(f"the record of job {key!r} is gone from {str(self.path)!r}")
            changed = change(found)
            if changed != found:
                self._write(changed)
            return changed

    @contextmanager
    def submitting(self, key: str) -> Iterator[None]:
        """One process at a time submits a job; the lock dies with its process."""
        self._make()
        with self._locked(f"{key}.submit.lock", 0):
            yield

    @contextmanager
    def _locked(self, name: str, seconds: float) -> Iterator[None]:
        lock = FileLock(self.path / f".{name}", timeout=seconds, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            problem = f"another process is at work on this job (lock {name!r}); try again later"
            raise FineTuningUnavailable(problem) from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            yield
        finally:
            lock.release()

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> UsageError:
        reason = (error.strerror or str(error)).lower()
        return UsageError(f"cannot use --jobs-folder {str(self.path)!r}: {reason}")

    def _file(self, key: str) -> Path:
        return self.path / f"{key}.json"

    def _write(self, record: JobRecord) -> None:
        text = json.dumps(record.as_record(), indent=2, ensure_ascii=False) + "\n"
        write_text(self._file(record.key), text, private=True)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
