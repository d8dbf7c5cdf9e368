"""Importers: what holds for all of them, and AlignX files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt.errors import DataError
from popi_prompt.importers import import_users
from popi_prompt.importers.alignx import LEAKED, SIGNALS
from popi_prompt.records import parse_user, user_record
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.split import split_users

STUDENT_PHD = (
    Path(__file__).resolve().parents[2] / "shared" / "data" / "alignx_psoups" / "student_phd.json"
)


@dataclass(frozen=True)
class Read:
    users: tuple[User, ...]
    left_out: dict[str, int]


def import_alignx(path: Path) -> Read:
    imported = import_users("alignx", [str(path)])
    users = tuple(imported.users)
    return Read(users, {reason: count for reason, count in imported.left_out.items() if count})


def signal(number: int) -> dict[str, str]:
    return {"prompt": f"s{number}", "chosen": f"good {number}", "rejected": f"bad {number}"}


def record(prompt: str, **more: Any) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "chosen": "yes",
        "rejected": "no",
        "ground_truth_persona": "Be brief.",
        "profile": "Young, hates brevity",
        SIGNALS: [signal(1), signal(2)],
        **more,
    }


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in record("p").items() if name != key}


def save(folder: Path, content: Any, name: str = "toy.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def prompts_of(users: tuple[User, ...]) -> set[str]:
    return {" ".join(pair.prompt.lower().split()) for user in users for pair in user.pairs}


def signal_prompts_of(users: tuple[User, ...]) -> set[str]:
    return {
        " ".join(signal.prompt.lower().split())
        for user in users
        for signal in user.signals
        if isinstance(signal, Preference)
    }


def refusal(read: Callable[[], object]) -> str | None:
    """What a `DataError` says, if there is one; every other error passes through."""
    try:
        read()
    except DataError as error:
        return str(error)
    return None


def test_an_alignx_record_becomes_a_user(tmp_path: Path) -> None:
    imported = import_alignx(save(tmp_path, [record("p")]))
    assert imported.users == (
        User(
            "toy-0000",
            (Preference("s1", "good 1", "bad 1"), Preference("s2", "good 2", "bad 2")),
            (Pair("p", "yes", "no"),),
            gold="Be brief.",
            group="Be brief.",
        ),
    )
    assert imported.left_out == {}


def test_signals_in_a_string_are_read_like_signals_in_a_list(tmp_path: Path) -> None:
    as_list = import_alignx(save(tmp_path, [record("p")]))
    text = json.dumps([signal(1), signal(2)])
    as_text = import_alignx(save(tmp_path, [record("p", **{SIGNALS: text})]))
    assert as_text == as_list


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    plain = import_alignx(save(tmp_path, [record("p")]))
    marked = b"\xef\xbb\xbf" + json.dumps([record("p")]).encode()
    assert import_alignx(save(tmp_path, marked)) == plain


@pytest.mark.parametrize("kind", ["persona", "interaction", "preference", 3])
def test_every_signal_is_a_preference_whatever_it_says(kind: Any, tmp_path: Path) -> None:
    named = record("p", **{SIGNALS: [{**signal(1), "kind": kind}]})
    assert import_alignx(save(tmp_path, [named])).users[0].signals == (
        Preference("s1", "good 1", "bad 1"),
    )


def test_the_profile_reaches_nobody(tmp_path: Path) -> None:
    imported = import_alignx(save(tmp_path, [record("p")]))
    assert "hates brevity" not in json.dumps(user_record(imported.users[0]))


@pytest.mark.parametrize("leaked", ["s1", "  S1\n", "s2"])
def test_a_record_whose_held_out_prompt_is_among_its_signals_is_left_out_and_counted(
    leaked: str, tmp_path: Path
) -> None:
    imported = import_alignx(save(tmp_path, [record("p"), record(leaked), record("q")]))
    assert [user.user_id for user in imported.users] == ["toy-0000", "toy-0002"]
    assert imported.left_out == {LEAKED: 1}


def test_a_leak_is_found_also_if_the_signal_is_written_differently(tmp_path: Path) -> None:
    leaked = record("tell me more", **{SIGNALS: [{**signal(1), "prompt": "Tell  ME\nmore "}]})
    assert import_alignx(save(tmp_path, [record("p"), leaked])).left_out == {LEAKED: 1}


def test_a_prompt_in_the_signals_of_another_record_is_no_leak(tmp_path: Path) -> None:
    other = record("s1", **{SIGNALS: [signal(3)]})
    imported = import_alignx(save(tmp_path, [record("p"), other]))
    assert len(imported.users) == 2


def test_a_record_without_a_persona_has_no_gold(tmp_path: Path) -> None:
    imported = import_alignx(save(tmp_path, [without("ground_truth_persona")]))
    assert imported.users[0].gold is None


def test_imported_users_can_be_written_and_read_back(tmp_path: Path) -> None:
    imported = import_alignx(save(tmp_path, [record("p")]))
    assert parse_user(json.loads(json.dumps(user_record(imported.users[0])))) == imported.users[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a JSON array of records"),
        (b"[\n{]", "record 0: is not valid JSON"),
        (b'[{"prompt": "\xff"}]', "is not valid UTF-8 at byte 14"),
        (b"[" * 100_000, "record 0: is nested too deeply"),
        (b"[NaN]", "record 0: holds NaN"),
        (b"[] []", "is not valid JSON"),
        ([], "holds no users"),
        ({}, "expected a JSON array of records"),
        (record("p"), "expected a JSON array of records"),
        (b"null", "expected a JSON array of records"),
    ],
)
def test_a_file_that_is_not_alignx_is_a_data_error(
    content: Any, problem: str, tmp_path: Path
) -> None:
    path = save(tmp_path, content)
    with pytest.raises(DataError) as caught:
        import_alignx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("text", "expected an object"),
        ([], "expected an object"),
        (without("prompt"), "has no 'prompt'"),
        (without("chosen"), "has no 'chosen'"),
        (without("rejected"), "has no 'rejected'"),
        (without(SIGNALS), f"has no '{SIGNALS}'"),
        (record("p", chosen="no"), "the same text"),
        (record("p", chosen=3), "'chosen'"),
        (record(""), "'prompt' is empty"),
        (record("p", **{SIGNALS: "[{"}), "is not valid JSON"),
        (record("p", **{SIGNALS: '"text"'}), "is not a list of objects"),
        (record("p", **{SIGNALS: None}), "is not a list of objects"),
        (record("p", **{SIGNALS: [signal(1), "text"]}), "is not a list of objects"),
        (record("p", **{SIGNALS: [{"prompt": "s"}]}), "signals[0]"),
        (record("p", **{SIGNALS: [{**signal(1), "extra": 1}]}), "unknown key 'extra'"),
        (record("p", ground_truth_persona=["Be brief."]), "'gold'"),
        (record("p\x00"), "NUL"),
        (record("\ud800"), "surrogate"),
        pytest.param(
            record("p", **{SIGNALS: "[" * 100_000}), "nested too deeply", id="deep string"
        ),
        pytest.param(
            record("p", **{SIGNALS: f"[{'1' * 5000}]"}), "too many digits", id="endless integer"
        ),
        (record("p", **{SIGNALS: "[NaN]"}), f"'{SIGNALS}' holds NaN"),
        (record("p", **{SIGNALS: [{"kind": "persona", "text": "x"}]}), "unknown key 'text'"),
    ],
)
def test_a_broken_record_is_a_data_error_with_its_number(
    broken: Any, problem: str, tmp_path: Path
) -> None:
    path = save(tmp_path, [record("p"), record("q"), broken])
    with pytest.raises(DataError) as caught:
        import_alignx(path)
    assert str(caught.value).startswith(f"{path}: record 2: ")
    assert problem in str(caught.value)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        import_alignx(tmp_path / "none.json")


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_file_is_imported_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, damage: bytes, start: int, end: int
) -> None:
    whole = json.dumps([record("p"), record("q")]).encode()
    content = whole[:start] + damage + whole[max(start, end) :]
    path = save(tmp_path_factory.getbasetemp(), content, "damaged.json")
    problem = refusal(lambda: import_alignx(path))
    assert problem is None or problem.startswith(str(path))


@pytest.mark.skipif(not STUDENT_PHD.is_file(), reason="the AlignX file is not here")
def test_the_published_file_is_imported_and_split_as_promised() -> None:
    imported = import_alignx(STUDENT_PHD)
    assert len(json.loads(STUDENT_PHD.read_text("utf-8"))) == 600
    assert imported.left_out == {LEAKED: 3}
    assert len(imported.users) == 597
    assert len({user.user_id for user in imported.users}) == 597
    split = split_users(imported.users)
    train, val, test = split.train, split.val, split.test
    assert len(test) >= 150
    assert min(len(train), len(val)) >= 50
    ids = [user.user_id for user in (*train, *val, *test)]
    assert len(set(ids)) == len(ids) == 597 - split.dropped_users
    assert not prompts_of(test) & (prompts_of(train) | signal_prompts_of(train))
    assert not prompts_of(test) & (prompts_of(val) | signal_prompts_of(val))
    assert not prompts_of(val) & (prompts_of(train) | signal_prompts_of(train))
