"""Files, read with clear errors and written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from popi_prompt.errors import DataError, UsageError, WriteError

_SYSTEM = ("/dev", "/proc")
_MEMORY = "/dev/shm"  # a folder for files of anybody, but for its name


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
    """A file that takes its place when the block ends, and leaves nothing where it raises.

    It is written beside, then renamed: a reader sees the old file or the new one, never half. Of a
    link the target is written. A private file is its owner's alone: mode 0600. Raises `WriteError`
    where the disk takes no more; other errors of the block are its own.
    """
    check_writable(path)
    target = _target(path)
    with _on_disk(path):
        # Not named after `path`: a name as long as the file system allows has no room for more.
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".popi-", suffix=".part")
    try:
        raw = io.BufferedWriter(_Disk(handle, path))
        with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
            yield file
        with _on_disk(path):
            if not private:  # as `mkstemp` makes it
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class _Disk(io.FileIO):
    """Told apart here: what the block itself reads or writes elsewhere can fail as well."""

    def __init__(self, handle: int, path: Path):
        self._path = path
        super().__init__(handle, "w")

    def write(self, data: Any, /) -> int:
        with _on_disk(self._path):
            return super().write(data)

    def close(self) -> None:
        with _on_disk(self._path):
            super().close()


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WriteError(
            f"cannot write {str(path)!r}: {reason}; what was there is as it was, make room or "
            "write elsewhere"
        ) from None


def set_aside(path: Path, other: Path) -> None:
    """Let `other`, a new name, be the file as it is: what is written to `path` is another one.

    Raises `UsageError` or `WriteError`.
    """
    check_writable(other)
    with _on_disk(other):
        os.link(_target(path), other)


def append(handle: int, data: bytes, path: Path) -> None:
    """Append to an open file all of it or, where it raises `WriteError`, nothing."""
    with _on_disk(path):
        end = os.fstat(handle).st_size
        try:
            while data:
                data = data[os.write(handle, data) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, end)
            raise


def make_folder(path: Path) -> None:
    """Make it, unless it is there. Raises `UsageError` or `WriteError`."""
    if not os.path.exists(path):
        problem = _obstacle(path)
        # Another process may have made it since.
        if problem is not None and not os.path.isdir(path):
            raise UsageError(f"cannot write {str(path)!r}: {problem}")
        with _on_disk(path):
            path.mkdir(exist_ok=True)


def check_writable(path: Path, *, reading: Iterable[Path] = ()) -> None:
    """Raise `UsageError` where `path` cannot be written; called before work is spent on it.

    It may be none of the files that the caller is `reading`.
    """
    problem = _obstacle(path)
    if problem is None and os.path.exists(path) and any(_same(path, each) for each in reading):
        problem = "it is being read, and would be lost; name another file"
    if problem is not None:
        raise UsageError(f"cannot write {str(path)!r}: {problem}")


def _same(path: Path, other: Path) -> bool:
    return os.path.exists(other) and os.path.samefile(path, other)


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
    system = _system_folder(path)
    if system is not None:
        return f"it leads through {system!r}, which holds no files; name one of your own"
    folder = _target(path).parent
    if not os.path.isdir(folder):
        return f"it is a link into the folder {str(folder)!r}, which does not exist"
    if not os.access(folder, os.W_OK):
        return f"no permission in the folder {str(folder)!r}"
    return None


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _system_folder(path: Path) -> str | None:
    """Where the system has its devices and processes, if the path or a link on its way is there.

    `/dev/stdout` leads to a regular file where a shell has redirected it.
    """
    place = path
    while True:
        place = _target(place.parent) / place.name
        if not place.is_relative_to(_MEMORY):
            for folder in _SYSTEM:
                if place.is_relative_to(folder):
                    return folder
        if not place.is_symlink():
            return None
        place = place.parent / os.readlink(place)
