"""A JSON array of any size, a record at a time, by the parser that all other JSON goes through.

Not by `ijson`: it puts "?" in the place of half surrogate pairs without a word, and takes time
quadratic in depth and in the length of a text.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from json.decoder import WHITESPACE  # type: ignore[attr-defined]
from typing import Any, BinaryIO

from popi_prompt.errors import DataError

MOST = 1 << 25  # characters of one record
_CHUNK = 1 << 16
_CUT = 16  # an error so near to the end of what was read may come from the cut


def array_values(file: BinaryIO, source: str) -> Iterator[Any]:
    """The values of the array that the file is, in order.

    Raises `DataError` with the number of the record, counted from 0, for anything that is not JSON.
    """
    window = _Window(file, source)
    if window.next_char() != "[":
        raise DataError("expected a JSON array of records", path=source)
    window.at += 1
    number = 0
    if window.next_char() == "]":
        window.at += 1
    else:
        while True:
            yield _value(window, number, source)
            number += 1
            separator = window.next_char()
            window.at += 1
            if separator == "]":
                break
            if separator != ",":
                problem = f"record {number}: is not valid JSON: expected ',' or ']' before it"
                raise DataError(problem, path=source)
    if window.next_char():
        raise DataError("is not valid JSON: there is more after the array", path=source)


class _Window:
    """The part of the text from `at` on that was read and not parsed yet."""

    def __init__(self, file: BinaryIO, source: str):
        self._file = file
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._bytes = 0
        self.text = ""
        self.at = 0
        self.ended = False
        self.more()
        self.text = self.text.removeprefix("\ufeff")

    def more(self) -> None:
        """Twice as much as there is, so that parsing again costs no more than parsing."""
        raw = self._file.read(max(_CHUNK, len(self.text) - self.at))
        waiting = len(self._decoder.getstate()[0])
        try:
            found = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            at = self._bytes - waiting + error.start + 1
            raise DataError(f"is not valid UTF-8 at byte {at}", path=self._source) from None
        self._bytes += len(raw)
        self.text = self.text[self.at :] + found
        self.at = 0
        self.ended = not raw

    def next_char(self) -> str:
        """The next character that is not white space, not passed yet; "" at the end."""
        while True:
            self.at = WHITESPACE.match(self.text, self.at).end()
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()


def _value(window: _Window, number: int, source: str) -> Any:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    window.next_char()
    while True:
        try:
            value, end = decoder.raw_decode(window.text, window.at)
            delimited = isinstance(value, dict | list | str)  # a number may go on: 0 and then .5
            if delimited or end + _CUT < len(window.text) or window.ended:
                window.at = end
                return value
        except json.JSONDecodeError as error:
            near = error.pos + _CUT >= len(window.text) or error.msg.startswith("Unterminated")
            if window.ended or not near:
                raise _error(number, f"is not valid JSON: {error.msg}", source) from None
        except DataError as error:
            raise _error(number, error.problem, source) from None
        except ValueError:
            raise _error(number, "holds a number with too many digits", source) from None
        except RecursionError:
            raise _error(number, "is nested too deeply", source) from None
        if len(window.text) - window.at > MOST:
            raise _error(number, f"is longer than {MOST} characters", source)
        window.more()


def _refuse(constant: str) -> Any:
    raise DataError(f"holds {constant}, which is not JSON")


def _error(number: int, problem: str, source: str) -> DataError:
    return DataError(f"record {number}: {problem}", path=source)
