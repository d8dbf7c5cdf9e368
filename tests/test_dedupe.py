"""Duplicates: what says the same goes, what merely shares words stays."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.dedupe import Repeat, dedupe
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Signal,
    Turn,
    User,
)

PROMPT = "How do I keep bees through a long and cold winter in the mountains?"
CHOSEN = "Wrap the hive well and leave them all of their own honey until the spring comes"
REJECTED = "Thermoregulatory clustering necessitates insulation and carbohydrate reserves"
LONG = " ".join(f"word{i}" for i in range(200))  # outweighs any answer
ADA = User("ada", (Preference(PROMPT, CHOSEN, REJECTED),), (Pair("p", "x", "y"),))


def left(*users: User, near: float = 0.8) -> list[str]:
    return [user.user_id for user in dedupe(users, near).users]


def test_the_first_of_equal_users_stays() -> None:
    again, third = replace(ADA, user_id="bob"), replace(ADA, user_id="cy")
    found = dedupe((ADA, again, User("dan", ()), third))
    assert [user.user_id for user in found.users] == ["ada", "dan"]
    assert found.repeats == (Repeat("bob", "ada", "same"), Repeat("cy", "ada", "same"))


def test_nearly_the_same_words_are_a_repeat_and_fewer_are_not() -> None:
    bob = replace(ADA, user_id="bob", signals=(Preference(PROMPT, CHOSEN + " again", REJECTED),))
    assert dedupe((ADA, bob)).repeats == (Repeat("bob", "ada", "near"),)
    assert left(ADA, bob, near=1) == ["ada", "bob"]
    other = replace(ADA, user_id="bob", signals=(Preference(PROMPT, "Buy new ones", REJECTED),))
    assert left(ADA, other) == ["ada", "bob"]


def test_the_opposite_choice_is_another_person() -> None:
    bob = replace(ADA, user_id="bob", signals=(Preference(PROMPT, REJECTED, CHOSEN),))
    assert left(ADA, bob) == ["ada", "bob"]
    liked, disliked = (
        User(how, (Interaction(PROMPT, CHOSEN, how),)) for how in ("liked", "disliked")
    )
    assert left(liked, disliked) == ["liked", "disliked"]
    high, low = (User(f"{n}", (Rating(PROMPT, n, (1.0, 5.0)),)) for n in (5.0, 1.0))
    assert left(high, low) == ["5.0", "1.0"]
    asked, told = (User(r, (Dialogue((Turn(r, PROMPT),)),)) for r in ("user", "assistant"))
    assert left(asked, told) == ["user", "assistant"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Preference(LONG, "A list.", "An essay."), Preference(LONG, "An essay.", "A list.")),
        (Preference(LONG, "A list.", "An essay."), Preference(LONG, "A poem.", "A table.")),
        (Preference(LONG, "A list.", LONG), Preference(LONG, "An essay.", LONG)),
        (Preference(LONG, "LOUD!", "loud."), Preference(LONG, "loud.", "LOUD!")),
        (
            Preference("p", f"{LONG} yes", f"{LONG} no"),
            Preference("p", f"{LONG} no", f"{LONG} yes"),
        ),
        (Preference(f"{LONG} a", "Yes", "No"), Preference(f"{LONG} b", "No", "Yes")),
        (Interaction(LONG, "A list.", "liked"), Interaction(LONG, "A poem.", "liked")),
        (Interaction("p", "A list.", "liked"), Interaction("p", "A list.", "disliked")),
        (Edit("A list.", "An essay."), Edit("An essay.", "A list.")),
        (Rating("A list.", 5.0, (1.0, 5.0)), Rating("A list.", 1.0, (1.0, 5.0))),
    ],
)
def test_nothing_that_is_longer_hides_another_choice(one: Signal, other: Signal) -> None:
    said = Persona(" ".join(f"else{i}" for i in range(900)))
    ada, bob = User("ada", (said, one)), User("bob", (said, other))
    assert left(ada, bob) == ["ada", "bob"]
    assert left(replace(ada, signals=(one,)), replace(bob, signals=(other,))) == ["ada", "bob"]


def test_one_opposite_choice_of_many_is_enough() -> None:
    pairs = tuple(Pair(f"{PROMPT} {i}", "Yes", "No") for i in range(12))
    turned = replace(pairs[3], chosen="No", rejected="Yes")
    bob = User("bob", (), (*pairs[:3], turned, *pairs[4:]))
    assert left(User("ada", (), pairs), bob) == ["ada", "bob"]


def test_who_was_asked_one_thing_more_or_another_is_near() -> None:
    pairs = tuple(Pair(f"{i} {PROMPT} {i}", f"Yes {i}", f"No {i}") for i in range(12))
    ada, bob = User("ada", (), pairs[:-1]), User("bob", (), pairs[1:])
    assert left(ada, bob) == ["ada"]
    assert left(User("cy", (), pairs), bob, ada) == ["cy"]


def test_one_word_of_an_answer_or_a_prompt_is_near() -> None:
    chosen = "Wrap the hive well and leave them all their honey"
    ada = User("ada", (Preference(PROMPT, chosen, REJECTED),))
    other = chosen.replace("well", "warm")
    assert left(ada, User("bob", (Preference(PROMPT, other, REJECTED),))) == ["ada"]
    asked = f"Say: {PROMPT}"
    assert left(ada, User("bob", (Preference(asked, chosen, REJECTED),))) == ["ada"]
    assert left(ada, User("bob", (Preference(PROMPT, "Wrap it.", REJECTED),))) == ["ada", "bob"]


def test_what_comes_late_in_a_long_text_counts() -> None:
    one, other = (f"{LONG} {name * 40}" for name in ("this ", "that "))
    mixed = " ".join(f"{i} this {i}" for i in range(90))
    ada, bob = User("ada", (Persona(f"{LONG} {mixed}"),)), User("bob", (Persona(one),))
    assert left(ada, bob) == ["ada", "bob"]
    assert left(bob, User("cy", (Persona(other),)), near=1) == ["bob", "cy"]
    pairs = tuple(Pair("p", f"{LONG} {name}", "no") for name in ("this", "that"))
    assert dedupe([User("ada", (), pairs)], near=1).users[0].pairs == pairs


def test_who_repeats_a_repeat_repeats_the_first() -> None:
    words = [f"word{i}" for i in range(60)]
    users = [User(f"u{n}", (Persona(" ".join(words[n:])),)) for n in (0, 4, 8, 30)]
    found = dedupe(users)
    assert found.repeats == (Repeat("u4", "u0", "near"), Repeat("u8", "u0", "near"))


def test_pairs_that_their_user_has_already_go_and_those_of_others_stay() -> None:
    pair = Pair(PROMPT, CHOSEN, REJECTED)
    pairs = (
        pair,
        replace(pair, prompt=f"  {PROMPT.upper()}", weight=2.0),
        replace(pair, chosen=CHOSEN + " again"),
        replace(pair, chosen=REJECTED, rejected=CHOSEN),
    )
    found = dedupe((User("a", (), pairs), User("b", (Persona("someone else"),), (pair,))))
    assert found.users[0].pairs == (pair, pairs[3])
    assert found.users[1].pairs == (pair,)
    assert (found.same_pairs, found.near_pairs) == (1, 1)


def test_pairs_of_a_long_prompt_with_other_answers_stay() -> None:
    answers = [("Yes", "No"), ("No", "Yes"), ("Maybe", "Never"), ("Yes", "Never")]
    pairs = tuple(Pair(LONG, *each) for each in answers)
    again = Pair(LONG, "yes!", "no...")
    found = dedupe([User("ada", (), (*pairs, again))])
    assert found.users[0].pairs == pairs
    assert (found.same_pairs, found.near_pairs) == (0, 1)


def test_every_way_to_answer_what_all_were_asked_is_a_person() -> None:
    prompts = [f"{i} {PROMPT} {i}" for i in range(6)]
    ways = product([("Yes", "No"), ("No", "Yes")], repeat=len(prompts))
    users = [
        User(
            f"u{n}", (), tuple(Pair(asked, *each) for asked, each in zip(prompts, way, strict=True))
        )
        for n, way in enumerate(ways)
    ]
    found = dedupe([*users, *(replace(user, user_id=f"{user.user_id}+") for user in users)])
    assert found.users == tuple(users)
    assert len(found.repeats) == 64


TEXT = st.text("ab ", min_size=1, max_size=12)
PAIRS = st.lists(st.builds(Pair, TEXT, TEXT, TEXT), max_size=3).map(tuple)
USERS = st.lists(st.builds(User, st.just("u"), st.just(()), PAIRS), min_size=1, max_size=8)


@pytest.mark.slow
@given(USERS)
def test_nothing_is_left_to_dedupe_and_the_counts_add_up(drawn: list[User]) -> None:
    users = tuple(replace(user, user_id=f"{i}") for i, user in enumerate(drawn))
    found = dedupe(users)
    again = dedupe(found.users)
    assert (again.same_pairs, again.near_pairs) == (0, 0)
    assert len(found.users) + len(found.repeats) == len(users)
    gone = {each.user_id for each in found.repeats}
    kept = {user.user_id: user for user in users if user.user_id not in gone}
    assert [user.user_id for user in found.users] == list(kept)
    before = sum(len(user.pairs) for user in kept.values())
    after = sum(len(user.pairs) for user in found.users)
    assert before - after == found.same_pairs + found.near_pairs
    for each in found.repeats:
        assert each.first in kept
