"""Duplicates: what says the same goes, what merely shares words stays."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.dedupe import Repeat, dedupe
from popi_prompt.schema import Dialogue, Interaction, Pair, Persona, Preference, Rating, Turn, User

PROMPT = "How do I keep bees through a long and cold winter in the mountains?"
CHOSEN = "Wrap the hive well and leave them all of their own honey until the spring comes"
REJECTED = "Thermoregulatory clustering necessitates insulation and carbohydrate reserves"
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


TEXT = st.text("ab ", min_size=1, max_size=12)
PAIRS = st.lists(st.builds(Pair, TEXT, TEXT, TEXT), max_size=3).map(tuple)
USERS = st.lists(st.builds(User, st.just("u"), st.just(()), PAIRS), min_size=1, max_size=8)


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
