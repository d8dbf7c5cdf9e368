"""JSON arrays, a record at a time: the same values and refusals as the whole at once."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.errors import DataError
from popi_prompt.importers.json_array import array_values

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


class Trickle(io.BytesIO):
    """A file that gives at most a few bytes, however many are asked for."""

    most = 3

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.most)


@given(st.lists(values, max_size=6), st.booleans(), st.sampled_from([None, 2]), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_values_are_those_of_the_whole_wherever_the_reads_end(
    given_values: list[Any], escaped: bool, indent: int | None, most: int
) -> None:
    text = json.dumps(given_values, ensure_ascii=escaped, indent=indent)
    file = Trickle(text.encode("utf-8", "surrogatepass" if escaped else "replace"))
    file.most = most
    expected = json.loads(text.encode("utf-8", "replace"))
    assert list(array_values(file, "x.json")) == expected


@given(st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_other_bytes_are_refused_exactly_where_the_whole_is(content: bytes) -> None:
    raw = b"[" + content
    try:
        expected = json.loads(raw.decode("utf-8"), parse_constant=lambda _: int("x"))
    except ValueError:
        expected = None
    try:
        found = list(array_values(Trickle(raw), "x.json"))
    except DataError:
        found = None
    assert found == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a JSON array"),
        (b'{"a": 1}', "expected a JSON array"),
        (b"[1 2]", "record 1: is not valid JSON: expected ',' or ']'"),
        (b"[1,", "record 1: is not valid JSON"),
        (b"[1,]", "record 1: is not valid JSON"),
        (b"[1", "record 1: is not valid JSON"),
        (b"[1] 2", "there is more after the array"),
        (b'["a", "\xc3\xa9\xff"]', "is not valid UTF-8 at byte 10"),
        (b'["a", "\xc3', "is not valid UTF-8 at byte 8"),
        (b"[1, -Infinity]", "record 1: holds -Infinity"),
        (b"[" + b"9" * 5000 + b"]", "record 0: holds a number with too many digits"),
        (b"[[], " + b"[" * 100_000, "record 1: is nested too deeply"),
    ],
)
def test_a_refusal_says_where(content: bytes, problem: str) -> None:
    for file in (io.BytesIO(content), Trickle(content)):
        with pytest.raises(DataError) as caught:
            list(array_values(file, "x.json"))
        assert str(caught.value).startswith("x.json: ")
        assert problem in str(caught.value)


def test_an_early_error_of_a_large_file_is_found_without_reading_the_rest() -> None:
    file = io.BytesIO(b"[{]" + b" " * 10_000_000)
    with pytest.raises(DataError, match="record 0"):
        list(array_values(file, "x.json"))
    assert file.tell() < 1_000_000


def test_a_record_without_end_is_refused_before_all_of_it_is_held() -> None:
    file = io.BytesIO(b'["' + b"x" * 100_000_000)
    with pytest.raises(DataError, match="record 0: is longer than 33554432 characters"):
        list(array_values(file, "x.json"))
    assert file.tell() < 90_000_000
