"""One record of a foreign file, with its place; every error about it names the place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.fields import number_value, shown, text_value

_GAPPED = re.compile(r"(-?[0-9]+)\.0")


def whole(text: str) -> str:
    """A whole number without the ".0" that tables write in a column with gaps; else the text."""
    found = _GAPPED.fullmatch(text)
    return found[1] if found else text


@dataclass(frozen=True, slots=True)
class Row:
    """Values by key. `number` is a line of the file, or else a record counted from 0."""

    source: str
    number: int
    values: Mapping[str, Any]
    is_line: bool = False

    def error(self, problem: str) -> DataError:
        """A `DataError` with this place."""
        if self.is_line:
            return DataError(problem, path=self.source, line=self.number)
        return DataError(f"record {self.number}: {problem}", path=self.source)

    def get(self, key: str, *others: str) -> Any:
        """The value of the first key that is there. Raises `DataError` where none is."""
        for each in (key, *others):
            if each in self.values:
                return self.values[each]
        known = shown(", ".join(map(str, self.values)))
        expected = " or ".join(map(repr, (key, *others)))
        raise self.error(f"has no {expected}; it has {known}")

    def text(self, key: str) -> str:
        """Text, "" where it is blank or null. Raises `DataError` for anything else."""
        return self.as_text(self.get(key), key)

    def as_text(self, value: Any, what: str) -> str:
        """As `text`, of a value that was found deeper."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return ""
        try:
            return text_value(value, repr(what))
        except DataError as error:
            raise self.error(error.problem) from None

    def label(self, key: str) -> str:
        """A name or id: text, or a whole number. Raises `DataError` where it is blank."""
        value = self.get(key)
        if isinstance(value, float) and value.is_integer():  # tables with gaps hold ids as floats
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return str(value)
        found = whole(self.as_text(value, key))
        if not found:
            raise self.error(f"{key!r} is empty")
        return found

    def float(self, key: str) -> float:
        """A finite number, also as digits in text. Raises `DataError` for anything else."""
        value = self.get(key)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.error(f"{key!r} is {shown(value)}, expected a number") from None
        try:
            return number_value(value, repr(key))
        except DataError as error:
            raise self.error(error.problem) from None

    def items(self, key: str) -> list[Any]:
        """A list. Raises `DataError` for anything else."""
        value = self.get(key)
        if not isinstance(value, list):
            raise self.error(f"{key!r} is {shown(value)}, expected a list")
        return value

    def inner(self, value: Any, what: str) -> Row:
        """A record within this one, with the place of this one."""
        if not isinstance(value, Mapping):
            raise self.error(f"{what} is {shown(value)}, expected an object")
        return Row(self.source, self.number, value, self.is_line)
