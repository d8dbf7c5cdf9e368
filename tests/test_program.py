"""The compiled program: out and in again, nothing secret inside, nothing guessed at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Demonstration
from popi_prompt.errors import BudgetExceeded, ContextTooLong, DataError, ProgramError, UsageError
from popi_prompt.inference import summarizer
from popi_prompt.models import door as door_module
from popi_prompt.models.access import Access
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps
from popi_prompt.models.trace import read_trace
from popi_prompt.program import (
    SCHEMA_VERSION,
    Origin,
    Program,
    Scores,
    load,
    program_from_record,
)
from popi_prompt.prompts import CONDITIONINGS, Conditioning, Messages
from popi_prompt.schema import Persona, User
from popi_prompt.testing import FakeModel, fake_door

MODELS = {"generator": "fake/g", "inference": "fake/i", "proposer": "fake/p"}
ORIGIN = Origin(
    scorer="likelihood",
    seed=3,
    dataset="sha256:0a",
    users=40,
    trials=10,
    scores_before=Scores(12, 0.55, 0.25, 110.0),
    scores_after=Scores(12, 0.7, 2.5, 20.5),
    versions={"popi-prompt": "0.1.0"},
)
PROGRAM = Program(
    Candidate(
        "Say how to answer.",
        (Demonstration("About the person: ein Bäcker 🍞", "Be “warm”."),),
        "liked",
        Conditioning("after", "({summary})"),
    ),
    MODELS,
    ORIGIN,
)


SCORES = PROGRAM.as_record()["origin"]["scores_after"]


def record(**changes: Any) -> dict[str, Any]:
    return {**PROGRAM.as_record(), **changes}


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_save_and_load_give_the_same_program(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    PROGRAM.save(path)
    loaded = load(path)
    assert loaded == PROGRAM
    other = tmp_path / "other.json"
    loaded.save(str(other))
    assert other.read_bytes() == path.read_bytes()


def test_a_program_without_scores_comes_back_too(tmp_path: Path) -> None:
    program = Program(UNTUNED_CANDIDATE, MODELS, Origin("choice", 0, "sha256:0", 3, 0))
    program.save(tmp_path / "program.json")
    assert load(tmp_path / "program.json") == program


texts = st.text(max_size=40).filter(lambda text: text.isprintable())


@given(
    texts.filter(str.strip),
    texts,
    texts,
    st.sampled_from(CONDITIONINGS),
    st.sampled_from(["full", "liked"]),
)
@settings(max_examples=50, deadline=None)
def test_any_text_comes_back(
    instruction: str, signals: str, summary: str, conditioning: Conditioning, view: Any
) -> None:
    demonstrations = (Demonstration(signals, summary),) * 2
    candidate = Candidate(instruction, demonstrations, view, conditioning)
    program = Program(candidate, MODELS, ORIGIN)
    assert program_from_record(json.loads(json.dumps(program.as_record()))) == program


def test_the_file_is_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    PROGRAM.save(tmp_path / "program.json")
    text = (tmp_path / "program.json").read_text(encoding="utf-8")
    assert "ein Bäcker 🍞" in text
    assert text.endswith("}\n")


def test_the_file_holds_no_key_and_no_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")
    monkeypatch.setenv("OPENAI_API_BASE", "https://endpoint.example/v1")
    PROGRAM.save(tmp_path / "program.json")
    text = (tmp_path / "program.json").read_text(encoding="utf-8")
    for secret in ("sk-secret", "endpoint.example", "http", "api_key", "api_base"):
        assert secret not in text


def test_the_file_says_what_of_people_it_holds() -> None:
    assert PROGRAM.as_record()["holds"] == "signals of 1 training user, as demonstrations"
    bare = Program(UNTUNED_CANDIDATE, MODELS, ORIGIN)
    assert bare.as_record()["holds"] == "no user's text"
    checked = "checked: 0 shared 6-grams with 597 users' signals"
    origin = replace(ORIGIN, demos="synthetic", users_checked=597)
    holds = [replace(each, origin=origin).as_record()["holds"] for each in (bare, PROGRAM)]
    assert holds == [
        f"no user's text; {checked}",
        f"no user's text: 1 invented demonstration; {checked}",
    ]


def test_what_demonstrations_are_comes_back_and_is_written_where_they_are_synthetic() -> None:
    origin = replace(ORIGIN, demos="synthetic", users_checked=597)
    program = replace(PROGRAM, origin=origin)
    record = program.as_record()
    assert (record["origin"]["demos"], record["origin"]["users_checked"]) == ("synthetic", 597)
    assert program_from_record(record) == program
    assert not {"demos", "users_checked"} & set(PROGRAM.as_record()["origin"])
    record["origin"]["demos"] = "none"
    with pytest.raises(ProgramError, match="unknown demos 'none'; known: synthetic, real"):
        program_from_record(record)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b"not json", "not valid JSON"),
        (b'{"popi_prompt_program": 1', "not valid JSON"),
        (b"\xff\xfe{}", "not valid UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "not a compiled program"),
        (b'"text"', "not a compiled program"),
        (b"null", "not a compiled program"),
        (b"{}", "not a compiled program"),
    ],
)
def test_a_file_that_is_no_program_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "program.json"
    path.write_bytes(content)
    with pytest.raises(ProgramError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"nowhere\.json: no such file"):
        load(tmp_path / "nowhere.json")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="cannot be read"):
        load(tmp_path)


def test_a_newer_schema_says_to_upgrade(tmp_path: Path) -> None:
    path = written(tmp_path / "p.json", {"popi_prompt_program": SCHEMA_VERSION + 1, "new": True})
    with pytest.raises(ProgramError, match="newer popi-prompt.*pip install -U popi-prompt"):
        load(path)


def changed(*keys: str | int, value: Any) -> dict[str, Any]:
    """The record with one value, somewhere inside, replaced."""
    found = json.loads(json.dumps(PROGRAM.as_record()))
    place = found
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return dict(found)


def without(*keys: str | int) -> dict[str, Any]:
    """The record without one key."""
    found = json.loads(json.dumps(PROGRAM.as_record()))
    place = found
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    return dict(found)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "version 0": (lambda: record(popi_prompt_program=0), "schema version 0"),
    "version true": (lambda: record(popi_prompt_program=True), "schema version True"),
    "version text": (lambda: record(popi_prompt_program="1"), "schema version '1'"),
    "version half": (lambda: record(popi_prompt_program=1.5), "schema version 1.5"),
    "unknown key": (lambda: record(code="import os"), "unknown key 'code'"),
    "missing key": (lambda: without("instruction"), "no 'instruction'"),
    "instruction": (lambda: record(instruction=7), "'instruction' of the wrong type"),
    "view": (lambda: record(view="all"), "unknown view 'all'"),
    "place": (lambda: changed("conditioning", "place", value="above"), "place 'above'"),
    "no placeholder": (lambda: changed("conditioning", "wording", value="Hi"), "{summary}"),
    "two placeholders": (
        lambda: changed("conditioning", "wording", value="{summary} {summary}"),
        "{summary}",
    ),
    "conditioning key": (lambda: changed("conditioning", "x", value=1), "unknown key 'x'"),
    "conditioning list": (lambda: record(conditioning=[]), "'conditioning' of the wrong type"),
    "demonstration": (lambda: record(demonstrations=["text"]), "demonstrations[0]"),
    "demonstration key": (lambda: without("demonstrations", 0, "summary"), "no 'summary'"),
    "demonstrations": (lambda: record(demonstrations={}), "'demonstrations'"),
    "role": (lambda: changed("models", "judge", value="x"), "unknown key 'judge'"),
    "no role": (lambda: without("models", "proposer"), "no 'proposer'"),
    "model": (lambda: changed("models", "generator", value=None), "'generator'"),
    "endpoint": (lambda: changed("models", "api_base", value="http://x"), "'api_base'"),
    "origin key": (lambda: without("origin", "seed"), "no 'seed'"),
    "seed true": (lambda: changed("origin", "seed", value=True), "'seed' of the wrong type"),
    "users half": (lambda: changed("origin", "users", value=1.5), "'users' of the wrong type"),
    "scores": (lambda: changed("origin", "scores_after", value=3), "'scores_after'"),
    "score": (lambda: changed("origin", "scores_after", "margin", value="high"), "'margin'"),
    "no score": (lambda: without("origin", "scores_before", "users"), "no 'users'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(tmp_path: Path, name: str) -> None:
    make, says = REFUSED[name]
    with pytest.raises(ProgramError) as caught:
        load(written(tmp_path / "program.json", make()))
    assert str(tmp_path / "program.json") in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    st.sampled_from(sorted(PROGRAM.as_record())),
)
@settings(max_examples=100, deadline=None)
def test_any_value_in_any_place_is_taken_or_refused_but_never_crashes(value: Any, key: str) -> None:
    try:
        program = program_from_record(record(**{key: value}))
    except ProgramError as error:
        assert str(error)
    else:
        assert program_from_record(program.as_record()) == program


def test_versions_are_texts(tmp_path: Path) -> None:
    path = written(tmp_path / "program.json", changed("origin", "versions", value={"dspy": [1]}))
    with pytest.raises(ProgramError):
        load(path)


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        PROGRAM.save(tmp_path / "nowhere" / "program.json")
    assert list(tmp_path.iterdir()) == []


def test_loading_runs_nothing_and_imports_nothing_heavy(tmp_path: Path) -> None:
    PROGRAM.save(tmp_path / "program.json")
    code = (
        "import sys, popi_prompt; "
        f"program = popi_prompt.load({str(tmp_path / 'program.json')!r}); "
        "print(program.candidate.view, program.holds); "
        "print([m for m in ('dspy', 'litellm', 'llama_cpp', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"
    assert done.stderr == ""


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeModel]:
    """Fakes by the name they were opened under."""
    models: dict[str, FakeModel] = {}

    def fails(messages: Messages) -> ContextTooLong | None:
        return ContextTooLong("too long") if len(messages[-1].content) > 10_000 else None

    def open_model(route: Route) -> FakeModel:
        name = route.model
        return models.setdefault(name, FakeModel(f"{name} says so", name=name, fails=fails))

    monkeypatch.setattr(door_module, "open_route", open_model)
    return models


def test_three_lines_are_enough(tmp_path: Path, opened: dict[str, FakeModel]) -> None:
    PROGRAM.save(tmp_path / "program.json")
    program = load(tmp_path / "program.json")
    summary = program.infer([{"kind": "persona", "text": "I drive a bus."}])
    assert summary == "fake/i says so"
    assert program.respond("What is rain?", "Be kind.") == "fake/g says so"
    assert program.respond("What is rain?", "Be kind.", model="other/m") == "other/m says so"
    assert opened["other/m"].calls[0][1][0].content == "What is rain?\n\n(Be kind.)"
    assert program.respond("What is rain?", None) == "fake/g says so"
    assert opened["fake/g"].calls[1][1][0].content == "What is rain?"
    assert "fake/p" not in opened


def test_another_model_is_asked_through_the_programs_own_door(
    tmp_path: Path, opened: dict[str, FakeModel]
) -> None:
    access = Access(caps=Caps(calls=2), cache=True, trace=tmp_path / "run.trace.jsonl")
    with access.door(MODELS) as door:
        program = PROGRAM.through(door)
        for _ in range(2):
            assert program.respond("What is rain?", None, model="other/m") == "other/m says so"
        program.respond("What is rain?", None)
        with pytest.raises(BudgetExceeded):
            program.respond("What is snow?", None, model="other/m")
        assert door.spent()["generator"].calls == 2
    calls = list(read_trace(tmp_path / "run.trace.jsonl"))
    assert [call.model for call in calls] == ["other/m", "fake/g", "other/m"]
    with replace(access, caps=Caps(calls=0)).door(MODELS) as door:
        PROGRAM.through(door).respond("What is rain?", None, model="other/m")
    assert len(opened["other/m"].calls) == 1


def test_without_a_door_of_its_own_another_model_is_asked_once_too(
    opened: dict[str, FakeModel],
) -> None:
    program = replace(PROGRAM)
    for _ in range(2):
        program.respond("What is rain?", None, model="other/m")
    assert len(opened["other/m"].calls) == 1
    assert "fake/g" not in opened


def test_the_module_is_bound_to_the_inference_model(opened: dict[str, FakeModel]) -> None:
    module = PROGRAM.module
    assert module(signals=[Persona("I drive a bus.")]).summary == "fake/i says so"
    assert PROGRAM.module is not module


def test_infer_takes_values_and_refuses_what_is_none(opened: dict[str, FakeModel]) -> None:
    assert PROGRAM.infer((Persona("I drive a bus."),)) == "fake/i says so"
    with pytest.raises(DataError, match="unknown kind"):
        PROGRAM.infer([{"kind": "perzona"}])


def test_a_signal_that_is_too_long_names_the_user(opened: dict[str, FakeModel]) -> None:
    program = Program(UNTUNED_CANDIDATE, MODELS, ORIGIN)
    with pytest.raises(ContextTooLong, match="user 'u9'"):
        program.infer_user(User("u9", (Persona("word " * 10_000),)))


def test_the_optimizer_is_recorded_and_the_usual_one_goes_without_saying(tmp_path: Path) -> None:
    assert "optimizer" not in PROGRAM.as_record()["origin"]
    assert program_from_record(PROGRAM.as_record()).origin.optimizer == "popi"
    other = replace(PROGRAM, origin=replace(ORIGIN, optimizer="mipro"))
    other.save(tmp_path / "p.json")
    assert load(tmp_path / "p.json").origin.optimizer == "mipro"


def test_the_reward_is_recorded_and_the_usual_one_goes_without_saying(tmp_path: Path) -> None:
    assert "reward" not in PROGRAM.as_record()["origin"]
    assert program_from_record(PROGRAM.as_record()).origin.reward == "popi"
    other = replace(PROGRAM, origin=replace(ORIGIN, reward="accuracy"))
    other.save(tmp_path / "p.json")
    assert load(tmp_path / "p.json").origin.reward == "accuracy"
    with pytest.raises(ProgramError, match="'reward' of the wrong type"):
        program_from_record(changed("origin", "reward", value=3))


def test_shipped_programs_are_loaded_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Path(__file__).parent.parent / "programs"
    monkeypatch.chdir(tmp_path)
    names = [path.stem for path in beside.glob("*.json")]
    assert "tastes" in names
    for name in names:
        assert load(name) == load(beside / f"{name}.json") == load(Path(name))
    with pytest.raises(
        ProgramError, match="no file and no shipped program 'nope'; shipped: .*tastes"
    ):
        load("nope")
    for odd in ("x" * 5000, "a\x00b"):
        with pytest.raises(ProgramError, match="no file and no shipped program"):
            load(odd)
    with pytest.raises(ProgramError, match=r"tastes\.json: no such file"):
        load("tastes.json")


def test_a_file_of_ones_own_goes_before_a_shipped_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    PROGRAM.save("tastes")
    assert load("tastes") == PROGRAM


def test_a_folder_does_not_go_before_a_shipped_program_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = load("explain")
    for name in ("explain", "mine"):
        (tmp_path / name).mkdir()
    assert load("explain") == expected
    with pytest.raises(ProgramError, match="no file and no shipped program 'mine'; shipped: "):
        load("mine")


@pytest.mark.parametrize("role", ["generator", "inference", "proposer"])
def test_a_program_with_an_address_is_refused_before_text_goes_there(role: str) -> None:
    models = {**MODELS, role: "oobabooga/http://127.0.0.1:8765/steal"}
    with pytest.raises(ProgramError, match=f"steal' as {role}, which is an address.*--config"):
        program_from_record(record(models=models))


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        ("seed", -1, "a 'seed' below 0: -1"),
        ("users", -3, "a 'users' below 0: -3"),
        ("trials", 10**400, "a 'trials' that is no number: 1000"),
        ("scorer", "\ud83d", "a 'scorer' that is not valid Unicode"),
        ("scores_after", {**SCORES, "margin": 10**400}, "'margin' that is no number"),
        ("scores_after", {**SCORES, "margin": float("1e999")}, "that is no number: inf"),
    ],
)
def test_an_origin_that_cannot_be_is_one_clear_line(where: str, value: Any, says: str) -> None:
    origin = {**record()["origin"], where: value}
    with pytest.raises(ProgramError, match=says):
        program_from_record(record(origin=origin))


@pytest.mark.parametrize(
    ("instruction", "says"),
    [(" \n", "has an empty instruction"), ("so \udc80", "'instruction' that is not valid Unicode")],
)
def test_an_instruction_that_cannot_be_sent_is_refused(instruction: str, says: str) -> None:
    with pytest.raises(ProgramError, match=says):
        program_from_record(record(instruction=instruction))


@pytest.mark.parametrize("instruction", ["Do:\n    - so\n        - and so\n\n", "\n    a\n  b\t"])
def test_the_instruction_is_the_one_that_is_sent(instruction: str) -> None:
    model = FakeModel("Be brief.")
    candidate = Candidate(instruction)
    user = User("u", (Persona("a nurse"),))
    summarizer(candidate, fake_door({"inference": model}))(user)
    assert model.calls[0][1] == candidate.messages(user.signals)
