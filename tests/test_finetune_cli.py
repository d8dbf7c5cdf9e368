"""`popi-prompt finetune export`: files, report, and one clear line for what cannot work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from finetune_scene import PLAIN, program_of, reply, users

from popi_prompt.cli.main import cli
from popi_prompt.dataset import write_users
from popi_prompt.errors import ModelError, RateLimited, UnknownModel
from popi_prompt.models import door as door_module
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.route import Route
from popi_prompt.prompts import Messages
from popi_prompt.testing import FakeModel

PEOPLE = users()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeModel]:
    models = {
        "fake/inference": FakeModel(reply),
        "fake/generator": FakeModel(),
        "fake/teacher": FakeModel(reply, name="fake/teacher"),
    }

    def open_fake(route: Route) -> FakeModel:
        if route.model not in models:
            raise UnknownModel(f"there is no model {route.model!r}")
        return models[route.model]

    monkeypatch.setattr(door_module, "open_route", open_fake)
    return models


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_users(tmp_path / "users.jsonl", PEOPLE)
    program_of(PEOPLE).save(tmp_path / "p.json")
    return tmp_path


def call(folder: Path, *arguments: object, output: str = "train.jsonl") -> Result:
    start = ["finetune", "export", folder / "p.json", folder / "users.jsonl"]
    parts = [*start, "-o", folder / output, "--draws", "3", *arguments]
    return CliRunner().invoke(cli, [str(each) for each in parts])


def refused(result: Result, code: int, *says: str) -> None:
    assert result.exit_code == code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.output
    for each in says:
        assert each in errors[0]
    assert result.stdout == ""


def test_it_writes_both_files_and_says_what_is_in_them(
    folder: Path, opened: dict[str, FakeModel]
) -> None:
    done = call(folder)
    assert done.exit_code == 0, done.output
    for name in ("train.jsonl", "train.validation.jsonl", "train.samples.jsonl"):
        assert (folder / name).is_file()
        assert name in done.stdout
    for said in ("best minus mean reward", "0 of ", "held out for evaluation", "USD an epoch"):
        assert said in done.stdout
    assert "takes files of 10 lines and more" in done.stdout


def test_the_report_as_json(folder: Path, opened: dict[str, FakeModel]) -> None:
    done = call(folder, "--json", "--price", "3")
    record = json.loads(done.stdout)
    train = record["train"]
    assert train["examples"] == len((folder / "train.jsonl").read_text().splitlines())
    assert train["completions_that_repeat_signals"] == 0
    assert train["tokens"]["usd_per_epoch"] > 0
    assert set(train["reward_gap"]) == {
        "users",
        "best_minus_mean",
        "best_minus_worst",
        "best_minus_program",
    }
    assert record["fewest_lines"] == 10
    assert sum(record["users_apart"].values()) + train["users"] + record["validation"][
        "users"
    ] == len(PEOPLE)
    assert record["spent"]["generator"]["calls"] > 0


def test_another_format_of_the_same_samples_calls_nothing(
    folder: Path, opened: dict[str, FakeModel]
) -> None:
    call(folder)
    for model in opened.values():
        model.calls.clear()
    again = call(
        folder,
        *("--format", "preference", "--provider", "together", "--no-cache"),
        *("--samples", folder / "train.samples.jsonl"),
        output="pairs.jsonl",
    )
    assert again.exit_code == 0, again.output
    assert not any(model.calls for model in opened.values())
    assert "preferred_output" in (folder / "pairs.jsonl").read_text()


def test_no_validation_leaves_its_users_alone(folder: Path, opened: dict[str, FakeModel]) -> None:
    done = call(folder, "--no-validation")
    assert done.exit_code == 0, done.output
    assert not (folder / "train.validation.jsonl").exists()
    asked = len(opened["fake/inference"].calls)
    assert asked == 3 * len((folder / "train.jsonl").read_text().splitlines())


def test_a_teacher_writes_the_summaries(folder: Path, opened: dict[str, FakeModel]) -> None:
    done = call(folder, "--inference-model", "fake/teacher")
    assert done.exit_code == 0, done.output
    assert opened["fake/teacher"].calls
    assert not opened["fake/inference"].calls


def test_an_anonymised_file_holds_no_address(folder: Path, opened: dict[str, FakeModel]) -> None:
    text = (folder / "users.jsonl").read_text().replace(PLAIN, f"{PLAIN} a.b@example.org")
    (folder / "users.jsonl").write_text(text)
    assert call(folder, "--anonymise").exit_code == 0
    assert "example.org" not in (folder / "train.jsonl").read_text()
    assert "DATA is not what" in call(folder, "--anonymise").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--temperature", "-1"], "'--temperature': -1.0 is not in the range"),
        (["--min-margin", "nan"], "'--min-margin': 'nan' is not a finite number"),
        (["--price", "inf"], "'--price': 'inf' is not a finite number"),
        (["--format", "preference", "--draws", "1"], "preference needs 2"),
        (["--no-validation", "--validation-output", "v.jsonl"], "exclude each other"),
        (
            [
                *("--provider", "fireworks", "--format", "preference"),
                "--with-demonstrations",
            ],
            "one turn",
        ),
        (["--samples", "{folder}/p.json"], "p.json': it is being read"),
        (["--validation-output", "{folder}/users.jsonl"], "users.jsonl': it is being read"),
        (["--samples", "/no/such/folder/s.jsonl"], "does not exist"),
        (["--scorer", "nonsense"], "unknown scorer 'nonsense'"),
        (["--max-usd", "-1"], "--max-usd"),
    ],
)
def test_what_cannot_work_is_one_line(
    folder: Path, opened: dict[str, FakeModel], arguments: list[str], says: str
) -> None:
    filled = [each.format(folder=folder) for each in arguments]
    refused(call(folder, *filled), 2, says)
    assert not (folder / "train.jsonl").exists()


@pytest.mark.parametrize("option", ["-o", "--samples", "--validation-output"])
def test_the_config_is_not_written_over(
    folder: Path, opened: dict[str, FakeModel], option: str
) -> None:
    config = folder / "models.toml"
    config.write_text('[models.generator]\nmodel = "fake/generator"\n', encoding="utf-8")
    before = config.read_bytes()
    refused(call(folder, option, config, "--config", config), 2, "models.toml': it is being read")
    assert config.read_bytes() == before


def test_files_that_are_none_are_one_line(folder: Path, opened: dict[str, FakeModel]) -> None:
    (folder / "train.samples.jsonl").write_text("{}\n")
    refused(call(folder), 1, "train.samples.jsonl:1:", "holds no samples")
    (folder / "users.jsonl").write_text("{}\n")
    refused(call(folder), 1, "users.jsonl:1:")
    (folder / "p.json").write_text("{}")
    refused(call(folder), 1, "p.json", "not a compiled program")


def test_a_model_that_is_none_is_one_line(folder: Path, opened: dict[str, FakeModel]) -> None:
    refused(call(folder, "--inference-model", "fake/nobody"), 1, "'fake/nobody'")


def test_a_cap_ends_it_with_what_was_scored_kept(
    folder: Path, opened: dict[str, FakeModel]
) -> None:
    refused(call(folder, "--max-calls", "20", "--no-cache"), 1, "20 calls")
    kept = (folder / "train.samples.jsonl").read_text().splitlines()
    assert len(kept) > 1
    assert not (folder / "train.jsonl").exists()


def test_a_draw_that_was_cut_off_is_drawn_again_with_more_tokens(
    folder: Path, opened: dict[str, FakeModel]
) -> None:
    class CutOff(FakeModel):
        def chat(self, messages: Messages, sampling: Sampling) -> Answer:
            answer = super().chat(messages, sampling)
            return answer if sampling.max_tokens >= 300 else replace(answer, finish="length")

    opened["fake/inference"] = CutOff(reply)
    refused(call(folder), 1, "no summary could be drawn and scored")
    config = folder / "models.toml"
    config.write_text("[models.inference]\nmax_tokens = 300\n", encoding="utf-8")
    refused(call(folder, "--config", config), 2, "models.inference", "name another file")
    done = call(folder, "--config", config, "--samples", folder / "longer.jsonl")
    assert done.exit_code == 0, done.output


def test_two_exports_on_one_file_of_samples_are_one_line(
    folder: Path, opened: dict[str, FakeModel]
) -> None:
    with FileLock(folder / ".train.samples.jsonl.lock"):
        refused(call(folder), 2, "another process works in the file of samples", "--samples")
    assert not any(model.calls for model in opened.values())
    assert call(folder).exit_code == 0


def test_failures_that_may_pass_are_said(folder: Path, opened: dict[str, FakeModel]) -> None:
    call(folder, "--samples", folder / "other.jsonl")
    line = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    lost = line["messages"][-2]["content"]

    def slow(messages: Messages) -> ModelError | None:
        return RateLimited("slow down") if messages[-1].content == lost else None

    opened["fake/inference"] = FakeModel(reply, fails=slow)
    done = call(folder, "--no-cache")
    assert done.exit_code == 0, done.output
    assert "1 users have draws that failed and may work another time" in done.stdout
    assert "slow down" in done.stdout


def test_help_shows_an_example() -> None:
    for words in (["finetune"], ["finetune", "export"]):
        done = CliRunner().invoke(cli, [*words, "--help"])
        assert done.exit_code == 0
        assert "popi-prompt finetune export" in done.stdout
