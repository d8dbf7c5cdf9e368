"""Run folders: what is in them, going on after an interruption, and what is never overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock
from learnable_tastes import LEARNERS, learning_door
from toy_tastes import never

import popi_prompt
from popi_prompt import lines
from popi_prompt.dataset import fingerprint
from popi_prompt.errors import (
    AuthenticationError,
    BadResponse,
    BudgetExceeded,
    ModelError,
    OptimizationError,
    UsageError,
    WriteError,
)
from popi_prompt.events import Event, Noted
from popi_prompt.files import append
from popi_prompt.lines import Lines
from popi_prompt.models.access import Access
from popi_prompt.models.cache import AnswerCache
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.door import Door
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.spent import Caps, total
from popi_prompt.optimized import Optimized
from popi_prompt.optimizers import OPTIMIZERS
from popi_prompt.prompts import Messages
from popi_prompt.runs import RunFolder, default_folder, resolve
from popi_prompt.settings import Settings
from popi_prompt.split import split_users
from popi_prompt.testing import FakeModel
from popi_prompt.workflow import optimize

SETTINGS = Settings(trials=4, seed=1, demos="real", force=True, optimizer="random")
Fails = Callable[[Messages], ModelError | None]


class Scene:
    """One folder, one cache, and a door of its own for each process that would be."""

    def __init__(self, path: Path):
        self.path = path
        self.run = path / "run"
        self.events: list[Event] = []
        self.models: dict[str, FakeModel] = {}

    def door(self, fails: Fails = never, caps: Caps | None = None) -> Door:
        self.models = {}
        cache = AnswerCache(self.path / "answers.sqlite")
        return learning_door(fails, caps, cache=cache, models=self.models)

    def optimize(
        self,
        settings: Settings = SETTINGS,
        fails: Fails = never,
        *,
        storage: str | None = None,
        caps: Caps | None = None,
    ) -> Optimized:
        settings = replace(settings, access=Access(caps=caps or Caps()))
        folder = RunFolder(self.run, storage)
        door = self.door(fails, caps)
        return optimize(LEARNERS, settings, observer=self.events.append, door=door, run=folder)

    @property
    def calls(self) -> int:
        """Of the last door's models."""
        return sum(len(each.calls) for each in self.models.values())

    @property
    def told(self) -> str:
        """The last line about the folder."""
        lines = [each.text for each in self.events if isinstance(each, Noted)]
        return [each for each in lines if each.startswith("run folder")][-1]

    def trials(self, storage: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        where: Any = storage
        if storage is None:
            backend = optuna.storages.journal.JournalFileBackend(str(self.run / "journal.log"))
            where = optuna.storages.JournalStorage(backend)
        study = optuna.load_study(study_name=name, storage=where)
        return [
            {"params": each.params, "value": each.value, **each.user_attrs} for each in study.trials
        ]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


class Interrupt:
    """Ctrl-C in every call after so many; `calls` counts those that it broke."""

    def __init__(self, after: int):
        self.calls = 0
        self._left = after

    def __call__(self, messages: Messages) -> ModelError | None:
        self._left -= 1
        if self._left < 0:
            self.calls += 1
            raise KeyboardInterrupt
        return None


def test_a_folder_holds_what_was_asked_for_and_what_came_out(scene: Scene) -> None:
    done = scene.optimize()
    names = sorted(each.name for each in scene.run.iterdir() if each.name != ".lock")
    assert names == [
        *("config.json", "curve.jsonl", "failures.jsonl", "journal.log", "program.json"),
        *("report.json", "spent.jsonl"),
    ]
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in scene.run.iterdir())
    config = json.loads((scene.run / "config.json").read_text(encoding="utf-8"))
    assert config["dataset"] == fingerprint(LEARNERS)
    assert (config["trials"], config["seed"], config["demos"]) == (4, 1, "real")
    assert (config["scorer"], config["optimizer"]) == ("by route", "random")
    assert config["reward"]["name"] == "popi"
    assert config["reward"]["beta"] == 0.01
    assert config["models"]["generator"]["model"] == "fake/generator"
    assert config["versions"]["popi-prompt"]
    program = json.loads((scene.run / "program.json").read_text(encoding="utf-8"))
    assert program == done.program.as_record()
    report = json.loads((scene.run / "report.json").read_text(encoding="utf-8"))
    assert report == json.loads(json.dumps(done.as_record()))
    curve = [json.loads(line) for line in (scene.run / "curve.jsonl").read_text().splitlines()]
    assert [each["reward"] for each in curve] == [each.reward for each in done.curve]
    assert curve[-1]["program"]["demonstrations"] == program["demonstrations"]
    assert [each["spent"]["calls"] for each in curve] == [each.spent.calls for each in done.curve]
    assert scene.told == f"run folder {scene.run}"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trials_are_where_optuna_finds_them(scene: Scene, name: str) -> None:
    done = scene.optimize(replace(SETTINGS, optimizer=name))
    trials = scene.trials()
    assert [each["number"] for each in trials] == list(range(len(trials)))
    best = max(each["value"] for each in trials if each["value"] is not None)
    assert best == done.curve[-1].reward
    if name != "popi":
        assert all({"instruction", "demonstrations"} <= each["params"].keys() for each in trials)
        assert all(each["tokens"] > 0 for each in trials)
    assert "be nice" not in (scene.run / "journal.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_trials_go_to_a_database_if_one_is_named(scene: Scene) -> None:
    url = f"sqlite:///{scene.path / 'trials.db'}"
    scene.optimize(storage=url)
    scene.optimize(storage=url)
    trials = scene.trials(url)
    assert [each["number"] for each in trials] == list(range(len(trials)))
    assert not (scene.run / "journal.log").exists()


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all.db", "pg://me:pw-1@h/db"])
def test_what_is_no_database_is_one_clear_line(scene: Scene, url: str) -> None:
    with pytest.raises(UsageError, match="no database of trials") as found:
        scene.optimize(storage=url)
    assert "\n" not in str(found.value)
    assert "pw-1" not in str(found.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("calls", [3, 40, 70])
def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(
    scene: Scene, tmp_path: Path, name: str, calls: int
) -> None:
    settings = replace(SETTINGS, optimizer=name)
    alone = optimize(LEARNERS, settings, door=learning_door())
    interrupt = Interrupt(min(calls, total(alone.spent.values()).calls - 1))
    with pytest.raises(KeyboardInterrupt):
        scene.optimize(settings, interrupt)
    sent = scene.calls
    done = scene.optimize(settings)
    assert done.program.as_record() == alone.program.as_record()
    kept = [[(each.candidate, each.reward) for each in run.curve] for run in (done, alone)]
    assert kept[0] == kept[1]
    assert done.report.rows == alone.report.rows
    whole = total(alone.spent.values())
    assert sent + scene.calls == whole.calls + interrupt.calls
    spent = total(done.spent.values())
    assert (spent.calls, spent.tokens) == (sent + scene.calls, whole.tokens)
    trials = scene.trials()
    assert [each["number"] for each in trials] == list(range(len(trials)))
    assert len((scene.run / "curve.jsonl").read_text().splitlines()) == len(done.curve)
    assert f"{sent} calls had been sent" in scene.told


def test_a_finished_run_is_repeated_without_a_call(scene: Scene) -> None:
    first = scene.optimize()
    files = {each.name: each.read_bytes() for each in scene.run.iterdir()}
    again = scene.optimize()
    assert scene.calls == 0
    assert again.program == first.program
    assert "goes on: 4 trials were there already" in scene.told
    same = ("config.json", "journal.log", "curve.jsonl", "program.json")
    assert all((scene.run / name).read_bytes() == files[name] for name in same)


def test_a_call_that_failed_fails_for_the_whole_run(scene: Scene) -> None:
    """Also where it would be answered by now: what was decided by it stays decided."""
    prompt = split_users(LEARNERS, seed=SETTINGS.seed).val[0].pairs[0].prompt

    def fails(messages: Messages) -> ModelError | None:
        asked = any(prompt in message.content for message in messages)
        return BadResponse("nothing usable") if asked else None

    whole = Scene(scene.path / "whole")
    whole.path.mkdir()
    expected = whole.optimize(fails=fails)
    ended = Interrupt(whole.calls - 6)
    with pytest.raises(KeyboardInterrupt):
        scene.optimize(fails=lambda messages: fails(messages) or ended(messages))
    done = scene.optimize()
    assert done.program.as_record() == expected.program.as_record()
    assert scene.trials() == whole.trials()
    asked = [messages for model in scene.models.values() for _, messages in model.calls]
    assert asked
    assert not any(prompt in message.content for messages in asked for message in messages)
    assert "of which failed and are not repeated" in scene.told


def test_what_failed_before_an_error_ended_the_run_is_asked_again(scene: Scene) -> None:
    with pytest.raises(OptimizationError, match="no key"):
        scene.optimize(fails=lambda messages: AuthenticationError("there is no key"))
    assert scene.optimize().report.rows


def leads_to(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


@pytest.mark.parametrize("written", [1, 60])
def test_a_run_on_a_full_disk_ends_in_one_error_and_can_go_on(
    written: int, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line is refused as well: all is closed nevertheless, and the folder is free."""
    prompt = split_users(LEARNERS, seed=SETTINGS.seed).val[0].pairs[0].prompt
    sizes: list[int] = []
    handles: set[int] = set()

    def full(handle: int, data: bytes, path: Path) -> None:
        if path.name == "spent.jsonl":
            handles.add(handle)
            sizes.append((scene.run / "failures.jsonl").stat().st_size)
            if len(sizes) > written:
                raise WriteError(f"cannot write {str(path)!r}: no space left on device")
        append(handle, data, path)

    def fails(messages: Messages) -> ModelError | None:
        asked = any(prompt in message.content for message in messages)
        return BadResponse("nothing usable") if asked else None

    with monkeypatch.context() as patch:
        patch.setattr(lines, "append", full)
        with pytest.raises(WriteError, match=r"spent.jsonl': no space left") as caught:
            scene.optimize(fails=fails)
    assert (sizes[-1] > 0) == (written > 1)
    (handle,) = handles
    assert not leads_to(handle, scene.run / "spent.jsonl")
    assert not (scene.run / "failures.jsonl").exists()
    assert scene.optimize().report.rows
    del caught  # its frames have kept the lock from being collected


@pytest.mark.parametrize("calls", [30, 150])
def test_a_cap_holds_for_the_run_as_a_whole(scene: Scene, calls: int) -> None:
    settings = replace(SETTINGS, optimizer="popi")
    caps = Caps(calls=200)
    with pytest.raises(KeyboardInterrupt):
        scene.optimize(settings, Interrupt(calls), caps=caps)
    sent = scene.calls
    done = scene.optimize(settings, caps=caps)
    assert done.stopped is not None
    assert sent + scene.calls == 200
    alone = optimize(
        LEARNERS,
        replace(settings, access=Access(caps=caps)),
        door=learning_door(caps=caps),
    )
    assert done.program.candidate == alone.program.candidate
    assert done.program.as_record() == alone.program.as_record()
    again = scene.optimize(settings, caps=caps)
    assert scene.calls == 0
    assert again.program == done.program


def test_another_run_is_never_written_over(scene: Scene) -> None:
    scene.optimize()
    files = {each: each.read_bytes() for each in scene.run.iterdir()}
    with pytest.raises(UsageError) as found:
        scene.optimize(replace(SETTINGS, trials=5, seed=2))
    assert "trials is 4 there and 5 here, seed is 1 there and 2 here" in str(found.value)
    assert "name another --run-dir" in str(found.value)
    assert {each: each.read_bytes() for each in scene.run.iterdir()} == files


def test_a_folder_of_something_else_is_not_touched(scene: Scene) -> None:
    scene.run.mkdir()
    (scene.run / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is not empty and holds no run .thesis.tex"):
        scene.optimize()
    (scene.run / "config.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(UsageError, match="is not the config of a run"):
        scene.optimize()


def test_one_process_at_a_time_works_in_a_folder(scene: Scene) -> None:
    scene.optimize()
    with FileLock(scene.run / ".lock"), pytest.raises(UsageError, match="another process"):
        scene.optimize()
    scene.optimize()


def test_without_a_cache_there_is_nothing_to_go_on_with(scene: Scene) -> None:
    folder = RunFolder(scene.run)
    optimize(LEARNERS, SETTINGS, door=learning_door(), run=folder)
    with pytest.raises(UsageError, match="without a cache it cannot go on"):
        optimize(LEARNERS, SETTINGS, door=learning_door(), run=folder)


def test_a_sampling_model_is_asked_once_for_every_answer(scene: Scene) -> None:
    """Asked again, it would say something else: the untuned program would have other summaries."""
    count = [0]

    def moody(door: Door) -> Door:
        model = door.model("inference")

        def chat(messages: Messages, sampling: Sampling) -> Answer:
            count[0] += 1
            answer = FakeModel.chat(model, messages, sampling)  # type: ignore[arg-type]
            return replace(answer, text=f"{answer.text} {count[0]}")

        model.chat = chat  # type: ignore[method-assign]
        return door

    folder = RunFolder(scene.run)
    stop = Interrupt(60)
    with pytest.raises(KeyboardInterrupt):
        optimize(LEARNERS, SETTINGS, door=moody(scene.door(stop)), run=folder)
    answered = count[0]
    first = optimize(LEARNERS, SETTINGS, door=moody(scene.door()), run=folder)
    assert count[0] > answered
    asked = count[0]
    again = optimize(LEARNERS, SETTINGS, door=moody(scene.door()), run=folder)
    assert count[0] == asked
    assert again.report.rows == first.report.rows


def test_a_killed_process_may_leave_half_a_line(scene: Scene) -> None:
    scene.optimize()
    before = scene.trials()
    for name in ("journal.log", "curve.jsonl", "spent.jsonl", "failures.jsonl"):
        with (scene.run / name).open("ab") as file:
            file.write(b'{"half')
    scene.optimize()
    assert scene.trials() == before


def test_lines_that_are_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a"\n', encoding="utf-8")
    with pytest.raises(popi_prompt.PopiError, match=r"lines\.jsonl:2"):
        Lines(path)


def test_speed_and_key_are_not_what_a_run_is(tmp_path: Path) -> None:
    def folder(**changes: Any) -> Path:
        settings = {"api_base": "http://127.0.0.1:1/v1", **changes}
        access = Access({"generator": RoleConfig(settings=settings)})
        asked = Settings("openai/stub", access=access)
        config = resolve(asked, LEARNERS, access.routes(asked.names()))
        return default_folder(tmp_path / "p.json", config, keeps_answers=True)

    assert folder().parent == tmp_path / "p.runs"
    assert folder() == folder(concurrency=8, rpm=3, timeout=9.0, api_key_env="KEY")
    assert folder() != folder(temperature=0.5)


def test_without_a_cache_every_default_folder_is_a_new_one(tmp_path: Path) -> None:
    config = resolve(SETTINGS, LEARNERS, {})
    found = []
    for _ in range(3):
        found.append(default_folder(tmp_path / "p.json", config, keeps_answers=False))
        found[-1].mkdir(parents=True)
    assert len(set(found)) == 3
    assert default_folder(tmp_path / "p.json", config, keeps_answers=True) == found[0]


def test_folds_have_studies_of_their_own(scene: Scene) -> None:
    scene.optimize(replace(SETTINGS, folds=3, trials=3))
    backend = optuna.storages.journal.JournalFileBackend(str(scene.run / "journal.log"))
    storage = optuna.storages.JournalStorage(backend)
    names = sorted(optuna.get_all_study_names(storage))
    assert [name.partition(" fold ")[2] for name in names] == ["", "1", "2", "3"]
    assert all(scene.trials(name=name) for name in names)


def test_what_is_a_cap_is_no_failed_call(scene: Scene) -> None:
    with pytest.raises(BudgetExceeded):
        scene.door(caps=Caps(calls=0)).chat("generator", (), Sampling())
    done = scene.optimize(caps=Caps(calls=5))
    assert done.stopped is not None
    assert (scene.run / "failures.jsonl").read_bytes() == b""
