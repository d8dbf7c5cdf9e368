"""Copies keep what the originals say apart from each other, whatever that is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.drawing import draw, sample
from popi_prompt.errors import UsageError
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Turn,
    User,
    prompts_in_signals,
)

SIGNALS = (
    Persona("a nurse"),
    Interaction("p1", "r", "liked"),
    Preference("p2", "c", "r"),
    Edit("d", "e"),
    Rating("x", 2.0, (1.0, 3.0)),
    Dialogue((Turn("user", "p3"), Turn("assistant", "r"))),
)
ADA = User("ada", SIGNALS, (Pair("p4", "c", "r", 2.0),), gold="kind", group="g")


def test_a_copy_differs_in_its_id_and_its_prompts_alone() -> None:
    first, second, third = draw([ADA], 3, copies=True)
    assert first == ADA
    assert second.user_id == "ada#2"
    assert prompts_in_signals(third) == tuple(f"p{i} (copy 3)" for i in (1, 2, 3))
    assert third.pairs == (Pair("p4 (copy 3)", "c", "r", 2.0),)
    assert (third.gold, third.group) == ("kind", "g")
    assert [third.signals[i] for i in (0, 3, 4)] == [SIGNALS[i] for i in (0, 3, 4)]
    assert third.signals[5] == Dialogue((Turn("user", "p3 (copy 3)"), Turn("assistant", "r")))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 3))
def test_there_are_as_many_as_asked_and_no_id_twice(there: int, count: int, seed: int) -> None:
    users = [User(f"u{i}", ()) for i in range(there)]
    found = list(draw(users, count, seed, copies=True))
    assert len({user.user_id for user in found}) == len(found) == count
    if count <= there:
        assert tuple(found) == sample(users, count, seed)
    else:
        assert found[:there] == users


def test_more_than_there_are_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(UsageError, match="there are 1 users, fewer than 2; --copies"):
        draw([ADA], 2)
