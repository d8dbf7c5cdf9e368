"""The trace: one JSON line for every model call, for people who want to see what was sent."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError, UsageError
from popi_prompt.files import check_writable, parse_json
from popi_prompt.models.call import Call as Call
from popi_prompt.models.call import call_record, parse_call
from popi_prompt.models.redaction import redact as redact
from popi_prompt.models.redaction import redacted as redacted
from popi_prompt.models.redaction import redactor

SCHEMA = "popi-prompt/trace/1"
_START = 4096  # a header is shorter
_log = logging.getLogger(__name__)


class Trace:
    """Appends calls to a file of mode 0600. Thread-safe; what is written outlives the process.

    With `text=False` the file holds no text of messages or answers, only lengths; errors are named
    by type alone, and users by a hash that is salted anew for every `Trace`. A path that cannot be
    written, or leads to a file of something else, is a `UsageError` now; a disk that fails later is
    reported once to `notify`, and the run goes on.
    """

    def __init__(
        self, path: Path, *, text: bool = True, notify: Callable[[str], None] = _log.warning
    ):
        check_writable(path)
        self._path = path
        self._text = text
        self._notify = notify
        self._salt = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._lost = 0
        try:
            self._file: int | None = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None
        regular = stat.S_ISREG(os.fstat(self._file).st_mode)  # to read a pipe would wait
        if regular and not _is_trace(os.read(self._file, _START), path):
            os.close(self._file)
            raise UsageError(
                f"cannot write {str(path)!r}: it is not empty and no trace; name another file"
            )
        if os.fstat(self._file).st_mode & 0o077:
            os.chmod(path, 0o600)
        self._header = _encoded({"schema": SCHEMA, "text": text})
        size = os.fstat(self._file).st_size
        # What a crash cut off must not swallow the line that comes next.
        self._cut = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        self._append(b"" if self._cut else self._header)

    def write(self, call: Call) -> None:
        """Append one call, without secrets."""
        record = call_record(call) if self._text else self._without_text(call)
        self._append(_encoded(_cleaned(record, redactor())))

    def close(self) -> None:
        """Close the file; more calls are counted as lost."""
        with self._lock:
            if self._file is None:
                return
            os.close(self._file)
            self._file = None
            if self._lost > 1:
                self._notify(f"trace {self._path}: {self._lost} lines could not be written")

    def _append(self, line: bytes) -> None:
        with self._lock:
            data = b"\n" + self._header + line if self._cut else line
            try:
                if self._file is None:
                    raise OSError(None, "it is closed")
                self._cut = True
                while data:
                    data = data[os.write(self._file, data) :]
                self._cut = False
            except OSError as error:
                self._lost += 1
                if self._lost == 1:
                    self._notify(f"trace {self._path} cannot be written: {error.strerror}")

    def _without_text(self, call: Call) -> dict[str, Any]:
        record = call_record(call)
        record["messages"] = [{"role": m.role, "length": len(m.content)} for m in call.messages]
        if isinstance(call.answer, str):
            record["answer"] = {"length": len(call.answer)}
        record["user_id"] = None if call.user_id is None else self._hashed(call.user_id)
        record["quoted"] = list(map(self._hashed, call.quoted))
        record["error"] = call.error_type
        return record

    def _hashed(self, user_id: str) -> str:
        name = user_id.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, key=self._salt, digest_size=6).hexdigest()


def read_trace(path: str | Path, *, notify: Callable[[str], None] = _log.warning) -> Iterator[Call]:
    """The calls of a trace, one at a time.

    A line that a crash cut off, the last of the file or of one run in it, is left out and told to
    `notify`. Raises `DataError` with file and line for every other line that is not a call.
    """
    path = Path(path)
    begun, whole = False, True
    bad: DataError | None = None
    for line, raw in _lines(path):
        whole = raw.endswith(b"\n")
        if not raw.strip():
            continue
        try:
            call = _parsed(raw, path, line)
        except DataError as error:
            if bad is not None or not begun:
                raise bad or error from None
            bad = error
            continue
        if bad is not None:
            if call is not None:
                raise bad
            notify(f"{bad.path}:{bad.line}: the line was cut off, its call is left out")
            bad = None
        if call is None:
            begun = True
        elif begun:
            yield call
        else:
            raise DataError("does not begin as a trace does", path=path, line=line)
    if bad is not None:
        if whole:
            raise bad
        notify(f"{bad.path}:{bad.line}: the line was cut off, its call is left out")
    if not begun:
        raise DataError("is empty; a trace begins with a line that names its schema", path=path)


def _is_trace(start: bytes, path: Path) -> bool:
    """Whether a file that starts like this is a trace, or empty."""
    first = start.strip().split(b"\n", 1)[0]
    try:
        return not first or _parsed(first, path, 1) is None
    except DataError:
        return False


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, start=1)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot be read ({reason})", path=path) from None


def _parsed(raw: bytes, path: Path, line: int) -> Call | None:
    """The call of a line, or None for a header."""
    try:
        record = parse_json(raw.decode("utf-8"), path, line)
        if not isinstance(record, dict) or "schema" not in record:
            return parse_call(record)
    except UnicodeDecodeError:
        raise DataError("is not valid UTF-8", path=path, line=line) from None
    except DataError as error:
        raise DataError(error.problem, path=path, line=line) from None
    if record["schema"] != SCHEMA:
        problem = f"has schema {record['schema']!r}, this popi-prompt reads {SCHEMA!r}"
        raise DataError(problem, path=path, line=line)
    return None


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """Every string redacted before JSON is made of it: a pattern cannot cut through the JSON."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _cleaned(each, clean) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each, clean) for each in value]
    return value


def _encoded(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8.
        return json.dumps(record).encode() + b"\n"
