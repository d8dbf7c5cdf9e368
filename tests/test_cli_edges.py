"""The command line at its edges: files that would be lost, text that a terminal would obey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from toy_tastes import person

import popi_prompt.models.door as door_module
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.cli.main import cli
from popi_prompt.dataset import write_users
from popi_prompt.errors import BadResponse, ModelError, WriteError
from popi_prompt.models.model import Answer
from popi_prompt.models.route import Route
from popi_prompt.program import Origin, Program
from popi_prompt.prompts import Messages
from popi_prompt.testing import FakeModel

MODELS = {"generator": "fake/g", "inference": "fake/i", "proposer": "fake/i"}
ORIGIN = Origin("likelihood", 0, "sha256:0", 9, 0)
SAFE = "says so"
OBEYED = "\x1b]0;gone\x07 \x9b31m \u202e"


class Scene:
    """What the fakes answer, and for whom they fail."""

    def __init__(self) -> None:
        self.answer = SAFE
        self.failing: set[str] = set()
        self.refusal = "no"

    def model(self, route: Route) -> FakeModel:
        return FakeModel(lambda *_: self.answer, name=route.model, fails=self._fails)

    def _fails(self, messages: Messages) -> ModelError | None:
        text = " ".join(message.content for message in messages)
        return BadResponse(self.refusal) if any(each in text for each in self.failing) else None


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    monkeypatch.setattr(door_module, "open_route", made.model)
    return made


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return saved(tmp_path / "p.json", UNTUNED_CANDIDATE)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    write_users(tmp_path / "users.jsonl", [person(i) for i in range(12)])
    return tmp_path / "users.jsonl"


def saved(path: Path, candidate: Candidate) -> Path:
    Program(candidate, MODELS, ORIGIN).save(path)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def refused(result: Result, *says: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    for each in says:
        assert each in result.stderr


def summaries(path: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {each["user_id"]: each["summary"] for each in lines}


def edited(path: Path, user_id: str, text: str) -> str:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for each in lines:
        if each["user_id"] == user_id:
            each["summary"] = text
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_summaries_that_were_edited_stay_beside_new_ones(
    scene: Scene, program: Path, users: Path, tmp_path: Path
) -> None:
    output, before = tmp_path / "s.jsonl", tmp_path / "s.before.jsonl"
    assert call("infer", program, users, "-o", output).exit_code == 0
    assert call("infer", program, users, "-o", output).exit_code == 0
    assert not before.exists()
    mine = edited(output, "u03", "Speak like a pirate.")
    shown = call("infer", program, users, "-o", output)
    assert str(before) in shown.stdout
    assert before.read_text(encoding="utf-8") == mine
    assert set(summaries(output).values()) == {SAFE}
    scene.answer = "other"
    assert call("infer", program, users, "-o", output, "--no-cache").exit_code == 0
    assert before.read_text(encoding="utf-8") == mine
    assert set(summaries(tmp_path / "s.before-2.jsonl").values()) == {SAFE}


def test_a_file_with_a_line_that_is_none_stays_whole_beside(
    scene: Scene, program: Path, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "s.jsonl"
    output.write_text('{"user_id": "u00", "summary": "mine"\nand more', encoding="utf-8")
    was = output.read_bytes()
    assert call("infer", program, users, "-o", output).exit_code == 0
    assert (tmp_path / "s.before.jsonl").read_bytes() == was


def test_who_fails_now_keeps_the_summary_of_before(
    scene: Scene, program: Path, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "s.jsonl"
    call("infer", program, users, "-o", output, "--no-cache")
    edited(output, "u03", "Speak like a pirate.")
    scene.failing = {person(3).signals[0].prompt}  # type: ignore[union-attr]
    shown = call("infer", program, users, "-o", output, "--no-cache")
    assert shown.exit_code == 1
    assert "Of 1 users who failed it has what it had before" in shown.stdout
    assert summaries(output)["u03"] == "Speak like a pirate."
    assert len(summaries(output)) == 12
    assert not (tmp_path / "s.before.jsonl").exists()


def test_where_nothing_is_inferred_the_file_stays(
    scene: Scene, program: Path, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "s.jsonl"
    output.write_text('{"user_id": "of another file", "summary": "mine"}\n', encoding="utf-8")
    was = output.read_bytes()
    shown = call("infer", program, users, "-o", output, "--no-cache", "--max-calls", 0)
    assert shown.exit_code == 1
    assert "was not written" in shown.stdout
    assert output.read_bytes() == was


def test_half_of_a_surrogate_pair_in_an_answer_is_replaced(
    scene: Scene, program: Path, users: Path, tmp_path: Path
) -> None:
    scene.answer = "so \ud83d it \ud83d\ude00"
    output = tmp_path / "s.jsonl"
    assert Answer(scene.answer, "stop", 1, 1).text == "so \ufffd it \U0001f600"
    assert call("infer", program, users, "-o", output).exit_code == 0
    assert set(summaries(output).values()) == {"so \ufffd it \U0001f600"}


def test_a_terminal_is_told_nothing_to_obey(scene: Scene, tmp_path: Path) -> None:
    scene.answer = f"well {OBEYED}"
    program = saved(tmp_path / "e.json", Candidate(f"Do so. {OBEYED}"))
    answered = ["respond", program, "What is rain?", "--summary", f"brief {OBEYED}"]
    for arguments in (["show", program], answered, [*answered, "--compare"]):
        shown, as_json = call(*arguments), call(*arguments, "--json")
        assert shown.exit_code == as_json.exit_code == 0, shown.output
        assert not set("\x1b\x07\x9b\u202e") & {*shown.stdout, *as_json.stdout}
        assert "\x1b]0;gone\x07 \x9b31m" in "".join(texts(json.loads(as_json.stdout)))


def texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return [text for each in inside for text in texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["What \udcff"], "the prompt holds half of a surrogate pair"),
        ([" "], "the prompt is empty"),
        (["x", "--summary", "a\x00"], "--summary holds a NUL"),
        (["x", "--model", " "], "--model is empty"),
        (["x", "--model", "oobabooga/http://127.0.0.1/x"], "holds an address"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    scene: Scene, program: Path, given: list[str], says: str
) -> None:
    refused(call("respond", program, "--summary", "brief", *given), says)


@pytest.mark.parametrize("option", ["--generator", "--inference-model", "--proposer", "--judge"])
def test_a_model_with_an_address_is_not_recorded(
    scene: Scene, users: Path, tmp_path: Path, option: str
) -> None:
    output = tmp_path / "o.json"
    url = "huggingface/https://me.example/v1"
    given = {"--generator": "fake/g", "--inference-model": "fake/i", option: url}
    options = [text for pair in given.items() for text in pair]
    refused(call("optimize", users, "-o", output, *options, "--untuned"), url, "api_base")
    assert not output.exists()


@pytest.mark.parametrize("option", ["--trace", "--run-dir"])
@pytest.mark.parametrize("name", ["o.json", "o.partial.json"])
def test_an_output_is_nothing_else(
    scene: Scene, users: Path, tmp_path: Path, option: str, name: str
) -> None:
    models = ["--generator", "fake/g", "--inference-model", "fake/i"]
    shown = call("optimize", users, "-o", tmp_path / "o.json", *models, option, tmp_path / name)
    refused(shown, option, name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "option",
    [["--folds", "3"], ["--pareto"], ["--force"], ["--run-dir", "r"], ["--storage", "sqlite://"]],
)
def test_untuned_takes_no_option_of_a_search(
    scene: Scene, users: Path, tmp_path: Path, option: list[str]
) -> None:
    options = ["-o", tmp_path / "o.json", "--generator", "fake/g", "--untuned", *option]
    refused(call("optimize", users, *options), f"drop {option[0]}")


def test_untuned_is_of_the_users_that_are_drawn(scene: Scene, users: Path, tmp_path: Path) -> None:
    models = ["--generator", "fake/g", "--inference-model", "fake/i", "--max-users", 8]
    output = tmp_path / "o.json"
    assert call("optimize", users, "-o", output, *models, "--untuned").exit_code == 0
    assert json.loads(output.read_text())["origin"]["users"] == 8


def test_a_seed_that_a_sampler_does_not_take_is_refused(users: Path, tmp_path: Path) -> None:
    shown = call("optimize", users, "-o", tmp_path / "o.json", "--seed", 2**32)
    refused(shown, "the seed is 4294967296; it may be 0 to 4294967295")


def test_a_front_of_an_earlier_run_is_named_so(scene: Scene, users: Path, tmp_path: Path) -> None:
    models = ["--generator", "fake/g", "--inference-model", "fake/i", "--pareto"]
    front = tmp_path / "o.front.json"
    front.write_text("an earlier one", encoding="utf-8")
    shown = call("optimize", users, "-o", tmp_path / "o.json", *models, "--max-calls", 0)
    assert f"{front} is of an earlier run" in shown.stderr


def test_what_a_provider_says_is_nothing_to_obey(
    scene: Scene, program: Path, users: Path, tmp_path: Path
) -> None:
    scene.refusal = f"no {OBEYED}"
    scene.failing = {"signal", "pair", "rain"}
    for arguments in (
        ["infer", program, users, "--no-cache"],
        ["respond", program, "rain?", "--summary", "brief", "--no-cache"],
        ["evaluate", program, users, "--no-cache"],
    ):
        shown = call(*arguments)
        assert shown.exit_code == 1
        assert not set("\x1b\x07\x9b\u202e") & set(shown.output)
        assert "gone" in shown.stderr


def test_the_figures_are_printed_where_the_page_cannot_be_written(
    scene: Scene, program: Path, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise WriteError("cannot write 'e.html': no space left on device")

    monkeypatch.setattr("popi_prompt.files.write_text", full)
    shown = call("evaluate", program, users, "--html", tmp_path / "e.html")
    assert shown.exit_code == 1
    assert "untuned summary" in shown.stdout
    assert "no space left" in shown.stderr
