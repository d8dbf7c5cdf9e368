"""Hypothesis strategies that damage files, as accidents, exports and attackers do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from public_formats import Files, encode

Damaged = tuple[str, bytes]  # the name of the file, and what it holds now

DEPTHS = (3, 60, 900, 5_000, 100_000)
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    -0.0,
    "",
    "  ",
    "x",
    "a\x00b",
    "\ud83d",
    "\u202e",
    [],
    [[]],
    [None],
    {},
    {"role": "user"},
    "9" * 5_000,
)
RAW = (
    b"9" * 5_000,
    b"1e999",
    b"-1e-999",
    b"NaN",
    b"-Infinity",
    b"0x10",
    b"\x00",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\r",
    b"\r\n",
    b"\n",
    b"\x1a",
    b'"',
    b"'",
    b",",
    b"\t",
    b"::",
    b"|",
    b"{}",
    b"//",
)


@st.composite
def damaged(draw: st.DrawFn, files: Files) -> Damaged:
    """One of the files, damaged once or twice in its values or in its bytes."""
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    if not isinstance(content, str | bytes) and draw(st.booleans()):
        content = draw(_changed(content))
    try:
        raw = encode(name, content)
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
        raw = encode(name, files[name])  # a table cannot hold every value
    for _ in range(draw(st.integers(0, 2))):
        raw = draw(st.sampled_from(_BYTES))(draw, raw)
    return name, raw


@st.composite
def _changed(draw: st.DrawFn, content: Any) -> Any:
    """A value somewhere in the records is another one, gone, or there twice."""
    content = copy.deepcopy(content)
    place: Any = content
    for _ in range(draw(st.integers(0, 5))):
        inner = _inside(place)
        deeper = [key for key in inner if _inside(place[key])]
        if not deeper:
            break
        place = place[draw(st.sampled_from(deeper))]
    keys = _inside(place)
    if not keys:
        return content
    key = draw(st.sampled_from(keys))
    how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "repeat", "rename")))
    if how == "remove":
        del place[key]
    elif how == "repeat" and isinstance(place, list):
        place.insert(key, copy.deepcopy(place[key]))
    elif how == "rename" and isinstance(place, dict):
        place[draw(st.sampled_from(("", "x", "role", "messages", "yw", "\ud83d")))] = place.pop(key)
    else:
        place[key] = draw(
            st.one_of(st.sampled_from(VALUES), st.sampled_from(DEPTHS[:3]).map(_deep))
        )
    return content


def _inside(place: Any) -> list[Any]:
    if isinstance(place, dict):
        return list(place)
    return list(range(len(place))) if isinstance(place, list) else []


def _deep(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth) if depth < 900 else [[[[["deep"]]]]]


def _cut(draw: st.DrawFn, raw: bytes) -> bytes:
    return raw[: draw(st.integers(0, len(raw)))]


def _flip(draw: st.DrawFn, raw: bytes) -> bytes:
    flipped = bytearray(raw)
    for _ in range(draw(st.integers(1, 8)) if raw else 0):
        place = draw(st.integers(0, len(raw) - 1))
        flipped[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(flipped)


def _insert(draw: st.DrawFn, raw: bytes) -> bytes:
    place = draw(st.integers(0, len(raw)))
    return raw[:place] + draw(st.sampled_from(RAW)) + raw[place:]


def _number(draw: st.DrawFn, raw: bytes) -> bytes:
    """Something else in the place of a digit."""
    places = [i for i, byte in enumerate(raw) if 48 <= byte <= 57]
    if not places:
        return raw
    place = draw(st.sampled_from(places))
    return raw[:place] + draw(st.sampled_from(RAW)) + raw[place + 1 :]


def _nest(draw: st.DrawFn, raw: bytes) -> bytes:
    place, depth = draw(st.integers(0, len(raw))), draw(st.sampled_from(DEPTHS))
    opened, closed = draw(st.sampled_from(((b"[", b"]"), (b'{"a":', b"}"))))
    closing = draw(st.booleans())
    inside = opened * depth + (b"1" + closed * depth if closing else b"")
    return raw[:place] + inside + raw[place:]


def _repeat(draw: st.DrawFn, raw: bytes) -> bytes:
    """Lines, or all of it, twice: ids come again, headers too."""
    lines = raw.splitlines(keepends=True)
    start = draw(st.integers(0, len(lines)))
    return b"".join([*lines[:start], *lines[start : start + 2], *lines[start:]])


def _windows(draw: st.DrawFn, raw: bytes) -> bytes:
    ends = draw(st.sampled_from((b"\r\n", b"\r", b"\n\n", b"\x85")))
    mark = draw(st.sampled_from((b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb")))
    return mark + raw.replace(b"\n", ends)


def _recode(draw: st.DrawFn, raw: bytes) -> bytes:
    encoding = draw(st.sampled_from(("utf-16", "utf-32-le", "utf-8-sig")))
    return raw.decode("latin-1").encode(encoding)


_BYTES: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (
    _cut,
    _flip,
    _insert,
    _insert,
    _number,
    _nest,
    _repeat,
    _windows,
    _recode,
)
