"""The file of samples: one JSON line a user, written as users are done, so a run can go on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from popi_prompt.errors import DataError, UsageError
from popi_prompt.files import append, check_writable, parse_json
from popi_prompt.finetune.samples import Drawn, Missed, Recipe, Sample
from popi_prompt.lock import held

SCHEMA = "popi-prompt/samples/1"
_LONGEST = 200  # a route may have a chat template


class SamplesFile:
    """Reads and appends; mode 0600, only places in memory. Thread-safe; a user's last line counts.

    What a crash cut off is removed. Raises `UsageError` for a file that cannot be written, that
    another process works on, or that was made by another recipe, `DataError` with file and line for
    one that holds no samples, `WriteError` where the disk takes no more.
    """

    def __init__(self, path: Path, recipe: Recipe):
        check_writable(path)
        self._path = path
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        with ExitStack() as opened:
            opened.callback(_alone(path).release)
            self._file = _open(path)
            opened.callback(os.close, self._file)
            self._end = self._read(recipe)
            os.fchmod(self._file, 0o600)
            if self._end == 0:
                self._append({"schema": SCHEMA, "recipe": recipe.as_record()})
            self._opened = opened.pop_all()

    def __enter__(self) -> SamplesFile:
        return self

    def __exit__(self, *raised: object) -> None:
        self._opened.close()

    def get(self, user_id: str, key: str) -> Drawn:
        """The draws of a user; none where their signals or pairs have changed since."""
        with self._lock:
            place = self._places.get(user_id)
        if place is None:
            return Drawn(user_id, key)
        offset, length = place
        found = _drawn(json.loads(os.pread(self._file, length, offset)))
        return found if found.key == key else Drawn(user_id, key)

    def put(self, drawn: Drawn) -> None:
        """Append all draws of a user."""
        place = self._append(asdict(drawn))
        with self._lock:
            self._places[drawn.user_id] = place

    def _append(self, record: dict[str, Any]) -> tuple[int, int]:
        data = json.dumps(record).encode() + b"\n"
        with self._lock:
            place = (self._end, len(data))
            append(self._file, data, self._path)
            self._end += len(data)
        return place

    def _read(self, recipe: Recipe) -> int:
        """Find where each user's line is; the offset where the next one goes."""
        offset = 0
        with open(self._path, "rb") as file:
            for line, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    os.ftruncate(self._file, offset)
                    break
                record = self._parsed(raw, line)
                if line == 1:
                    self._check(record, recipe)
                else:
                    self._places[self._user(record, line)] = (offset, len(raw))
                offset += len(raw)
        return offset

    def _parsed(self, raw: bytes, line: int) -> Any:
        try:
            return parse_json(raw.decode("utf-8"), self._path, line)
        except UnicodeDecodeError:
            raise DataError("is not valid UTF-8", path=self._path, line=line) from None

    def _check(self, record: Any, recipe: Recipe) -> None:
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise DataError(
                f"holds no samples: the first line does not name {SCHEMA!r}",
                path=self._path,
                line=1,
            )
        was, now = record.get("recipe"), recipe.as_record()
        if was == now:
            return
        differ = _difference(was if isinstance(was, dict) else {}, now)
        raise UsageError(
            f"{self._path} was sampled with {differ}; name another file with --samples"
        )

    def _user(self, record: Any, line: int) -> str:
        try:
            return _drawn(record).user_id
        except (KeyError, TypeError, ValueError) as error:
            problem = f"holds no samples of a user ({type(error).__name__}: {error})"
            raise DataError(problem, path=self._path, line=line) from None


def _difference(was: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> str:
    """The first value that is not the same, in words."""
    name = next(name for name in {**now, **was} if was.get(name, ...) != now.get(name, ...))
    one, other = was.get(name), now.get(name)
    if isinstance(one, dict) and isinstance(other, dict):
        return _difference(one, other, f"{within}{name}.")
    return f"{within}{name} {_shown(one)}, this export has {_shown(other)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _alone(path: Path) -> FileLock:
    """The lock of the file, gone with its process: two would pay twice and mix up the places."""
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name}.lock")
    return held(lock, f"the file of samples {str(path)!r}", "name another file with --samples")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write {str(path)!r}: {reason}") from None


def _drawn(record: Any) -> Drawn:
    return Drawn(
        str(record["user_id"]),
        str(record["key"]),
        tuple(
            Sample(int(s["number"]), str(s["text"]), float(s["reward"]), float(s["margin"]))
            for s in record["samples"]
        ),
        tuple(
            Missed(int(m["number"]), str(m["error"]), str(m["reason"])) for m in record["missed"]
        ),
    )
