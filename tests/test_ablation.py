"""The ablation benchmark, on fakes: four arms on the same users, written one by one, resumed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_tastes import EXPERT, PLAIN, person

from popi_prompt.dataset import write_users
from popi_prompt.errors import BadResponse, ModelError
from popi_prompt.models import door
from popi_prompt.models.model import Sampling
from popi_prompt.models.route import Route
from popi_prompt.prompts import Messages
from popi_prompt.testing import FakeModel

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "ablation.py"
ARMS = ["small optimized", "large untuned", "large optimized", "small untuned"]


def understands(messages: Messages, sampling: Sampling) -> str:
    """The taste of the last message, with more words than it takes."""
    shown = messages[-1].content
    first = min((PLAIN, EXPERT), key=lambda taste: shown.find(taste) % (len(shown) + 1))
    return f"{first} and so on and on"


def learns(messages: Messages, sampling: Sampling) -> str:
    """The taste, if it is shown how or shown nothing else; the plain instruction is not enough."""
    if len(messages) == 2 and PLAIN in messages[-1].content and EXPERT in messages[-1].content:
        return "be nice"
    return understands(messages, sampling).removesuffix(" and so on and on")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeModel]:
    made = {
        "fake/small": FakeModel(learns, name="fake/small"),
        "fake/large": FakeModel(understands, name="fake/large"),
        "fake/g": FakeModel(name="fake/g"),
    }

    def opened(route: Route) -> FakeModel:
        return made[route.model]

    monkeypatch.setattr(door, "open_route", opened)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "users.jsonl"
    write_users(path, [person(i) for i in range(24)])
    return path


def ablation(monkeypatch: pytest.MonkeyPatch, data: Path, *more: object) -> dict[str, Any]:
    output = data.parent / "ablation.json"
    options = ["--small", "fake/small", "--large", "fake/large", "--generator", "fake/g"]
    options += ["--trials", "4", "--output", str(output), *map(str, more)]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(data), *options])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_four_arms_on_the_same_users_with_paired_differences(
    models: dict[str, FakeModel],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = ablation(monkeypatch, data, "--held-out", 5)
    assert list(record["arms"]) == ARMS
    margins = {
        arm: [each["margin"] for each in found["by_user"]] for arm, found in record["arms"].items()
    }
    assert {len(each) for each in margins.values()} == {5}
    assert min(margins["small optimized"]) > 0
    assert margins["large untuned"] == margins["small optimized"]
    assert margins["small untuned"] == [0] * 5
    assert '"u0' not in json.dumps(record["arms"])
    shown = capsys.readouterr().out
    assert "5 held-out users, generator fake/g" in shown
    gap = next(line for line in shown.splitlines() if line.startswith(" small untuned"))
    assert f"{margins['small optimized'][0]:+.2f} [" in gap
    assert "+100.0% [" in gap
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.slow
def test_what_was_measured_is_kept_and_not_measured_again(
    models: dict[str, FakeModel], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("out of memory")

    good, models["fake/large"] = models["fake/large"], FakeModel(fails=fails)
    with pytest.raises(SystemExit, match="Error: .*out of memory"):
        ablation(monkeypatch, data)
    output = data.parent / "ablation.json"
    first = json.loads(output.read_text(encoding="utf-8"))
    assert list(first["arms"]) == ARMS[:1]
    models["fake/large"] = good
    asked = len(models["fake/small"].calls)
    whole = ablation(monkeypatch, data)
    assert list(whole["arms"]) == ARMS
    assert whole["arms"][ARMS[0]] == first["arms"][ARMS[0]]
    # The search had asked for the untuned summaries, and the cache holds them.
    assert len(models["fake/small"].calls) == asked
    before = output.read_bytes()
    assert ablation(monkeypatch, data) == whole
    assert output.read_bytes() == before


@pytest.mark.slow
def test_a_file_of_another_run_is_not_added_to(
    models: dict[str, FakeModel], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablation(monkeypatch, data, "--held-out", 5)
    with pytest.raises(SystemExit, match="measured with held_out 5, this run has 4; name another"):
        ablation(monkeypatch, data, "--held-out", 4)
    (data.parent / "ablation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit, match="holds no ablation"):
        ablation(monkeypatch, data)
