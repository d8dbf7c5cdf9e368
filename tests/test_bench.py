"""The benchmark: comparable rows, cells that outlive a run, and what is written about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from toy_tastes import COMPILED_CANDIDATE, PEOPLE, infer

from popi_prompt.bench import (
    BENCH_ROWS,
    Bench,
    BenchSettings,
    Family,
    bench,
    compiling,
    load_families,
    quick,
    write_results,
)
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Menu
from popi_prompt.cli.main import cli
from popi_prompt.dataset import fingerprint, write_users
from popi_prompt.errors import BadResponse, DataError, ModelError, UsageError
from popi_prompt.events import Event, Noted
from popi_prompt.models import door as door_module
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.model import Sampling
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps
from popi_prompt.optimized import Optimized
from popi_prompt.program import Origin, Program, load
from popi_prompt.prompts import Messages
from popi_prompt.report import Report
from popi_prompt.rows import (
    COMPILED,
    GOLD,
    IMPROVED,
    MARGIN,
    NO_CONTEXT,
    RAW,
    RETRIEVED,
    UNTUNED,
    Row,
)
from popi_prompt.schema import Pair, User
from popi_prompt.seen import held_out
from popi_prompt.split import split_users
from popi_prompt.testing import FakeChatModel, FakeModel

MODELS = {"generator": "fake/g", "inference": "fake/i", "proposer": "fake/i"}
SETTINGS = BenchSettings(generators=("fake/g",))
Fails = Callable[[Messages], ModelError | None]


def program(candidate: Candidate = COMPILED_CANDIDATE, dataset: str = "sha256:0") -> Program:
    return Program(candidate, MODELS, Origin("likelihood", 0, dataset, len(PEOPLE), 1))


FAMILY = Family("tastes", PEOPLE, program())


def first_message(messages: Messages, sampling: Sampling) -> str:
    return messages[0].content


class Models(dict[str, FakeModel]):
    """Fakes by the name they are opened under; `fails` is asked by all of them."""

    fails: Fails = staticmethod(lambda messages: None)

    def open(self, route: Route) -> FakeModel | FakeChatModel:
        name = route.model
        if name not in self:
            reply = infer if name == "fake/i" else first_message
            self[name] = FakeModel(reply, name=name, fails=lambda messages: self.fails(messages))
        return FakeChatModel(self[name]) if name == "fake/chat" else self[name]

    @property
    def asked(self) -> int:
        return sum(len(model.calls) for model in self.values())


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    opened = Models()
    monkeypatch.setattr(door_module, "open_route", opened.open)
    return opened


def only(done: Bench) -> Report:
    assert len(done.blocks) == 1
    return done.blocks[0].report


def row(report: Report, name: str) -> Row:
    found = report.row(name)
    assert found is not None, name
    return found


def cells(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cells").iterdir())


def test_all_rows_are_measured_on_the_same_users(models: Models, tmp_path: Path) -> None:
    done = bench([FAMILY], SETTINGS, tmp_path / "out")
    report = only(done)
    assert [each.name for each in report.rows] == list(BENCH_ROWS)
    assert done.stopped is None
    for each in report.rows:
        assert {outcome.user_id for outcome in each.outcomes} == {u.user_id for u in PEOPLE}
    shift = {each.name: each.mean(MARGIN).mean for each in report.rows}
    assert shift[NO_CONTEXT] == 0
    assert shift[COMPILED] == shift[GOLD] > shift[UNTUNED]
    assert row(report, COMPILED).mean(IMPROVED).mean == 1
    assert report.also == ("choice accuracy",)
    assert done.spent["generator"].calls == len(models["fake/g"].calls)


def test_users_that_the_program_was_compiled_from_are_not_measured(
    models: Models, tmp_path: Path
) -> None:
    own = program(dataset=fingerprint(PEOPLE))
    done = bench([Family("t", PEOPLE, own)], SETTINGS, tmp_path / "out")
    measured = {outcome.user_id for outcome in row(only(done), RAW).outcomes}
    assert measured == {user.user_id for user in held_out(own, PEOPLE)}
    assert len(measured) < len(PEOPLE)


def test_retrieved_signals_are_those_most_like_each_prompt(models: Models, tmp_path: Path) -> None:
    pairs = (Pair("about signal 1", "x", "y"), Pair("about signal 5", "x", "y"))
    user = replace(PEOPLE[1], signals=PEOPLE[1].signals + PEOPLE[5].signals, pairs=pairs)
    settings = replace(SETTINGS, rows=(RETRIEVED,), retrieve=1, choice=False)
    bench([Family("t", (user,), program())], settings, tmp_path / "out")
    told = [m for kind, m in models["fake/g"].calls if kind == "logprobs" and len(m) > 1]
    assert ["signal 1" in messages[0].content for messages in told] == [True, False]
    assert ["signal 5" in messages[0].content for messages in told] == [False, True]


def test_retrieval_by_embeddings_asks_the_model_that_is_given(
    models: Models, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, rows=(RETRIEVED,), choice=False, embedding_model="fake/e")
    bench([FAMILY], settings, tmp_path / "out")
    assert {kind for kind, _ in models["fake/e"].calls} == {"embedding"}
    with pytest.raises(UsageError, match="measured with similarity 'fake/e', this run has 'words'"):
        bench([FAMILY], replace(settings, embedding_model=None), tmp_path / "out")


def test_a_judge_adds_a_win_rate(models: Models, tmp_path: Path) -> None:
    report = only(bench([FAMILY], replace(SETTINGS, judge="fake/j"), tmp_path / "out"))
    assert report.also == ("choice accuracy", "win rate")
    assert models["fake/j"].calls


def test_a_generator_without_log_probabilities_is_measured_by_choice(
    models: Models, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, generators=("fake/g", "fake/chat"))
    one, other = bench([FAMILY], settings, tmp_path / "out").blocks
    assert (one.report.scorer, other.report.scorer) == ("likelihood", "choice")
    assert other.report.also == ()


def test_a_second_run_measures_nothing_and_says_the_same(models: Models, tmp_path: Path) -> None:
    first = bench([FAMILY], SETTINGS, tmp_path / "out")
    asked = models.asked
    second = bench([FAMILY], SETTINGS, tmp_path / "out")
    assert models.asked == asked
    assert second.blocks == first.blocks
    assert second.blocks[0].as_record() == first.blocks[0].as_record()
    assert second.spent == {}


def test_a_run_that_breaks_off_goes_on_where_it_was(models: Models, tmp_path: Path) -> None:
    whole = bench([FAMILY], SETTINGS, tmp_path / "whole")
    folder = tmp_path / "out"

    def interrupted(messages: Messages) -> ModelError | None:
        if messages[0].content == COMPILED_CANDIDATE.instruction:
            raise KeyboardInterrupt
        return None

    models.fails = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench([FAMILY], SETTINGS, folder)
    assert len(cells(folder)) == BENCH_ROWS.index(COMPILED)
    models.fails = lambda messages: None
    before = models.asked
    again = bench([FAMILY], SETTINGS, folder)
    assert models.asked > before
    assert only(again).rows == only(whole).rows
    assert len(cells(folder)) == len(BENCH_ROWS)


def test_at_a_cap_it_ends_with_what_there_is_and_never_exceeds_it(
    models: Models, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, access=Access(caps=Caps(calls=100)))
    families = [FAMILY, replace(FAMILY, name="again")]
    done = bench(families, settings, tmp_path / "out")
    assert done.stopped is not None
    assert "cap of 100 calls" in done.stopped
    assert models.asked <= 100
    assert 0 < len(only(done).rows) < len(BENCH_ROWS)
    rounds = 1
    while done.stopped is not None:
        done = bench(families, settings, tmp_path / "out")
        rounds += 1
        assert rounds < 20
    assert [len(block.report.rows) for block in done.blocks] == [len(BENCH_ROWS)] * 2


def test_at_a_cap_what_is_there_of_later_families_is_shown(models: Models, tmp_path: Path) -> None:
    families = [FAMILY, replace(FAMILY, name="again")]
    whole = bench(families, SETTINGS, tmp_path / "out")
    capped = Access(caps=Caps(calls=3))
    settings = replace(SETTINGS, generators=("fake/g", "fake/new"), access=capped)
    done = bench(families, settings, tmp_path / "out")
    assert done.stopped is not None
    assert "cap of 3 calls" in done.stopped
    assert done.blocks == whole.blocks
    assert done.spent["generator"].calls <= 3


def test_at_a_cap_that_ends_a_search_the_familys_other_rows_are_shown(
    models: Models, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, inference_model="fake/i", trials=1)
    families = [Family("tastes", PEOPLE), Family("more", PEOPLE)]
    raw = bench(families, replace(settings, rows=(RAW,)), tmp_path / "out")
    done = bench(families, replace(settings, access=Access(caps=Caps(calls=40))), tmp_path / "out")
    assert done.stopped is not None
    assert "cap of 40 calls" in done.stopped
    assert done.blocks == raw.blocks


def test_when_the_time_is_over_nothing_is_begun(models: Models, tmp_path: Path) -> None:
    done = bench([FAMILY], replace(SETTINGS, minutes=0), tmp_path / "out")
    assert done == Bench((), "the time is over")
    bench([FAMILY], replace(SETTINGS, rows=(RAW, GOLD)), tmp_path / "out")
    done = bench([FAMILY], replace(SETTINGS, minutes=0), tmp_path / "out")
    assert done.stopped == "the time is over"
    assert [row.name for row in only(done).rows] == [RAW, GOLD]  # what is there is shown
    done = bench([FAMILY], replace(SETTINGS, minutes=0, rows=(RAW, GOLD)), tmp_path / "out")
    assert done.stopped is None
    uncompiled = Family("uncompiled", PEOPLE)
    raw = replace(SETTINGS, rows=(RAW,), inference_model="fake/i")
    bench([uncompiled], raw, tmp_path / "out")
    shown = replace(SETTINGS, minutes=0, inference_model="fake/i")
    assert [row.name for row in only(bench([uncompiled], shown, tmp_path / "out")).rows] == [RAW]
    new = [replace(FAMILY, name="new"), replace(FAMILY, name="unseen", program=None)]
    done = bench([*new, FAMILY], replace(SETTINGS, minutes=0), tmp_path / "out")
    assert done.stopped == "the time is over"
    assert [each.family for each in done.blocks] == ["tastes"]  # whatever comes before it


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"held_out": 5}, "measured with users"),
        ({"pairs": 1}, ""),
        ({"inference_model": "fake/other"}, "inference 'fake/i', this run has 'fake/other'"),
        ({"judge": "fake/j"}, "measured with judge None"),
        ({"choice": False}, "measured with scorers"),
        (
            {"retrieve": 1},
            "measured with retrieve 2, this run has 1; remove it to measure it again",
        ),
    ],
)
def test_cells_of_another_run_are_not_mixed_in(
    models: Models, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    bench([FAMILY], SETTINGS, tmp_path / "out")
    if says:
        with pytest.raises(UsageError, match=says):
            bench([FAMILY], replace(SETTINGS, **changes), tmp_path / "out")
    else:
        bench([FAMILY], replace(SETTINGS, **changes), tmp_path / "out")


def test_another_program_that_tells_in_the_same_way_has_one_row_to_measure(
    models: Models, tmp_path: Path
) -> None:
    bench([FAMILY], SETTINGS, tmp_path / "out")
    (compiled,) = (tmp_path / "out" / "cells").glob("*--compiled.json")
    compiled.unlink()
    before = {path.name: path.read_bytes() for path in compiled.parent.iterdir()}
    other = replace(COMPILED_CANDIDATE, instruction="Look again.")
    done = bench([replace(FAMILY, program=program(other))], SETTINGS, tmp_path / "out")
    assert done.stopped is None
    assert compiled.exists()
    assert {name: (compiled.parent / name).read_bytes() for name in before} == before


def test_cells_of_another_program_are_not_mixed_in(models: Models, tmp_path: Path) -> None:
    bench([FAMILY], SETTINGS, tmp_path / "out")
    other = replace(FAMILY, program=program(Candidate("Look again.")))
    with pytest.raises(UsageError, match="measured with program '"):
        bench([other], SETTINGS, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"conditions": 1}', b"\xff", b"null"])
def test_a_damaged_cell_is_an_error_with_its_path(
    models: Models, tmp_path: Path, content: bytes
) -> None:
    bench([FAMILY], SETTINGS, tmp_path / "out")
    path = tmp_path / "out" / "cells" / cells(tmp_path / "out")[0]
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        bench([FAMILY], SETTINGS, tmp_path / "out")
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["row"], "bogus"),
        (["row"], RAW),
        (["results"], []),
        (["results", 0, "scores"], []),
        (["results", 0, "scores", 0, 0], "much"),
        (["results", 0, "scores", 0, 1], None),
        (["results", 0, "scores", 0, 2], 0),
        (["results", 0, "tokens"], "1"),
        (["results", 0, "reward"], True),
        (["results", 0, "user_id"], 7),
        (["also", "choice accuracy", 0, "scores", 0, 1], "x"),
        (["spent", "generator", "calls"], "x"),
        pytest.param(["seconds"], 10**400, id="huge"),
    ],
)
def test_a_cell_of_another_row_or_without_its_figures_is_no_cell(
    models: Models, tmp_path: Path, where: list[str | int], value: Any
) -> None:
    settings = replace(SETTINGS, rows=(GOLD,))
    bench([FAMILY], settings, tmp_path / "out")
    (path,) = (tmp_path / "out" / "cells").iterdir()
    record = json.loads(path.read_text())
    part: Any = record
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="is no cell of a benchmark; remove it") as error:
        bench([FAMILY], settings, tmp_path / "out")
    assert str(path) in str(error.value)


def test_cells_hold_no_text_and_are_their_owners_alone(models: Models, tmp_path: Path) -> None:
    bench([FAMILY], SETTINGS, tmp_path / "out")
    for path in (tmp_path / "out" / "cells").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert "simple everyday" not in path.read_text()
        assert "precise technical" not in path.read_text()


def test_without_a_program_one_is_compiled_once_for_each_generator(
    models: Models, tmp_path: Path
) -> None:
    family = Family("tastes", PEOPLE)
    settings = replace(
        SETTINGS, generators=("fake/g", "fake/h"), inference_model="fake/i", trials=1
    )
    first = bench([family], settings, tmp_path / "out")
    names = ["tastes--fake-g.json", "tastes--fake-h.json"]
    assert sorted(path.name for path in (tmp_path / "out" / "programs").iterdir()) == names
    compiled = load(tmp_path / "out" / "programs" / names[0])
    assert compiled.models["generator"] == "fake/g"
    test = {user.user_id for user in split_users(PEOPLE).test}
    for block in first.blocks:
        assert {each.user_id for each in row(block.report, COMPILED).outcomes} == test
    asked = models.asked
    assert bench([family], settings, tmp_path / "out").blocks == first.blocks
    assert models.asked == asked


def test_what_was_compiled_is_measured_as_it_is_read_again(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    menu = Menu("fake/i", ("Likes plain words.", "Likes technical terms."), (-1 / 3, -2 / 3))
    candidate = replace(COMPILED_CANDIDATE, menu=menu)
    found = program(candidate, dataset=fingerprint(PEOPLE))
    none = Report((), "likelihood", "", "nats")
    done = Optimized(found, none, split_users(PEOPLE), candidate)
    monkeypatch.setattr(compiling, "optimize", lambda *args, **kwargs: done)
    settings = replace(SETTINGS, inference_model="fake/i")
    first = bench([Family("tastes", PEOPLE)], settings, tmp_path / "out")
    assert bench([Family("tastes", PEOPLE)], settings, tmp_path / "out").blocks == first.blocks


@pytest.mark.parametrize(
    ("users", "changes", "says"),
    [
        (PEOPLE, {"seed": 1}, "was compiled with seed 0, this run has 1; remove it"),
        (PEOPLE[1:], {}, "was compiled with users 'sha256:"),
        (PEOPLE, {"inference_model": "fake/g"}, "was compiled with inference model 'fake/i'"),
    ],
)
def test_a_program_that_was_compiled_otherwise_is_not_taken_for_this_run(
    models: Models, tmp_path: Path, users: tuple[User, ...], changes: dict[str, Any], says: str
) -> None:
    settings = replace(SETTINGS, inference_model="fake/i", trials=1, rows=(COMPILED,))
    bench([Family("tastes", PEOPLE)], settings, tmp_path / "out")
    with pytest.raises(UsageError, match=says):
        bench([Family("tastes", users)], replace(settings, **changes), tmp_path / "out")


WARMER = Access(roles={"proposer": RoleConfig(settings={"temperature": 1.3})})
PACED = Access(roles={"inference": RoleConfig(settings={"rpm": 3})}, caps=Caps(calls=9_999))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trials": 2}, "was compiled with trials 1, this run has 2; remove it and the cells of"),
        ({"access": WARMER}, r"compiled with routes {}, this run has {'proposer': {'temperature'"),
        ({"access": PACED}, ""),
    ],
)
def test_a_program_of_another_search_is_not_taken_for_this_run(
    models: Models, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    family, folder = Family("tastes", PEOPLE), tmp_path / "out"
    settings = replace(SETTINGS, inference_model="fake/i", trials=1, rows=(COMPILED,))
    first = bench([family], settings, folder)
    if says:
        with pytest.raises(UsageError, match=says):
            bench([family], replace(settings, **changes), folder)
    else:
        assert bench([family], replace(settings, **changes), folder).blocks == first.blocks
    (folder / "searches" / "tastes--fake-g.json").unlink()  # as a folder of an earlier version
    assert bench([family], replace(settings, **changes), folder).blocks == first.blocks


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_a_damaged_record_of_a_search_is_an_error_with_its_path(
    models: Models, tmp_path: Path, content: bytes
) -> None:
    settings = replace(SETTINGS, inference_model="fake/i", trials=1, rows=(COMPILED,))
    bench([Family("tastes", PEOPLE)], settings, tmp_path / "out")
    path = tmp_path / "out" / "searches" / "tastes--fake-g.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        bench([Family("tastes", PEOPLE)], settings, tmp_path / "out")
    assert str(path) in str(error.value)


def test_a_program_is_never_without_the_record_of_its_search(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    settings = replace(SETTINGS, inference_model="fake/i", trials=1, rows=(COMPILED,))

    def interrupted(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compiling, "write_text", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench([Family("tastes", PEOPLE)], settings, folder)
    assert list((folder / "programs").iterdir()) == []


def test_families_whose_names_no_file_can_have_are_kept_apart(
    models: Models, tmp_path: Path
) -> None:
    families = [Family("\u65e5\u672c", PEOPLE[:6], program())]
    families += [Family("\u4e2d\u56fd", PEOPLE[6:], program()), Family("_", PEOPLE, program())]
    families += [Family("x" * 90, PEOPLE, program()), Family("x" * 91, PEOPLE, program())]
    settings = replace(SETTINGS, rows=(RAW,))
    first = bench(families, settings, tmp_path / "out")
    assert len(cells(tmp_path / "out")) == 5
    assert bench(families, settings, tmp_path / "out").blocks == first.blocks


def test_names_with_one_file_name_are_an_error(models: Models, tmp_path: Path) -> None:
    bench([FAMILY], replace(SETTINGS, generators=("fake/g",)), tmp_path / "out")
    with pytest.raises(UsageError, match="was measured with generator 'fake/g', this run has"):
        bench([FAMILY], replace(SETTINGS, generators=("fake_g",)), tmp_path / "out")


def test_two_names_with_one_file_name_are_refused_before_anything_is_measured(
    models: Models, tmp_path: Path
) -> None:
    families = [replace(FAMILY, name="u_b"), replace(FAMILY, name="u-b")]
    with pytest.raises(UsageError, match="the families 'u_b' and 'u-b' .* rename the file of one"):
        bench(families, SETTINGS, tmp_path / "out")
    with pytest.raises(UsageError, match="the generators 'fake/g' and 'fake_g' .* another folder"):
        bench([FAMILY], replace(SETTINGS, generators=("fake/g", "fake_g")), tmp_path / "out")
    assert models.asked == 0
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_reached_otherwise_is_another_measurement(
    models: Models, tmp_path: Path
) -> None:
    bench([FAMILY], SETTINGS, tmp_path / "out")
    warmer = Access(roles={"inference": RoleConfig(settings={"temperature": 1.3})})
    unasked = replace(SETTINGS, access=warmer, rows=(NO_CONTEXT, RAW, RETRIEVED, GOLD))
    bench([FAMILY], unasked, tmp_path / "out")
    with pytest.raises(UsageError, match="measured with routes {}, this run has {'inference'"):
        bench([FAMILY], replace(SETTINGS, access=warmer), tmp_path / "out")
    paced = Access(
        roles={"inference": RoleConfig(settings={"rpm": 3, "price_in": 1.0, "price_out": 1.0})}
    )
    bench([FAMILY], replace(SETTINGS, access=paced), tmp_path / "out")


def test_a_row_in_which_everybody_failed_is_tried_again(models: Models, tmp_path: Path) -> None:
    models.fails = lambda messages: BadResponse("network down")
    settings = replace(SETTINGS, rows=(NO_CONTEXT, RAW), choice=False)
    assert not row(only(bench([FAMILY], settings, tmp_path / "out")), RAW).scored
    models.fails = lambda messages: None
    done = bench([FAMILY], settings, tmp_path / "out")
    assert len(row(only(done), RAW).outcomes) == len(PEOPLE)


def test_rows_stand_in_their_order_whenever_they_were_measured(
    models: Models, tmp_path: Path
) -> None:
    bench([FAMILY], replace(SETTINGS, rows=(RETRIEVED, UNTUNED)), tmp_path / "out")
    done = bench([FAMILY], SETTINGS, tmp_path / "out")
    assert [each.name for each in only(done).rows] == list(BENCH_ROWS)


def test_a_folder_is_of_one_run_at_a_time(models: Models, tmp_path: Path) -> None:
    said: list[str] = []

    def meanwhile(messages: Messages) -> ModelError | None:
        if not said:
            said.append("once")
            with pytest.raises(UsageError, match="another process works in the folder"):
                bench([FAMILY], SETTINGS, tmp_path / "out")
        return None

    models.fails = meanwhile
    bench([FAMILY], SETTINGS, tmp_path / "out")
    assert said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cells"}


def test_data_that_is_not_the_programs_own_is_said(models: Models, tmp_path: Path) -> None:
    said: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Noted):
            said.append(event.text)

    settings = replace(SETTINGS, rows=(RAW,))
    own = Family("own", PEOPLE, program(dataset=fingerprint(PEOPLE)))
    bench([own], settings, tmp_path / "own", hear)
    assert not any("not what" in text for text in said)
    bench([FAMILY], settings, tmp_path / "other", hear)
    assert any("is not what the program was compiled from" in text for text in said)


def test_where_nothing_is_to_be_compiled_the_row_is_left_out(
    models: Models, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, inference_model="fake/i", compiles=False)
    done = bench([Family("tastes", PEOPLE)], settings, tmp_path / "out")
    assert only(done).row(COMPILED) is None
    assert done.blocks[0].program is None
    assert not (tmp_path / "out" / "programs").exists()


def test_a_row_that_is_left_out_for_want_of_a_program_is_said(
    models: Models, tmp_path: Path
) -> None:
    said: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Noted) and "no program" in event.text:
            said.append(event.text)

    settings = quick(replace(SETTINGS, inference_model="fake/i", rows=(COMPILED,)))
    families = [Family("a", PEOPLE), FAMILY, Family("b", PEOPLE)]
    bench(families, settings, tmp_path / "out", hear)
    assert [text.split(" has ")[0] for text in said] == ["family 'a'", "family 'b'"]
    assert "--quick compiles none: no row 'compiled'; drop --quick, or" in said[0]
    bench(families, replace(settings, rows=(RAW,)), tmp_path / "out", hear)
    assert len(said) == 2


def test_a_cap_that_ends_the_search_leaves_no_program(models: Models, tmp_path: Path) -> None:
    settings = replace(
        SETTINGS, inference_model="fake/i", trials=1, access=Access(caps=Caps(calls=40))
    )
    done = bench([Family("tastes", PEOPLE)], settings, tmp_path / "out")
    assert done.stopped is not None
    assert done.blocks == ()
    assert list((tmp_path / "out" / "programs").iterdir()) == []


def test_an_untuned_program_that_was_kept_is_measured_as_itself(
    models: Models, tmp_path: Path
) -> None:
    family = Family("tastes", PEOPLE, program(UNTUNED_CANDIDATE))
    report = only(bench([family], SETTINGS, tmp_path / "out"))
    assert row(report, COMPILED).results == row(report, UNTUNED).results


def test_quick_measures_few_users_and_compiles_nothing() -> None:
    found = quick(SETTINGS)
    assert (found.held_out, found.pairs, found.minutes) == (8, 1, 9.0)
    assert not found.compiles
    assert not found.choice
    assert found.rows == SETTINGS.rows
    assert quick(replace(SETTINGS, minutes=5.0)).minutes == 5.0


def test_few_users_are_drawn_and_not_the_first(models: Models, tmp_path: Path) -> None:
    measured = []
    for seed in range(4):
        settings = replace(SETTINGS, rows=(RAW,), held_out=2, seed=seed)
        report = only(bench([FAMILY], settings, tmp_path / str(seed)))
        measured.append({outcome.user_id for outcome in row(report, RAW).outcomes})
    assert all(len(ids) == 2 for ids in measured)
    assert len(set(map(frozenset, measured))) > 1


def test_a_failed_user_is_counted_and_left_out(models: Models, tmp_path: Path) -> None:
    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("nothing usable") if messages[-1].content == "pair 3" else None

    models.fails = fails
    done = bench([FAMILY], SETTINGS, tmp_path / "out")
    assert [each.user_id for each in row(only(done), RAW).failures] == ["u03"]
    assert bench([FAMILY], SETTINGS, tmp_path / "out").blocks[0].report == only(done)
    record = write_results(tmp_path / "out", done, "popi-prompt bench")
    for name in ("bench.json", "bench.md", "bench.svg"):
        assert "u03" not in (tmp_path / "out" / name).read_text()
    assert "nothing usable" in record["blocks"][0]["rows"][1]["failures"][0]["reason"]


# what is written


def test_the_files_say_what_was_measured(models: Models, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = bench([FAMILY, replace(FAMILY, name="a|b")], SETTINGS, folder)
    record = write_results(folder, done, "popi-prompt bench x")
    assert json.loads((folder / "bench.json").read_text()) == record
    text = (folder / "bench.md").read_text()
    assert "    popi-prompt bench x\n" in text
    glance = next(line for line in text.splitlines() if line.startswith("| tastes | fake/g | 12 |"))
    assert glance.count("100.0%") >= 2
    assert "| a/b | fake/g |" in text
    own = record["blocks"][0]["rows"][BENCH_ROWS.index(COMPILED)]
    d = own["margin"]
    assert f"{d['mean']:+.2f} [{d['low']:+.2f}, {d['high']:+.2f}]" in text
    assert "- compiled program minus untuned summary: D +" in text
    assert "- compiled program minus raw signals: D " in text
    assert "| choice accuracy |" in text
    assert "Not complete" not in text


def test_every_line_of_a_table_has_as_many_cells(models: Models, tmp_path: Path) -> None:
    done = bench([FAMILY], replace(SETTINGS, judge="fake/j"), tmp_path / "out")
    write_results(tmp_path / "out", done, "x")
    sizes: list[set[int]] = [set()]
    for line in (tmp_path / "out" / "bench.md").read_text().splitlines():
        if line.startswith("|"):
            sizes[-1].add(line.count("|"))
        elif sizes[-1]:
            sizes.append(set())
    assert [len(size) for size in sizes if size] == [1, 1]


def test_the_plot_is_a_picture_of_the_same_figures(models: Models, tmp_path: Path) -> None:
    done = bench([replace(FAMILY, name="<b>")], SETTINGS, tmp_path / "out")
    record = write_results(tmp_path / "out", done, "x")
    root = ElementTree.parse(tmp_path / "out" / "bench.svg").getroot()
    circles = [each for each in root.iter() if each.tag.endswith("circle")]
    shown = [r["reward_accuracy"]["mean"] for r in record["blocks"][0]["rows"][1:]]
    assert len(circles) == len(shown)
    places = [float(each.attrib["cx"]) for each in circles]
    assert sorted(range(5), key=lambda i: (places[i], i)) == sorted(
        range(5), key=lambda i: (shown[i], i)
    )
    assert "<b>" in [each.text[:3] for each in root.iter() if each.text]


def test_a_run_that_is_not_complete_says_so(models: Models, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = bench([FAMILY], replace(SETTINGS, minutes=0), folder)
    write_results(folder, done, "x")
    assert "**Not complete: the time is over.**" in (folder / "bench.md").read_text()
    ElementTree.parse(folder / "bench.svg")


# families


def test_a_family_is_a_file_or_a_folder_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("datasets/mine").mkdir(parents=True)
    write_users("datasets/mine/users.jsonl", PEOPLE)
    write_users("other.jsonl", PEOPLE)
    program().save("p.json")
    mine, other = load_families(["mine", "other.jsonl"], {"other": "p.json"})
    assert mine == Family("mine", PEOPLE)
    assert other == Family("other", PEOPLE, program())
    assert load_families(["datasets/mine/users.jsonl"]) == (mine,)
    with pytest.raises(UsageError, match="two families are named 'mine'"):
        load_families(["mine", "datasets/mine/users.jsonl"])
    with pytest.raises(UsageError, match="a program is given for 'x'; families: mine"):
        load_families(["mine"], {"x": "p.json"})
    with pytest.raises(UsageError, match=r"no family 'nope': .*datasets/nope/users\.jsonl"):
        load_families(["nope"])
    with pytest.raises(UsageError, match="no family"):
        load_families(["x" * 5000])
    with pytest.raises(DataError, match="no such file"):
        load_families(["nope.jsonl"])


def test_a_shipped_program_is_that_of_the_family_of_its_name() -> None:
    data = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
    assert load_families([str(data)])[0].program == load("tastes")


# the command line


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    write_users(tmp_path / "u.jsonl", PEOPLE)
    program().save(tmp_path / "p.json")
    files = [str(tmp_path / "u.jsonl"), "-o", str(tmp_path / "out")]
    return [*files, "--program", f"u={tmp_path / 'p.json'}", "--generator", "fake/g"]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bench", *arguments])


def test_the_command_prints_what_it_writes(
    models: Models, arguments: list[str], tmp_path: Path
) -> None:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "bench.md").read_text() in result.stdout
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert (
        json.loads(result.stdout)["blocks"]
        == json.loads((tmp_path / "out" / "bench.json").read_text())["blocks"]
    )


@pytest.mark.parametrize("name", ["bench.json", "bench.md", "bench.svg"])
def test_a_file_that_cannot_be_written_is_said_before_anything_is_sent(
    models: Models, arguments: list[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stderr.endswith(
        f"cannot write {str(tmp_path / 'out' / name)!r}: it is a folder\n"
    )
    assert models.asked == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_what_is_read_is_not_written_over(
    models: Models, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    arguments[4] = f"u={tmp_path / 'out' / 'bench.json'}"
    program().save(tmp_path / "out" / "bench.json")
    result = call(*arguments)
    assert result.exit_code == 2
    assert "it is being read" in result.stderr
    assert models.asked == 0


def test_rows_are_in_the_usual_order(models: Models, arguments: list[str]) -> None:
    found = json.loads(call(*arguments, "--json", "--rows", "gold,raw,no-context").stdout)
    assert [each["context"] for each in found["blocks"][0]["rows"]] == [NO_CONTEXT, RAW, GOLD]


def test_choices_are_asked_for_unless_they_are_not_wanted(
    models: Models, arguments: list[str]
) -> None:
    asked = json.loads(call(*arguments, "--rows", "raw", "--json").stdout)
    assert "choice_accuracy" in asked["blocks"][0]["rows"][0]
    arguments[2] += "-2"
    left_out = json.loads(call(*arguments, "--rows", "raw", "--json", "--no-choice").stdout)
    assert "choice_accuracy" not in left_out["blocks"][0]["rows"][0]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--rows", "golden"], "--rows names 'golden'; known: no-context, raw, retrieved"),
        (["--program", "u"], "--program is 'u'; it must be FAMILY=PATH"),
        (["--program", "u=again.json"], "--program names a program of 'u' twice"),
        (["--generator", "fake/g"], "--generator names 'fake/g' twice"),
        (["--quick", "--held-out", "3"], "--quick sets --held-out itself"),
        (["--generator", " "], "--generator is ' '; it must be the name of a model"),
        (["--generator", ""], "--generator is ''; it must be the name of a model"),
        (["--inference-model", " "], "--inference-model is ' '; it must be"),
        (["--judge", ""], "--judge is ''; it must be"),
        (["--embedding-model", "\t"], "--embedding-model is '\\t'; it must be"),
    ],
)
def test_what_cannot_work_is_one_line(
    models: Models, arguments: list[str], tmp_path: Path, more: list[str], says: str
) -> None:
    result = call(*arguments, *more)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
