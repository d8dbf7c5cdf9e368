"""Users who chose differently between the same answers are drawn together, and cost one call."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from toy_tastes import person

from popi_prompt.events import Event, PhaseStarted
from popi_prompt.optimizers.couples import asking, in_couples
from popi_prompt.schema import Pair, User
from popi_prompt.settings import Settings
from popi_prompt.testing import fake_door
from popi_prompt.workflow import optimize


def user(name: str, question: int, *, other: bool) -> User:
    answers = (f"yes {question}", f"no {question}")
    chosen, rejected = answers[::-1] if other else answers
    return replace(person(0), user_id=name, pairs=(Pair(f"{question}?", chosen, rejected),))


A, B, C = (user(name, i, other=False) for i, name in enumerate("abc"))
NOT_A, NOT_B = user("-a", 0, other=True), user("-b", 1, other=True)

people = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12).map(
    lambda drawn: [user(f"u{i}", q, other=other) for i, (q, other) in enumerate(drawn)]
)


def test_who_made_the_opposite_choice_follows() -> None:
    assert in_couples([A, B, C, NOT_B, NOT_A]) == [A, NOT_A, B, NOT_B, C]


def test_who_made_the_same_choice_does_not() -> None:
    same = replace(A, user_id="like a")
    assert in_couples([A, B, same, NOT_A]) == [A, NOT_A, B, same]


def test_one_of_several_who_made_the_opposite_choice_follows() -> None:
    another = replace(NOT_A, user_id="-a too")
    assert in_couples([A, B, NOT_A, another]) == [A, NOT_A, B, another]


def test_a_couple_asks_one_question() -> None:
    users = [A, NOT_A, B, NOT_B, C]
    assert asking(users, 2) == users[:4]
    assert asking(users, 3) == users
    assert asking([A, B, C], 2) == [A, B]


@given(people)
def test_nobody_is_lost_and_the_first_stay_in_order(users: list[User]) -> None:
    found = in_couples(users)
    assert sorted(each.user_id for each in found) == sorted(each.user_id for each in users)
    if users:
        assert found[0] == users[0]
        assert asking(found, len(users)) == found


def test_a_light_search_screens_as_many_couples_as_it_would_users() -> None:
    alone = [replace(person(i), user_id=f"u{i}") for i in range(60)]
    coupled = [
        replace(each, pairs=(_swapped(alone[i - 1].pairs[0]),)) if i % 2 else each
        for i, each in enumerate(alone)
    ]
    cells = []
    for users in (alone, coupled):
        events: list[Event] = []
        settings = Settings(auto="light", demos="real")
        optimize(tuple(users), settings, observer=events.append, door=fake_door())
        phases = [each for each in events if isinstance(each, PhaseStarted)]
        cells += [each.total for each in phases if each.title == "scoring candidate summaries"]
    assert cells[1] == 2 * cells[0]


def _swapped(pair: Pair) -> Pair:
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)
