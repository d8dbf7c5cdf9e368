"""A tuned model becomes a program only by winning: end to end, on a server that truly learns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from finetune_server import BASE_MODEL, TuningServer
from jobs_scene import Example, misled, preference, sft, write
from toy_tastes import COMPILED_CANDIDATE, PEOPLE

from popi_prompt.candidate import Demonstration
from popi_prompt.cli.main import cli
from popi_prompt.dataset import write_users
from popi_prompt.models import door as door_module
from popi_prompt.models.door import open_route
from popi_prompt.models.model import Model
from popi_prompt.models.route import Route
from popi_prompt.program import Origin, Program, load
from popi_prompt.testing import FakeModel

PROMPTED = f"openai/{BASE_MODEL}"


@pytest.fixture
def server() -> Iterator[TuningServer]:
    with TuningServer() as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, server: TuningServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program, users it never saw, and a way to its models."""

    def opened(route: Route) -> Model:
        return FakeModel(name=route.model) if route.model == "fake/g" else open_route(route)

    monkeypatch.setattr(door_module, "open_route", opened)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    models = {"generator": "fake/g", "inference": PROMPTED, "proposer": PROMPTED}
    demonstrations = (Demonstration("Liked: this", "be kind"),)
    candidate = type(COMPILED_CANDIDATE)(COMPILED_CANDIDATE.instruction, demonstrations)
    origin = Origin("likelihood", 0, "sha256:other", 9, 4)
    Program(candidate, models, origin).save(tmp_path / "program.json")
    write_users(tmp_path / "users.jsonl", PEOPLE)
    (tmp_path / "models.toml").write_text(
        f'[models.inference]\nmodel = "{PROMPTED}"\napi_base = "{server.api_base}"\n', "utf-8"
    )
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["finetune", *(str(each) for each in arguments)])


def tuned(scene: Path, server: TuningServer, example: Example, *more: str) -> str:
    train = write(scene / "train.jsonl", example)
    place = ("--model", BASE_MODEL, "--api-base", server.api_base)
    submitted = call("submit", train, *place, *more)
    assert submitted.exit_code == 0, submitted.output
    key = submitted.stdout.split()[0]
    assert call("wait", key, "--poll", "0.1").exit_code == 0
    return key


def adopt(scene: Path, key: str, *more: str) -> Result:
    files = (scene / "program.json", scene / "users.jsonl", "-o", scene / "tuned.json")
    return call("adopt", key, *files, "--config", scene / "models.toml", "--no-cache", *more)


@pytest.mark.parametrize("example", [sft, preference])
def test_a_model_that_has_learned_wins_and_becomes_a_program(
    scene: Path, server: TuningServer, example: Example
) -> None:
    key = tuned(scene, server, example)
    result = adopt(scene, key, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["won"] is True
    assert found["against_prompt"]["margin"]["low"] > 0
    assert found["against_prompt"]["helped"] == len(PEOPLE)
    rows = {row["context"]: row for row in found["rows"]}
    assert rows["tuned"]["reward_accuracy"]["mean"] == 1.0
    assert rows["compiled"]["reward_accuracy"]["mean"] < 1.0
    program = load(scene / "tuned.json")
    assert program.models["inference"] == f"openai/ft:{BASE_MODEL}:popi::ftjob-0001"
    assert program.models["generator"] == "fake/g"
    assert program.candidate.instruction == COMPILED_CANDIDATE.instruction
    assert program.candidate.demonstrations == ()
    assert program.origin.scores_after is not None
    assert program.origin.scores_after.reward_accuracy == 1.0


def test_a_cap_that_leaves_the_true_taste_out_leaves_the_verdict(
    scene: Path, server: TuningServer
) -> None:
    path = scene / "users.jsonl"
    users = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**user, "gold": "!"}) + "\n" for user in users))
    key = tuned(scene, server, sft)
    whole = json.loads(adopt(scene, key, "--json").stdout)
    rows = {row["context"]: row["calls"] for row in whole["rows"]}
    assert [*rows] == ["no context", "untuned", "compiled", "gold", "tuned"]
    assert rows["gold"] > 0
    (scene / "tuned.json").unlink()
    needed = sum(rows.values()) - rows["gold"]
    result = adopt(scene, key, "--json", "--max-calls", str(needed))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["context"] for row in found["rows"]] == [
        "no context",
        "untuned",
        "compiled",
        "tuned",
    ]
    assert found["against_prompt"] == whole["against_prompt"]
    assert f"the cap of {needed} calls is reached" in found["stopped"]
    assert (scene / "tuned.json").exists()


def test_the_report_says_so_in_words_and_how_to_reach_the_model(
    scene: Path, server: TuningServer
) -> None:
    result = adopt(scene, tuned(scene, server, sft), "--keep-demonstrations")
    assert result.exit_code == 0, result.output
    assert "fine-tuned model" in result.stdout
    assert "the tuned model wins, n = 12 users" in result.stdout
    assert f'api_base = "{server.api_base}"' in result.stdout
    assert len(load(scene / "tuned.json").candidate.demonstrations) == 1


def test_a_model_that_does_not_win_is_not_written_unless_forced(
    scene: Path, server: TuningServer
) -> None:
    key = tuned(scene, server, misled)
    lost = adopt(scene, key)
    assert lost.exit_code == 1, lost.output
    assert "is not proven" in lost.stdout
    assert "--force" in lost.stdout
    assert not (scene / "tuned.json").exists()
    forced = adopt(scene, key, "--force", "--json")
    assert forced.exit_code == 0, forced.output
    assert json.loads(forced.stdout)["won"] is False
    assert (scene / "tuned.json").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--model", "azure/mine", "--max-usd", "5"), "azure/mine"),
        (("--model", "nobody/none"), "nobody/none"),
    ],
)
def test_a_model_without_a_price_or_provider_is_refused_before_anything_is_sent(
    scene: Path,
    server: TuningServer,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    says: str,
) -> None:
    generator = FakeModel(name="fake/g")

    def opened(route: Route) -> Model:
        return generator if route.model == "fake/g" else open_route(route)

    monkeypatch.setattr(door_module, "open_route", opened)
    with (scene / "models.toml").open("a", encoding="utf-8") as config:
        config.write("price_in = 1.0\nprice_out = 1.0\n")
        config.write("[models.generator]\nprice_in = 1.0\nprice_out = 1.0\n")
    result = adopt(scene, tuned(scene, server, sft), *more)
    assert result.exit_code != 0
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert says in error
    assert generator.calls == []
    assert server.asked("POST", "/v1/chat/completions") == []


def test_there_is_nothing_to_adopt_before_a_job_has_succeeded(
    scene: Path, server: TuningServer
) -> None:
    server.step = 60
    place = ("--model", BASE_MODEL, "--api-base", server.api_base)
    key = call("submit", write(scene / "train.jsonl"), *place).stdout.split()[0]
    result = adopt(scene, key)
    assert result.exit_code == 1
    assert "is not finished, so there is no model to adopt" in result.stderr
    result = adopt(scene, "nonsense")
    assert result.exit_code == 2
