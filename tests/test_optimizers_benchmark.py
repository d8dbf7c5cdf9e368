"""The benchmark of optimizers, on fakes: one by one, the same users, resumed, drawn."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from learnable_tastes import LEARNERS, learning_door

from popi_prompt.dataset import write_users
from popi_prompt.models import door
from popi_prompt.models.route import Route
from popi_prompt.testing import FakeModel

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "optimizers.py"
NAMES = ["popi", "mipro", "gepa", "random"]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeModel]:
    made: dict[str, FakeModel] = {}
    learning_door(models=made)

    def opened(route: Route) -> FakeModel:
        return made[route.model.removeprefix("fake/")]

    monkeypatch.setattr(door, "open_route", opened)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "users.jsonl"
    write_users(path, LEARNERS)
    return path


def measured(monkeypatch: pytest.MonkeyPatch, data: Path, *more: object) -> dict[str, Any]:
    output = data.parent / "optimizers.json"
    options = ["--generator", "fake/generator", "--inference-model", "fake/inference"]
    options += ["--proposer", "fake/proposer", "--trials", "4", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(data), *options, *map(str, more)])
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # as for a script
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_all_on_the_same_held_out_users_with_paired_differences(
    models: dict[str, FakeModel],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = measured(monkeypatch, data, "--max-calls", 150, "--seeds", 0, 1)
    assert list(record["runs"]) == [f"{name} {seed}" for seed in (0, 1) for name in NAMES]
    for run in record["runs"].values():
        assert run["calls"] <= 150
        calls = [each["calls"] for each in run["curve"]]
        assert calls == sorted(calls)
        assert calls[0] == 0
        assert run["curve"][0]["validation_reward"] is None
    for seed in (0, 1):
        users = [list(record["runs"][f"{n} {seed}"]["curve"][-1]["held_out"]) for n in NAMES]
        assert all(each == users[0] for each in users)
    taught = record["runs"]["mipro 0"]["curve"][-1]["held_out"].values()
    assert min(each["margin"] for each in taught) > 0
    assert '"u0' not in json.dumps(record)
    assert "everyday" not in json.dumps(record)
    shown = capsys.readouterr().out
    assert "2 seeds, 150 calls" in shown
    assert "popi minus" in shown
    assert "popi has it after" in shown
    assert (data.parent / "optimizers.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_is_kept_and_not_measured_again(
    models: dict[str, FakeModel], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(monkeypatch, data, "--optimizers", "mipro")
    asked = len(models["generator"].calls)
    again = measured(monkeypatch, data, "--optimizers", "mipro")
    assert len(models["generator"].calls) == asked
    assert again == first
    both = measured(monkeypatch, data, "--optimizers", "mipro", "random")
    assert both["runs"]["mipro 0"] == first["runs"]["mipro 0"]
    assert list(both["runs"]) == ["mipro 0", "random 0"]


def test_a_file_of_another_run_is_not_added_to(
    models: dict[str, FakeModel], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, data, "--optimizers", "random")
    with pytest.raises(SystemExit, match="max_calls None, this run has 99; name another"):
        measured(monkeypatch, data, "--optimizers", "random", "--max-calls", 99)
