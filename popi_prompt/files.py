"""Files, read with clear errors and written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from popi_prompt.errors import DataError, UsageError


def read_bytes(path: Path) -> bytes:
    """The file's bytes; every way a file cannot be read is one `DataError`."""
    with _readable(path):
        return path.read_bytes()


def read_lines(path: Path) -> Iterator[bytes]:
    """The file's lines as they are read, so that a large file is never in memory as a whole."""
    with _readable(path), path.open("rb") as file:
        yield from file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot be read ({reason.lower()})", path=path) from None
    except ValueError as error:
        raise DataError(f"cannot be read ({error})", path=path) from None


def parse_json(text: str, path: Path | None = None, line: int | None = None) -> Any:
    """JSON as the standard has it: no NaN, no Infinity, and a depth a stack can hold.

    All else is a `DataError`, integers of thousands of digits too.
    """

    def refuse(constant: str) -> Any:
        raise DataError(f"holds {constant}, which is not JSON", path=path, line=line)

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, " if line is None else ""
        problem = f"is not valid JSON: {error.msg} at {at}column {error.colno}"
        raise DataError(problem, path=path, line=line) from None
    except ValueError:
        raise DataError("holds a number with too many digits", path=path, line=line) from None
    except RecursionError:
        raise DataError("is nested too deeply", path=path, line=line) from None


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a text as `writing` does."""
    with writing(path, private=private) as file:
        file.write(text)


@contextmanager
def writing(path: Path, *, private: bool = False) -> Iterator[TextIO]:
    """Write beside, then rename: a reader sees the old file or the new one, never half.

    A private file is its owner's alone: mode 0600.
    """
    check_writable(path)
    # Not named after `path`: a name as long as the file system allows has no room for more.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".popi-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
        if not private:  # as `mkstemp` makes it
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_writable(path: Path) -> None:
    """Raise `UsageError` where `path` cannot be written; called before work is spent on it."""
    problem = _obstacle(path)
    if problem is not None:
        raise UsageError(f"cannot write {str(path)!r}: {problem}")


def _obstacle(path: Path) -> str | None:
    if not os.path.isdir(path.parent):
        return f"the folder {str(path.parent)!r} does not exist"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError as error:
        return str(error)
    if stat.S_ISDIR(mode):
        return "it is a folder"
    # The rename would put a file in the place of a device or a pipe.
    if not stat.S_ISREG(mode):
        return "it is not a regular file"
    if not os.access(path.parent, os.W_OK):
        return f"no permission in the folder {str(path.parent)!r}"
    return None
