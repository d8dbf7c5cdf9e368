"""Two objectives: the search keeps what no other program beats in both, and lets one pick."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from learnable_tastes import LEARNERS, learning_door, liked
from toy_tastes import person

import popi_prompt
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Demonstration
from popi_prompt.cli.main import cli
from popi_prompt.comparison import Scoring
from popi_prompt.errors import BadResponse, ModelError, ProgramError
from popi_prompt.estimate import estimate
from popi_prompt.evaluation import Metric, Outcome, evaluate
from popi_prompt.front import Member, front_path, holds, load_front, save_front
from popi_prompt.generator import Generator
from popi_prompt.guard import Guard
from popi_prompt.inference import summarizer
from popi_prompt.models import door as door_module
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.models.spent import Caps, total
from popi_prompt.ngrams import Runs
from popi_prompt.optimizers import Point, pareto, undominated
from popi_prompt.optimizers.demonstrations import DemonstrationSet
from popi_prompt.optimizers.space import Space
from popi_prompt.program import Origin, Program, load
from popi_prompt.prompts import UNTUNED_CONDITIONING, UNTUNED_INSTRUCTION, VIEWS, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.search import Searched, search
from popi_prompt.settings import Settings
from popi_prompt.split import split_users
from popi_prompt.testing import FakeModel, fake_door
from popi_prompt.workflow import optimize

PEOPLE = tuple(person(i) for i in range(80))
SPLIT = split_users(PEOPLE, seed=0)
LONG = "Say all that is known of the taste of this person at some length."
SHORT = "Say the taste in three words."
WASTE = "Say many words that mean nothing."
EMPTY = "as is usual these days for nearly anybody who asks about anything at all"


def says(messages: Messages, sampling: Sampling) -> str:
    """The longer the truer, but for the words that mean nothing; untaught two words."""
    words = liked(messages[-1].content).split()
    told = {LONG: words, SHORT: words[:3], WASTE: EMPTY.split()}
    return " ".join(told.get(messages[0].content, ["be", "nice"]))


def door(
    caps: Caps | None = None,
    fails: Callable[[Messages], ModelError | None] = lambda messages: None,
    models: dict[str, FakeModel] | None = None,
) -> Door:
    made = {"generator": FakeModel(), "inference": FakeModel(says, fails=fails)}
    if models is not None:
        models.update(made)
    return fake_door(made, caps)


@pytest.fixture(autouse=True)
def space(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four instructions, and no demonstrations."""
    instructions = (UNTUNED_INSTRUCTION, LONG, SHORT, WASTE)
    found = Space(instructions, (DemonstrationSet(()),), (UNTUNED_CONDITIONING,))
    monkeypatch.setattr(pareto, "build_space", lambda task, scope: found)


def searched(through: Door, *, trials: int = 40, guard: Guard = Guard(), seed: int = 0) -> Searched:
    scoring = Scoring(through, LikelihoodScorer(), PopiReward())
    settings = Settings(optimizer="pareto", trials=trials, seed=seed)
    return search(SPLIT, scoring, settings, guard=guard)


def instructions(found: Searched) -> list[str]:
    return [each.candidate.instruction for each in found.front]


def asked(models: dict[str, FakeModel]) -> Counter[str]:
    """How many summaries were written by instruction, in both views together."""
    return Counter(messages[0].content for _, messages in models["inference"].calls)


# the front

points = st.lists(
    st.builds(
        Point,
        st.sampled_from([UNTUNED_CANDIDATE, *(Candidate(f"Way {i}.") for i in range(4))]),
        reward=st.integers(-3, 3).map(float),
        tokens=st.integers(0, 5).map(float),
        margin=st.just(0.0),
        users=st.just(9),
        failed=st.integers(0, 1),
    )
)


def beats(one: Point, other: Point) -> bool:
    return one.reward >= other.reward and one.tokens <= other.tokens


@given(points)
def test_what_is_on_the_front_is_beaten_by_none_and_beats_all_others(found: list[Point]) -> None:
    front = undominated(found)
    fewest = min((each.failed for each in found), default=0)
    allowed = [each for each in found if each.failed == fewest]
    for each in front:
        assert each in allowed
        assert not any(
            beats(other, each) and (other.reward, other.tokens) != (each.reward, each.tokens)
            for other in allowed
        )
    for other in allowed:
        assert any(beats(each, other) for each in front)
    assert len({(each.reward, each.tokens) for each in front}) == len(front)
    rewards, tokens = [each.reward for each in front], [each.tokens for each in front]
    assert rewards == sorted(rewards, reverse=True)
    assert tokens == sorted(tokens, reverse=True)


def test_of_equal_points_the_untuned_one_is_kept() -> None:
    other, own = (Point(each, 1.0, 5.0, 0.0, 9) for each in (Candidate("Way."), UNTUNED_CANDIDATE))
    assert undominated([other, own]) == (own,)


# the search


def test_it_keeps_the_truest_the_shortest_and_what_is_between() -> None:
    found = searched(door())
    assert instructions(found) == [LONG, SHORT, UNTUNED_INSTRUCTION]
    assert found.found == found.front[0].candidate == found.curve[-1].candidate
    assert found.curve[0].candidate == UNTUNED_CANDIDATE
    assert found.curve[-1].reward == found.front[0].reward


def test_every_point_is_a_mean_over_all_users_to_choose_by() -> None:
    found = searched(door())
    through = door()
    metric = Metric(Generator(through, UNTUNED_CONDITIONING), LikelihoodScorer(), PopiReward())
    for point in found.front:
        results = evaluate(SPLIT.val, summarizer(point.candidate, through), metric)
        outcomes = [each for each in results if isinstance(each, Outcome)]
        assert point.users == len(outcomes) == len(SPLIT.val)
        assert point.failed == 0
        for name in ("reward", "tokens", "margin"):
            mean = sum(getattr(each, name) for each in outcomes) / len(outcomes)
            assert getattr(point, name) == pytest.approx(mean)


def test_who_is_clearly_worse_for_no_fewer_tokens_is_stopped_and_who_is_shorter_is_not() -> None:
    models: dict[str, FakeModel] = {}
    searched(door(models=models), trials=80)
    count = asked(models)
    everyone = len(SPLIT.val)
    assert everyone >= 12
    assert 0 < count[WASTE] < len(VIEWS) * everyone
    for text in (LONG, SHORT, UNTUNED_INSTRUCTION):
        assert count[text] == len(VIEWS) * everyone


def test_a_candidate_that_fails_for_some_is_not_on_the_front() -> None:
    spared = {user.signals[0].prompt for user in SPLIT.val[:-3]}  # type: ignore[union-attr]

    def fails(messages: Messages) -> ModelError | None:
        known = any(f"{prompt}\n" in messages[-1].content for prompt in spared)
        return None if messages[0].content != LONG or known else BadResponse("nothing usable")

    found = searched(door(fails=fails))
    assert instructions(found) == [SHORT, UNTUNED_INSTRUCTION]


@pytest.mark.slow
def test_the_front_so_far_is_kept_at_a_cap() -> None:
    whole = door()
    searched(whole)
    used = total(whole.spent().values()).calls
    seen = set()
    for cap in range(0, used, max(1, used // 25)):
        found = searched(door(Caps(calls=cap)))
        assert found.stopped is not None
        if found.front:
            assert found.found == found.front[0].candidate
            assert all(each.users == len(SPLIT.val) for each in found.front)
        seen.add(len(found.front))
    assert 0 in seen
    assert len(seen) > 1


def test_no_member_repeats_what_the_guard_forbids() -> None:
    found = searched(door(), guard=Guard(written=Runs([LONG])))
    assert instructions(found) == [SHORT, UNTUNED_INSTRUCTION]


def test_the_same_seed_gives_the_same_front() -> None:
    assert searched(door(), seed=3) == searched(door(), seed=3)


def test_optimize_gives_the_front_as_programs_and_the_best_as_the_program() -> None:
    done = optimize(PEOPLE, Settings(optimizer="pareto", trials=40, demos="real"), door=door())
    assert [each.program.candidate.instruction for each in done.front] == [
        *(LONG, SHORT, UNTUNED_INSTRUCTION)
    ]
    assert done.program.candidate == done.found == done.front[0].program.candidate
    assert {each.program.origin.optimizer for each in done.front} == {"pareto"}
    assert optimize(PEOPLE, Settings(trials=2, demos="real"), door=learning_door()).front == ()


def test_a_search_in_the_space_of_popi_finds_a_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    done = optimize(LEARNERS, Settings(optimizer="pareto", trials=6), door=learning_door())
    assert done.front
    assert done.front[0].program.candidate == done.found


def test_it_is_estimated_without_asking_anything() -> None:
    model = FakeModel(says, name="local/fake")
    settings = Settings("local/fake", "local/fake", optimizer="pareto", trials=3, demos="real")
    found = estimate(PEOPLE, settings, open_model=lambda route: model)
    assert found.total.calls > 0
    assert model.calls == []


# the file


def member(candidate: Candidate = UNTUNED_CANDIDATE, **origin: Any) -> Member:
    models = dict.fromkeys(("generator", "inference", "proposer"), "fake/g")
    made = Origin("likelihood", 0, "sha256:0", 9, 3, optimizer="pareto", **origin)
    return Member(Program(candidate, models, made), -60.25, 3.5, 12.5, 20, 0)


SHOWING = Candidate(demonstrations=(Demonstration("Likes rain.", "Be brief."),))


@pytest.fixture
def front(tmp_path: Path) -> Path:
    path = tmp_path / "p.front.json"
    save_front((member(SHOWING), replace(member(), reward=-70.0, tokens=2.0)), path)
    return path


def test_what_is_written_is_read_back(front: Path) -> None:
    members = load_front(front)
    assert [each.tokens for each in members] == [12.5, 2.0]
    assert members[0] == member(SHOWING)
    assert popi_prompt.load_front is load_front
    assert front_path(Path("a/b.json")) == Path("a/b.front.json")


def test_the_file_says_what_of_people_it_holds(front: Path) -> None:
    raw = json.loads(front.read_text("utf-8"))
    assert raw["holds"] == "signals of training users, as demonstrations, in 1 of 2 programs"
    assert holds((member(), member(SHOWING, demos="synthetic"))) == "no user's text"


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"popi_prompt_front": 2}, "was written by a newer popi-prompt (schema 2, this one reads 1)"),
    ({"popi_prompt_front": "1"}, "has schema version '1', expected 1"),
    ({"members": []}, "has no list of 'members'"),
    ({"members": [3]}, "members[0] is not an object"),
    ({"members": [{**member().as_record(), "tokens": "few"}]}, "a 'tokens' that is no number"),
    ({"members": [{**member().as_record(), "users": 1.5}]}, "a 'users' that is no number"),
    ({"members": [{**member().as_record(), "program": {}}]}, "members[0]: is not a compiled"),
]


@pytest.mark.parametrize(("changed", "says"), BROKEN)
def test_what_is_no_front_is_one_clear_line(
    front: Path, changed: dict[str, Any], says: str
) -> None:
    raw = json.loads(front.read_text("utf-8"))
    front.write_text(json.dumps({**raw, **changed}), "utf-8")
    with pytest.raises(ProgramError) as found:
        load_front(front)
    assert str(found.value).startswith(f"{front}: ")
    assert says in str(found.value)
    assert "\n" not in str(found.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_any_json_is_a_front_or_one_clear_line(members: object, whole: object) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.json"
        for raw in (whole, {"popi_prompt_front": 1, "members": members}):
            path.write_text(json.dumps(raw), encoding="utf-8")
            with pytest.raises(ProgramError, match=r"any\.json: [^\n]+$"):
                load_front(path)


# the command line


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def refused(code: int, says: str, *arguments: object) -> None:
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert says in line


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes = {"fake/g": FakeModel(name="fake/g"), "fake/i": FakeModel(says, name="fake/i")}
    monkeypatch.setattr(door_module, "open_route", lambda route: fakes[route.model])
    path = tmp_path / "users.jsonl"
    popi_prompt.write_users(path, PEOPLE)
    return path


def command(users: Path, output: Path, *more: object) -> Result:
    models = ["--generator", "fake/g", "--inference-model", "fake/i", "--no-cache"]
    few = ["--trials", 40, "--demos", "real", "--yes"]
    return call("optimize", users, "-o", output, *models, *few, *more)


@pytest.mark.slow
def test_optimize_writes_the_front_beside_the_program(users: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    done = command(users, output, "--pareto", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["front"] == str(tmp_path / "out.front.json")
    members = load_front(tmp_path / "out.front.json")
    assert load(output).candidate == members[0].program.candidate
    assert (tmp_path / "out.front.json").stat().st_mode == output.stat().st_mode
    told = command(users, output, "--pareto").stdout
    assert "Wrote 3 programs to choose from" in told
    assert f"popi-prompt show --front {tmp_path / 'out.front.json'}" in told


def test_the_front_is_not_written_over_the_data(users: Path, tmp_path: Path) -> None:
    data = users.rename(tmp_path / "out.front.json")
    before = data.read_bytes()
    done = command(data, tmp_path / "out.json", "--pareto")
    assert done.exit_code == 2, done.output
    assert f"cannot write {str(data)!r}: it is being read" in done.stderr
    assert data.read_bytes() == before
    assert command(data, tmp_path / "out.json", "--trials", 2).exit_code == 0


def test_without_pareto_there_is_no_front(users: Path, tmp_path: Path) -> None:
    done = command(users, tmp_path / "out.json", "--trials", 2, "--json")
    assert done.exit_code == 0, done.output
    assert "front" not in json.loads(done.stdout)
    assert not list(tmp_path.glob("*.front.json"))


def test_a_dry_run_writes_nothing(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    hosted = ["--generator", "openai/gpt-4o-mini", "--inference-model", "openai/gpt-4o-mini"]
    few = ["--trials", 2, "--max-users", 12]
    dry = [*few, "--pareto", "--scorer", "choice", "--dry-run", "--json"]
    done = command(users, tmp_path / "out.json", *hosted, *dry)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["total"]["calls"] > 0
    assert not list(tmp_path.glob("out*"))


def test_another_optimizer_has_one_objective(users: Path, tmp_path: Path) -> None:
    more = ("--pareto", "--optimizer", "mipro")
    result = command(users, tmp_path / "out.json", *more)
    assert result.exit_code == 2
    assert "--pareto is of the optimizer 'popi', and --optimizer is 'mipro'" in result.stderr


def test_the_front_is_shown_as_a_table_and_as_json(front: Path) -> None:
    table = call("show", "--front", front)
    assert table.exit_code == 0, table.output
    for each in ("member", "reward", "-60.250", "+3.50", "12.5", "-70.000", "system: "):
        assert each in table.stdout
    raw = json.loads(call("show", "--front", front, "--json").stdout)
    assert [each["member"] for each in raw["members"]] == [1, 2]
    assert raw["members"][1]["tokens"] == 2.0


def test_one_of_the_front_is_picked(front: Path, tmp_path: Path) -> None:
    output = tmp_path / "picked.json"
    done = call("show", "--front", front, "--pick", 1, "-o", output)
    assert done.exit_code == 0, done.output
    assert "It holds signals of 1 training user" in done.stdout
    assert load(output) == member(SHOWING).program
    shown = call("show", "--front", front, "--pick", 2)
    assert shown.stdout.startswith("instruction ")
    assert json.loads(call("show", "--front", front, "--pick", 2, "--json").stdout) == (
        member().program.as_record()
    )


def test_what_cannot_be_shown_is_one_clear_line(front: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.front.json"
    program = tmp_path / "p.json"
    member().program.save(program)
    refused(1, "none.front.json: no such file", "show", "--front", missing)
    refused(1, "is no front of programs", "show", "--front", program)
    refused(2, "--pick is 3, and", "show", "--front", front, "--pick", 3)
    refused(2, "show takes a program, or --front", "show")
    refused(2, "show takes a program, or --front", "show", program, "--front", front)
    refused(2, "--pick takes one program of a front", "show", program, "--pick", 1)
    refused(2, "-o writes the one program", "show", "--front", front, "-o", tmp_path / "x.json")
    gone = tmp_path / "no" / "x.json"
    refused(2, "cannot write", "show", "--front", front, "--pick", 1, "-o", gone)
    refused(2, "it is being read", "show", "--front", front, "--pick", 1, "-o", front)
