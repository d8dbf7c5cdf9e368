"""Values in a JSON object from outside: read by key and checked.

Each function raises `DataError` that says where the value is and what was expected.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from popi_prompt.errors import DataError

Record = Mapping[str, Any]
_SURROGATE = re.compile("[\ud800-\udfff]")


def checked_object(
    raw: Any, where: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The mapping with its keys in the order of `required`, `optional`; no others are taken."""
    if not isinstance(raw, Mapping):
        raise DataError(f"{where} is {shown(raw)}, expected an object")
    for key in raw:
        if key not in required and key not in optional:
            known = ", ".join((*required, *optional))
            hint = did_you_mean(key, (*required, *optional))
            raise DataError(f"{where} has unknown key {key!r}{hint}; known: {known}")
    for key in required:
        if key not in raw:
            raise DataError(f"{where} has no {key!r}")
    return {key: raw[key] for key in (*required, *optional) if key in raw}


def text_value(value: Any, what: str) -> str:
    """The value, if it is text that can be kept: not blank, without NUL, valid Unicode."""
    if not isinstance(value, str):
        raise DataError(f"{what} is {shown(value)}, expected text")
    if not value.strip():
        raise DataError(f"{what} is empty")
    if "\x00" in value:
        raise DataError(f"{what} holds a NUL character; remove it")
    if not is_unicode(value):
        raise DataError(f"{what} holds half of a surrogate pair; it is not valid Unicode")
    return value


def as_unicode(text: str) -> str:
    """The text with U+FFFD for half of a surrogate pair, which JSON may hold and no file takes."""
    if is_unicode(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_unicode(text: str) -> bool:
    """Whether it can be written: without half of a surrogate pair."""
    return text.isascii() or not _SURROGATE.search(text)


def text_field(record: Record, key: str, where: str) -> str:
    """The text under the key."""
    return text_value(record[key], f"{where}: {key!r}")


def optional_text(record: Record, key: str, where: str) -> str | None:
    """The text under the key; None where it is null or missing."""
    return None if record.get(key) is None else text_field(record, key, where)


def flag_field(record: Record, key: str, where: str) -> bool:
    """The flag under the key; False where it is missing."""
    value = record.get(key, False)
    if not isinstance(value, bool):
        raise DataError(f"{where}: {key!r} is {shown(value)}, expected true or false")
    return value


def list_field(record: Record, key: str, where: str) -> list[Any]:
    """The list under the key; empty where it is missing."""
    value = record.get(key, [])
    if not isinstance(value, list):
        raise DataError(f"{where}: {key!r} is {shown(value)}, expected a list")
    return value


def number_value(value: Any, where: str) -> float:
    """The value, if it is a finite number."""
    if not is_number(value):
        raise DataError(f"{where} is {shown(value)}, expected a number")
    return float(value)


def is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold; a truth value is none."""
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False


def shown(value: Any) -> str:
    """A value from outside as an error quotes it: at most 60 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep, or an integer of thousands of digits
        text = f"too large a value of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """A hint at the known word that is nearest, if one is near."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
