"""Records: JSON <-> values, and the errors they raise."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt import errors
from popi_prompt.errors import DataError, ModelError, PopiError
from popi_prompt.records import parse_pair, parse_signal, parse_signals, parse_user, user_record
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
    prompts_in_signals,
)

some = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20
).filter(lambda value: bool(value.strip()))
contrast = st.tuples(text, text, text).filter(lambda t: t[1].strip() != t[2].strip())
number = st.floats(allow_nan=False, allow_infinity=False)


def rating_of(item: str, numbers: list[float]) -> Rating:
    low, middle, high = sorted(numbers)
    return Rating(item, middle, (low, high))


KINDS: dict[str, st.SearchStrategy[Signal]] = {
    "persona": st.builds(Persona, text),
    "interaction": st.builds(Interaction, text, text, st.sampled_from(["liked", "disliked", None])),
    "preference": contrast.map(lambda t: Preference(*t)),
    "edit": st.builds(Edit, text, text),
    "rating": st.builds(rating_of, text, st.lists(number, min_size=3, max_size=3, unique=True)),
    "dialogue": st.lists(
        st.builds(Turn, st.sampled_from(["user", "assistant"]), text), min_size=1, max_size=4
    ).map(lambda turns: Dialogue(tuple(turns))),
}
users = st.builds(
    User,
    user_id=text,
    signals=st.lists(st.one_of(*KINDS.values()), max_size=4).map(tuple),
    pairs=st.lists(contrast.map(lambda t: Pair(*t)), max_size=3).map(tuple),
    gold=st.none() | text,
    public=st.booleans(),
    group=st.none() | text,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | number | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)

VALID: dict[str, dict[str, Any]] = {
    "persona": {"kind": "persona", "text": "a nurse"},
    "interaction": {"kind": "interaction", "prompt": "hi", "response": "yo", "feedback": "liked"},
    "preference": {"kind": "preference", "prompt": "hi", "chosen": "yo", "rejected": "good day"},
    "edit": {"kind": "edit", "draft": "utilise", "edited": "use"},
    "rating": {"kind": "rating", "item": "a poem", "rating": 4, "scale": [1, 5]},
    "dialogue": {"kind": "dialogue", "messages": [{"role": "user", "content": "hi"}]},
}


def through_json(user: User) -> Any:
    return json.loads(json.dumps(user_record(user)))


def one_line(shown: str) -> bool:
    return len(shown.splitlines()) == 1


def refusal(parse: Callable[[Any], object], raw: Any) -> str | None:
    """What a `DataError` says, if there is one; every other error passes through."""
    try:
        parse(raw)
    except DataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@some
def test_a_user_with_any_kind_of_signal_survives_json(kind: str, data: st.DataObject) -> None:
    signal = data.draw(KINDS[kind])
    user = User("u", (signal,))
    record = through_json(user)
    assert record["signals"][0]["kind"] == kind
    assert parse_user(record) == user


@given(users)
@some
def test_a_whole_user_survives_json(user: User) -> None:
    assert parse_user(through_json(user)) == user


@given(users)
@some
def test_a_record_has_no_keys_for_what_is_not_known(user: User) -> None:
    record = user_record(user)
    assert ("gold" in record) == (user.gold is not None)
    assert ("public" in record) == user.public
    assert ("group" in record) == (user.group is not None)


@given(json_values)
@some
def test_arbitrary_json_is_a_user_or_a_data_error_of_one_line(raw: Any) -> None:
    for parse in (parse_user, parse_signal, parse_pair):
        problem = refusal(parse, raw)
        assert problem is None or one_line(problem)


@pytest.mark.parametrize("kind", VALID)
@given(data=st.data())
@some
def test_a_signal_with_an_arbitrary_value_is_read_or_a_data_error(
    kind: str, data: st.DataObject
) -> None:
    record = dict(VALID[kind])
    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(json_values)
    problem = refusal(parse_user, {"user_id": "u", "signals": [record]})
    assert problem is None or problem.startswith("user 'u', signals[0]")
    assert problem is None or one_line(problem)


@pytest.mark.parametrize("kind", VALID)
def test_every_kind_is_read_from_the_json_it_is_documented_with(kind: str) -> None:
    signal = parse_signal(VALID[kind])
    assert signal.kind == kind


@pytest.mark.parametrize("kind", VALID)
def test_every_key_but_feedback_is_required(kind: str) -> None:
    for key in VALID[kind]:
        record = {name: value for name, value in VALID[kind].items() if name != key}
        if key == "feedback":
            signal = parse_signal(record)
            assert isinstance(signal, Interaction)
            assert signal.feedback is None
        else:
            with pytest.raises(DataError, match=key):
                parse_signal(record)


@pytest.mark.parametrize("kind", VALID)
def test_a_misspelt_key_gets_a_suggestion(kind: str) -> None:
    key = next(name for name in VALID[kind] if name != "kind")
    with pytest.raises(DataError, match=f"unknown key '{key}s' .did you mean '{key}'"):
        parse_signal({**VALID[kind], f"{key}s": "x"})


def test_an_unknown_kind_gets_a_suggestion_and_all_known_ones() -> None:
    with pytest.raises(DataError, match="did you mean 'preference'") as caught:
        parse_signal({"kind": "preferense"})
    assert all(kind in str(caught.value) for kind in VALID)


def test_an_unknown_kind_that_resembles_nothing_gets_no_suggestion() -> None:
    with pytest.raises(DataError, match="unknown kind 'qqqq'") as caught:
        parse_signal({"kind": "qqqq"})
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("rating", "scale"),
    [
        (6, [1, 5]),
        (0, [1, 5]),
        (3, [5, 1]),
        (3, [3, 3]),
        (3, [1]),
        (3, [1, 2, 5]),
        (3, "15"),
        (3, {"low": 1}),
        (3, [1, "5"]),
        (True, [0, 5]),
        (1, [False, 5]),
        ("3", [1, 5]),
        (None, [1, 5]),
        (float("nan"), [1, 5]),
        (3, [1, float("inf")]),
    ],
)
def test_a_rating_off_its_scale_or_not_a_number_is_a_data_error(rating: Any, scale: Any) -> None:
    with pytest.raises(DataError):
        parse_signal({"kind": "rating", "item": "x", "rating": rating, "scale": scale})


@pytest.mark.parametrize(
    ("rating", "scale"),
    [(10**400, [0, 5]), (3, [0, 10**400]), (10**5000, [0, 5])],
    ids=["rating", "scale", "unprintable"],
)
def test_an_integer_beyond_every_float_is_a_data_error(rating: int, scale: list[int]) -> None:
    with pytest.raises(DataError):
        parse_signal({"kind": "rating", "item": "x", "rating": rating, "scale": scale})


@pytest.mark.parametrize("rating", [1, 5, 1.0, 4.5])
def test_both_ends_of_a_scale_belong_to_it(rating: float) -> None:
    signal = parse_signal({"kind": "rating", "item": "x", "rating": rating, "scale": [1, 5]})
    assert signal == Rating("x", rating, (1.0, 5.0))


@pytest.mark.parametrize("value", ["", "  \n", "a\x00b", "\ud800", "a\udfffb", 3, None, ["a"], {}])
def test_text_that_is_no_text_is_a_data_error_with_its_key(value: Any) -> None:
    with pytest.raises(DataError, match="'text'"):
        parse_signal({"kind": "persona", "text": value})
    with pytest.raises(DataError, match="'user_id'"):
        parse_user({"user_id": value})


@pytest.mark.parametrize("rejected", ["same", " same", "same\n"])
def test_a_pair_must_differ_in_more_than_spacing(rejected: str) -> None:
    raw = {"prompt": "p", "chosen": "same", "rejected": rejected}
    with pytest.raises(DataError, match="the same text"):
        parse_pair(raw)
    with pytest.raises(DataError, match="the same text"):
        parse_signal({"kind": "preference", **raw})


def test_the_order_of_keys_does_not_swap_chosen_and_rejected() -> None:
    raw = {"rejected": "r", "chosen": "c", "prompt": "p"}
    assert parse_pair(raw) == Pair(prompt="p", chosen="c", rejected="r")


@pytest.mark.parametrize("role", ["system", "", None, ["user"]])
def test_a_dialogue_has_two_roles_only(role: Any) -> None:
    with pytest.raises(DataError, match="role"):
        parse_signal({"kind": "dialogue", "messages": [{"role": role, "content": "hi"}]})


def test_a_dialogue_without_messages_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no messages"):
        parse_signal({"kind": "dialogue", "messages": []})


@pytest.mark.parametrize("feedback", ["loved", "", True, ["liked"], {}])
def test_feedback_is_liked_disliked_or_nothing(feedback: Any) -> None:
    with pytest.raises(DataError, match="feedback"):
        parse_signal({**VALID["interaction"], "feedback": feedback})


def test_an_error_says_which_signal_and_which_pair() -> None:
    signals = [VALID["persona"], {"kind": "persona"}]
    with pytest.raises(DataError, match=r"user 'u', signals\[1\]"):
        parse_user({"user_id": "u", "signals": signals})
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    with pytest.raises(DataError, match=r"user 'u', pairs\[2\]"):
        parse_user({"user_id": "u", "pairs": [pair, pair, {}]})


def test_signals_that_are_values_already_pass_through() -> None:
    persona = Persona("a nurse")
    assert parse_signals([persona, VALID["edit"]]) == (persona, Edit("utilise", "use"))


def test_a_long_wrong_value_is_shown_in_short() -> None:
    with pytest.raises(DataError) as caught:
        parse_user(["x" * 10_000])
    assert len(str(caught.value)) < 200


def test_prompts_in_signals_are_those_the_person_wrote() -> None:
    turns = (Turn("user", "d1"), Turn("assistant", "no"), Turn("user", "d2"))
    user = User(
        "u",
        (
            Persona("no"),
            Interaction("i", "no"),
            Preference("p", "no", "never"),
            Edit("no", "never"),
            Rating("no", 1, (0, 2)),
            Dialogue(turns),
        ),
        (Pair("no", "a", "b"),),
    )
    assert prompts_in_signals(user) == ("i", "p", "d1", "d2")


@pytest.mark.parametrize(
    ("path", "line", "shown"),
    [
        (None, None, "bad"),
        (None, 3, "bad"),
        ("users.jsonl", None, "users.jsonl: bad"),
        ("users.jsonl", 3, "users.jsonl:3: bad"),
    ],
)
def test_a_data_error_shows_file_and_line_where_known(
    path: str | None, line: int | None, shown: str
) -> None:
    error = DataError("bad", path=path, line=line)
    assert str(error) == shown
    assert error.problem == "bad"


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ({}, "bad"),
        ({"model": "m"}, "model 'm': bad"),
        ({"user_id": ""}, "user '': bad"),
        ({"role": "judge", "model": "m", "user_id": "u"}, "user 'u', judge, model 'm': bad"),
    ],
)
def test_a_model_error_shows_what_is_known_also_if_it_is_learned_later(
    known: dict[str, str], shown: str
) -> None:
    assert str(ModelError("bad", **known)) == shown
    later = ModelError("bad")
    for name, value in known.items():
        setattr(later, name, value)
    assert str(later) == shown


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, PopiError)
            depth = len(value.__mro__) - len(PopiError.__mro__) - 1
            branch = rf"^(?:│   |    ){{{depth}}}[├└]── {name} "
            assert value is PopiError or re.search(branch, drawn, re.MULTILINE)


CONTRAST = {"prompt": "p", "chosen": "c", "rejected": "r"}


@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf, -math.inf, "2", True, None, 10**400])
def test_a_weight_is_a_number_above_0(weight: Any) -> None:
    raw = {"user_id": "u", "pairs": [CONTRAST, {**CONTRAST, "weight": weight}]}
    with pytest.raises(DataError, match=r"user 'u', pairs\[1\].* weight"):
        parse_user(raw)


@pytest.mark.parametrize("weight", [1, 1.0, 0.25, 3, 1e-300, 1e300])
def test_a_weight_is_read_and_written(weight: float) -> None:
    user = parse_user({"user_id": "u", "pairs": [{**CONTRAST, "weight": weight}]})
    assert user.pairs == (Pair("p", "c", "r", float(weight)),)
    (written,) = user_record(user)["pairs"]
    assert written == (CONTRAST if weight == 1 else {**CONTRAST, "weight": weight})
    assert parse_user(user_record(user)) == user


def test_a_preference_has_no_weight() -> None:
    with pytest.raises(DataError, match="unknown key 'weight'"):
        parse_signal({"kind": "preference", **CONTRAST, "weight": 2})


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_public_is_true_or_false(value: Any) -> None:
    with pytest.raises(DataError, match="user 'u': 'public' is .*, expected true or false"):
        parse_user({"user_id": "u", "public": value})
