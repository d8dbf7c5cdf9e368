"""Foreign files as bytes and as lines; every way they cannot be read is one error."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from popi_prompt.errors import DataError

_CHUNK = 1 << 16


def first_byte(source: str) -> bytes:
    """The first byte that is not white space or a byte order mark, or none."""
    with opened(source) as file:
        while chunk := file.read(_CHUNK):
            start = chunk.removeprefix(b"\xef\xbb\xbf").lstrip()
            if start:
                return start[:1]
    return b""


def is_utf8(source: str) -> bool:
    """Whether a file is valid UTF-8 to its end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(source) as file:
        try:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


@contextmanager
def opened(source: str) -> Iterator[BinaryIO]:
    """The file's bytes; every way a file cannot be opened or read is one `DataError`."""
    try:
        _refuse_pipe(source)
        with open(source, "rb") as file:
            yield file
    except FileNotFoundError:
        raise DataError("no such file", path=source) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot be read ({reason.lower()})", path=source) from None


def _refuse_pipe(source: str) -> None:
    """A file is opened to see what it is and again to read it; a pipe gives its content once."""
    try:
        mode = os.stat(source).st_mode
    except ValueError as error:  # a NUL in its name
        raise DataError(f"cannot be read ({error})", path=source) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError("is not a regular file; write it to one first", path=source)


def lines(source: str, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers."""
    with opened(source) as file:
        for number, raw in enumerate(file, start=1):
            if b"\x00" in raw:
                raise DataError("holds a NUL byte; is this a text file?", path=source, line=number)
            try:
                text = raw.decode(encoding if number == 1 else encoding.removesuffix("-sig"))
            except UnicodeDecodeError as error:
                problem = f"is not valid UTF-8 at byte {error.start + 1} of the line"
                raise DataError(problem, path=source, line=number) from None
            if text.strip():
                yield number, text.rstrip("\r\n")
