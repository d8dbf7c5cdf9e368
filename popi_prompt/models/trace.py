"""The trace: one JSON line for every model call, for people who want to see what was sent."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from popi_prompt.errors import UsageError
from popi_prompt.files import check_writable
from popi_prompt.models.redaction import redact as redact
from popi_prompt.prompts import Messages

SCHEMA = "popi-prompt/trace/1"
Kind = Literal["chat", "logprobs", "odds"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One model call as the door saw it.

    `answer` is the text or the numbers; `usd` is None where the price is unknown; `error` is
    "TypeName: message"; `candidate` is a short label, never text of a user; `started` is in seconds
    since the epoch. A `cached` call was not sent.
    """

    role: str
    model: str
    kind: Kind
    messages: Messages
    answer: str | tuple[float, ...] | None
    tokens_in: int
    tokens_out: int
    usd: float | None
    seconds: float
    cached: bool
    retries: int
    candidate: str | None
    user_id: str | None
    error: str | None
    started: float


class Trace:
    """Appends calls to a file of mode 0600. Thread-safe; what is written outlives the process.

    With `text=False` the file holds no text of messages or answers, only lengths; errors are named
    by type alone, and users by a hash that is salted anew for every `Trace`. A path that cannot be
    written is a `UsageError` now; a disk that fails later is reported once to `notify`, and the run
    goes on.
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
        if os.fstat(self._file).st_mode & 0o077:
            os.chmod(path, 0o600)
        size = os.fstat(self._file).st_size
        # A line that a crash cut off is ended, so that it does not swallow the next one.
        self._cut = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        self._append({"schema": SCHEMA, "text": text})

    def write(self, call: Call) -> None:
        """Append one call, without secrets."""
        self._append(call_record(call) if self._text else self._without_text(call))

    def close(self) -> None:
        """Close the file; more calls are counted as lost."""
        with self._lock:
            if self._file is None:
                return
            os.close(self._file)
            self._file = None
            if self._lost > 1:
                self._notify(f"trace {self._path}: {self._lost} lines could not be written")

    def _append(self, record: dict[str, Any]) -> None:
        line = _encoded(_cleaned(record))
        with self._lock:
            try:
                if self._file is None:
                    raise OSError(None, "it is closed")
                data = b"\n" + line if self._cut else line
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
        if call.user_id is not None:
            name = call.user_id.encode("utf-8", "surrogatepass")
            record["user_id"] = hashlib.blake2b(name, key=self._salt, digest_size=6).hexdigest()
        if call.error is not None:
            name_of_type = call.error.partition(":")[0]
            record["error"] = name_of_type if name_of_type.isidentifier() else "Error"
        return record


def call_record(call: Call) -> dict[str, Any]:
    """The call as JSON, fields by name. Numbers that JSON cannot hold are null."""
    record = {name: getattr(call, name) for name in Call.__dataclass_fields__}
    record["messages"] = [{"role": m.role, "content": m.content} for m in call.messages]
    record["usd"] = _finite(call.usd)
    if call.answer is not None and not isinstance(call.answer, str):
        record["answer"] = [_finite(each) for each in call.answer]
    return record


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _cleaned(value: Any) -> Any:
    """Every string redacted before JSON is made of it: a pattern cannot cut through the JSON."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _cleaned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each) for each in value]
    return value


def _encoded(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8.
        return json.dumps(record).encode() + b"\n"
