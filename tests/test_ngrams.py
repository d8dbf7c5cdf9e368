"""Copies: six words in a row, found as a plain search over texts would find them."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.ngrams import RUN, Runs
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Persona,
    Preference,
    Rating,
    Signal,
    Turn,
    texts_in,
)

TEXT = "It was a web of old paths between China and lands far to the west."
few_words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=14).map(" ".join)


def test_six_words_in_a_row_are_a_copy_five_are_not() -> None:
    copies = Runs([TEXT])
    assert len(copies) == len(TEXT.split()) - RUN + 1
    assert copies.holds(
        "They say it was: A WEB of \u201cold\u201d things, old paths between China and lands."
    )
    assert not copies.holds("old paths between China and other lands far to the west")
    assert not copies.holds("")


def test_nothing_is_a_copy_of_nothing() -> None:
    assert not Runs([]).holds(TEXT)
    assert not Runs(["too short"]).holds("too short")
    assert len(Runs([])) == 0


def test_runs_do_not_cross_texts() -> None:
    assert not Runs(["one two three", "four five six"]).holds("one two three four five six")


@given(st.lists(few_words, max_size=4), few_words)
@settings(deadline=None)
def test_it_finds_what_a_search_finds(texts: list[str], text: str) -> None:
    words = text.split()
    runs = [" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1)]
    found = any(re.search(rf"(?<!\S){run}(?!\S)", each) for run in runs for each in texts)
    assert Runs(texts).holds(text) is found


def test_every_text_of_every_signal_counts() -> None:
    signals: tuple[Signal, ...] = (
        Persona("1"),
        Interaction("2", "3", "liked"),
        Preference("4", "5", "6"),
        Edit("7", "8"),
        Rating("9", 1.0, (0.0, 1.0)),
        Dialogue((Turn("user", "10"), Turn("assistant", "11"))),
    )
    found = [text for signal in signals for text in texts_in(signal)]
    assert found == [str(n) for n in range(1, 12)]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (TEXT.replace("o", "\u00f6"), unicodedata.normalize("NFD", TEXT.replace("o", "\u00f6"))),
        (
            "\uff76\uff80\uff76\uff85\uff76\uff80\uff76\uff85",
            "\u30ab\u30bf\u30ab\u30ca\u30ab\u30bf\u30ab\u30ca",
        ),
        ("\U00020000\U00020001\U00020002" * 3, "\U00020000\U00020001\U00020002" * 3),
        ("\u3105\u3106\u3107" * 3, "\u3105\u3106\u3107" * 3),
    ],
)
def test_a_copy_in_other_code_points_or_without_spaces_is_one(text: str, other: str) -> None:
    assert Runs([text]).holds(other)
    assert Runs([other]).holds(text)
