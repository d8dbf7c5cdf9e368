"""Retrieval: the signals most like a prompt, by words or embeddings, told prompt by prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tastes import COMPILED_CANDIDATE

from popi_prompt.contexts import context
from popi_prompt.errors import BadResponse
from popi_prompt.evaluation import ByPrompt
from popi_prompt.prompts import render_signals
from popi_prompt.retrieval import Embeddings, Retrieval, Words
from popi_prompt.rows import RETRIEVED
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
)
from popi_prompt.testing import FakeModel, fake_door

BEES = Preference("How do I keep bees in winter?", "Wrap the hive.", "Insulate the colony.")
BREAD = Interaction("How long does bread rise?", "An hour, somewhere warm.", "liked")
RAIN = Edit("Rain is condensed vapour.", "Rain is water that fell out of a cloud.")
STARS = Rating("A film about stars and bees", 4.0, (1.0, 5.0))
TALK = Dialogue((Turn("user", "Is the hive warm?"), Turn("assistant", "Yes.")))
SIGNALS = (BREAD, BEES, RAIN, STARS, TALK, Persona("a nurse"))
USER = User("u", SIGNALS)


@pytest.mark.parametrize(
    ("prompt", "best"),
    [
        ("What do bees eat in the winter?", BEES),
        ("Why does BREAD rise", BREAD),
        ("Where does a cloud come from?", RAIN),
        ("the hive is warm", TALK),
        ("Is a nurse...", SIGNALS[5]),
    ],
)
@pytest.mark.parametrize("similarity", [Words([USER]), Embeddings(fake_door())])
def test_the_signal_about_the_same_thing_is_found(
    similarity: Words | Embeddings, prompt: str, best: object
) -> None:
    if isinstance(similarity, Embeddings) and best in (TALK, SIGNALS[5], RAIN):
        return  # small words weigh as much there
    assert Retrieval(similarity, 1).of(prompt, SIGNALS) == (best,)


def test_a_rare_word_counts_for_more_than_a_common_one() -> None:
    users = [User(f"u{i}", (Persona("the bees and the rain"),)) for i in range(20)]
    rare, common = Persona("a hive here"), Persona("the bees here")
    found = Words([*users, User("x", (rare, common))])("the bees hive", (rare, common))
    assert found[0] > found[1] > 0


def test_they_keep_their_order_and_the_later_of_two_alike_stays() -> None:
    signals = (Persona("bees"), Persona("bread"), Persona("bees and rain"), Persona("bread"))
    similarity = Words([User("u", signals)])
    assert Retrieval(similarity, 2).of("bees", signals) == (signals[0], signals[2])
    assert Retrieval(similarity, 1).of("bread", signals[1:]) == (signals[3],)
    assert Retrieval(similarity, 2).of("nothing of it", signals) == signals[2:]


@given(st.lists(st.text(), max_size=6), st.text(), st.integers(0, 8))
def test_any_texts_give_as_many_signals_as_asked(texts: list[str], prompt: str, count: int) -> None:
    signals = tuple(Persona(text) for text in texts)
    found = Retrieval(Words([User("u", signals)]), count).of(prompt, signals)
    assert len(found) == min(count, len(signals))
    rest = iter(signals)
    assert all(any(each is other for other in rest) for each in found)


def test_what_has_no_direction_is_like_nothing() -> None:
    class Empty(FakeModel):
        def embed(self, text: str) -> tuple[float, ...]:
            found = super().embed(text)
            return (0.0,) * len(found) if "nothing" in text else found

    similarity = Embeddings(fake_door({"embedding": Empty()}))
    signals = (Persona("bees in winter"), Persona("nothing"), Persona("bees"))
    alike = similarity("bees", signals)
    assert alike[1] == 0
    assert alike[2] == pytest.approx(1)
    assert Retrieval(similarity, 2).of("bees", signals) == (signals[0], signals[2])
    assert similarity("nothing", signals) == [0, 0, 0]


def test_the_row_tells_each_prompt_its_own_signals() -> None:
    pairs = (Pair("Do bees fly?", "Yes", "No"), Pair("Does bread burn?", "Yes", "No"))
    user = User("u", SIGNALS, pairs)
    retrieval = Retrieval(Words([user]), 1)
    told = context(RETRIEVED, COMPILED_CANDIDATE, [user], fake_door(), retrieval=retrieval)
    assert told is not None
    found = told.summarize(user)
    assert found == ByPrompt(
        {
            "Do bees fly?": render_signals((BEES,)),
            "Does bread burn?": render_signals((BREAD,)),
        }
    )


def test_what_the_person_chose_for_the_prompt_is_not_looked_at() -> None:
    one, other = (
        User("u", SIGNALS, (Pair("Do they fly?", chosen, "x"),)) for chosen in ("bees", "bread")
    )
    door = fake_door({"embedding": FakeModel()})
    for retrieval in (None, Retrieval(Embeddings(door))):
        told = context(RETRIEVED, COMPILED_CANDIDATE, [one, other], door, retrieval=retrieval)
        assert told is not None
        assert told.summarize(one) == told.summarize(other)


def test_a_user_without_signals_fails() -> None:
    user = User("u", (), (Pair("p", "x", "y"),))
    told = context(RETRIEVED, COMPILED_CANDIDATE, [user], fake_door())
    assert told is not None
    with pytest.raises(BadResponse, match="no signals to show"):
        told.summarize(user)
