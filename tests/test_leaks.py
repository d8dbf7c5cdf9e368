"""Leaks across a split: nothing that is near is missed, nothing that is not is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.leaks import Leaks, leaks, leaks_within, near_any, shingles
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Signal,
    Turn,
    User,
)

PROMPT = "How do I keep bees through a long and cold winter in the mountains?"
CHOSEN = "Wrap the hive well and leave them all of their own honey until the spring comes"
REJECTED = (
    "Thermoregulatory clustering necessitates insulation and carbohydrate reserves throughout"
)
LATER = User("b", (), (Pair(PROMPT, CHOSEN, REJECTED),))
sets = st.frozensets(st.integers(0, 12), min_size=1, max_size=10)


def earlier(*pairs: Pair, signals: tuple[Signal, ...] = ()) -> list[User]:
    return [User("a", signals, pairs)]


@given(st.lists(sets, max_size=12), sets, st.sampled_from([0.5, 0.7, 0.8, 1.0]))
def test_near_finds_what_comparing_with_each_finds(
    kept: list[frozenset[int]], wanted: frozenset[int], near: float
) -> None:
    alike = any(len(each & wanted) >= near * len(each | wanted) - 1e-9 for each in kept)
    assert near_any(kept, near).holds(wanted) is alike


@given(st.text(), st.text())
def test_what_was_there_is_seen_whatever_it_is(prompt: str, answer: str) -> None:
    pair = Pair(prompt, answer, "x")
    again = User("b", (), (pair, replace(pair, prompt=f"{prompt} and then what")))
    found = leaks(earlier(pair), [again])
    assert found.pairs == 2
    assert found.same_prompts >= 1
    assert found.seen == 2


def test_case_spacing_and_marks_do_not_hide_a_prompt() -> None:
    same = Pair(PROMPT.upper().replace(" ", "  "), "a", "b")
    assert leaks(earlier(same), [LATER]) == Leaks(1, same_prompts=1)
    marked = Pair(PROMPT.replace("?", " ...").replace("long", "(long)"), "a", "b")
    assert leaks(earlier(marked), [LATER]) == Leaks(1, near_prompts=1)
    reworded = Pair("Please: " + PROMPT, "a", "b")
    assert leaks(earlier(reworded), [LATER]) == Leaks(1, near_prompts=1)


def test_another_question_of_the_same_form_is_no_leak() -> None:
    other = Pair(PROMPT.replace("bees", "goats").replace("mountains", "desert"), "a", "b")
    assert leaks(earlier(other), [LATER]) == Leaks(1)
    numbered = Pair("Tell me about 17", "a", "b")
    later = User("b", (), (Pair("Tell me about 18", "c", "d"),))
    assert leaks(earlier(numbered), [later]) == Leaks(1)


def test_both_answers_have_to_be_there() -> None:
    assert leaks(earlier(Pair("Else", REJECTED, CHOSEN + "!")), [LATER]) == Leaks(1, near_answers=1)
    assert leaks(earlier(Pair("Else", CHOSEN, "b")), [LATER]) == Leaks(1)


@pytest.mark.parametrize(
    "signal",
    [
        Preference("Else", CHOSEN, REJECTED),
        Edit(REJECTED, CHOSEN),
        Dialogue((Turn("user", "Hm"), Turn("assistant", CHOSEN), Turn("assistant", REJECTED))),
    ],
)
def test_answers_in_signals_count(signal: Signal) -> None:
    assert leaks(earlier(signals=(signal,)), [LATER]) == Leaks(1, near_answers=1)


def test_answers_of_two_signals_count() -> None:
    signals = (Interaction("Else", CHOSEN), Interaction("Other", REJECTED))
    assert leaks(earlier(signals=signals), [LATER]) == Leaks(1, near_answers=1)
    assert leaks(earlier(signals=signals[:1]), [LATER]) == Leaks(1)


def test_what_the_user_wrote_in_a_dialogue_is_no_answer() -> None:
    talk = Dialogue((Turn("user", CHOSEN), Turn("user", REJECTED)))
    assert leaks(earlier(signals=(talk,)), [LATER]) == Leaks(1)


def test_texts_that_begin_with_the_same_two_hundred_words_are_copies() -> None:
    start = " ".join(f"word{i}" for i in range(200))
    one, other = (f"{start} {' '.join(f'{name}{i}' for i in range(200))}" for name in "ab")
    later = User("b", (), (Pair(other, "c", "d"),))
    assert leaks(earlier(Pair(one, "a", "b")), [later]) == Leaks(1, near_prompts=1)


@pytest.mark.parametrize("signal", [Interaction(PROMPT, "b"), Dialogue((Turn("user", PROMPT),))])
def test_prompts_in_signals_count(signal: Signal) -> None:
    assert leaks(earlier(signals=(signal,)), [LATER]) == Leaks(1, same_prompts=1)


def test_only_the_users_own_signals_give_away_within() -> None:
    own = replace(LATER, signals=(Interaction(PROMPT, "b"),))
    other = User("c", (Persona("Hm"),), (Pair("Else", "a", "b"),))
    assert leaks_within([own, other]) == Leaks(2, same_prompts=1)
    swapped = [replace(own, pairs=other.pairs), replace(other, pairs=own.pairs)]
    assert leaks_within(swapped) == Leaks(2)


def test_nothing_before_leaks_nothing() -> None:
    assert leaks([], [LATER]) == Leaks(1)
    assert leaks([LATER], []) == leaks_within([]) == Leaks(0)


def test_scripts_without_spaces_are_compared_by_letter() -> None:
    text = "山の冬に蜂をどうやって守ればよいですか教えてください"
    assert shingles(text) & shingles(text + "ね")
    assert near_any([shingles(text)], 0.8).holds(shingles(text + "ね"))
