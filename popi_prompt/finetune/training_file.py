"""A training or validation file: checked line by line, fingerprinted, never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.files import parse_json
from popi_prompt.finetune.job import Dialect, Method

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainingFile:
    """`sha256` is of its bytes, in hexadecimal. `dialect` is whose names its lines use."""

    path: Path
    sha256: str
    bytes: int
    lines: int
    method: Method
    dialect: Dialect


def read_training_file(path: Path, method: Method | None = None) -> TrainingFile:
    """Check every line and say what the file is for.

    Raises `DataError` with file and line for what no provider takes, for lines that are not of the
    first one's kind, and for lines that are not of `method`, where one is given.
    """
    kind: tuple[Method, Dialect] | None = None
    lines = 0
    for number, raw in _lines(path):
        found = _kind(parse_json(raw, path, number), path, number)
        kind = kind or (method or found[0], found[1])
        if found != kind:
            problem = f"is a line for {_shown(found)}, expected one for {_shown(kind)}"
            raise DataError(problem, path=path, line=number)
        lines += 1
    if kind is None:
        raise DataError("holds no examples", path=path)
    return TrainingFile(path, fingerprint(path), path.stat().st_size, lines, *kind)


def _shown(kind: tuple[Method, Dialect]) -> str:
    return f"--method {kind[0]} in {kind[1]}'s format"


def fingerprint(path: Path) -> str:
    """SHA-256 of the file's bytes. Raises `DataError` where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise _unreadable(error, path) from None
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                text = raw.decode("utf-8")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError:
        raise DataError("is not valid UTF-8", path=path, line=number) from None
    except OSError as error:
        raise _unreadable(error, path) from None


def _unreadable(error: OSError, path: Path) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError("no such file", path=path)
    return DataError(f"cannot be read ({(error.strerror or str(error)).lower()})", path=path)


def _kind(raw: Any, path: Path, line: int) -> tuple[Method, Dialect]:
    kind: tuple[Method, Dialect] = ("sft", "openai")
    if not isinstance(raw, Mapping):
        problem: str | None = "is not a JSON object"
    elif "messages" in raw:
        problem = _messages(raw["messages"], "'messages'", answered=True)
    elif "preferred_output" in raw:
        kind, problem = ("preference", "openai"), _preference(raw)
    elif "contents" in raw:
        kind = ("preference" if "completions" in raw else "sft", "vertex")
        problem = None if isinstance(raw["contents"], list) and raw["contents"] else "has no turns"
    elif "chosen" in raw:
        problem = (
            "is in TRL's preference format, which is for training of your own; export it in the "
            "format of the provider"
        )
    else:
        problem = "has neither 'messages' nor 'preferred_output'; is it a training file?"
    if problem is not None:
        raise DataError(problem, path=path, line=line)
    return kind


def _preference(raw: Mapping[str, Any]) -> str | None:
    asked = raw.get("input")
    problem = _messages(asked.get("messages") if isinstance(asked, Mapping) else None, "'input'")
    for key in ("preferred_output", "non_preferred_output"):
        problem = problem or _messages(raw.get(key), f"{key!r}", answered=True)
    return problem


def _messages(raw: Any, where: str, *, answered: bool = False) -> str | None:
    """What is wrong with chat messages; with `answered`, the last one must be the assistant's."""
    if not isinstance(raw, list) or not raw:
        return f"has no messages under {where}"
    for message in raw:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            return f"has a message without a 'role' under {where}"
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            return f"has a message without text under {where}"
    if answered and raw[-1]["role"] != "assistant":
        return f"does not end with the assistant's message under {where}"
    return None
