"""A budget too small for a five-point gain is said so before it is spent, and is so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from learnable_tastes import LEARNERS, learning_door
from own_search import OneTry
from toy_tastes import person

from popi_prompt.budget import few_users, shortfalls
from popi_prompt.cli.main import cli
from popi_prompt.dataset import load_users
from popi_prompt.estimate import estimate
from popi_prompt.events import Event, Noted, TrialFinished
from popi_prompt.guard import Guard, make_guard
from popi_prompt.models.access import Access
from popi_prompt.models.cache import default_path
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.door import Door
from popi_prompt.models.roles import ROLES
from popi_prompt.models.spent import Caps, Spent, total
from popi_prompt.optimized import Optimized
from popi_prompt.power import fewest_users, smallest_gain, users_needed
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import FunctionScorer
from popi_prompt.settings import Settings
from popi_prompt.split import Split, split_users
from popi_prompt.stub_server import StubServer
from popi_prompt.testing import fake_door
from popi_prompt.workflow import optimize

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
NAME = "openai/gpt-4o-mini"
CAP = "ends the search before a first candidate is compared with the untuned program"
FEW = "held-out users are too few"


def answers(body: dict[str, Any]) -> dict[str, Any]:
    """A server that repeats the last summary it is shown, and likes the first answer."""
    shown = [each["content"] for each in body["messages"] if each["role"] == "assistant"]
    text = shown[-1] if shown else "Use short plain words and say the main thing first, " * 3
    words = sum(len(each["content"].split()) for each in body["messages"])
    used = {"prompt_tokens": words * 4 // 3, "completion_tokens": len(text.split()) * 4 // 3}
    return {"content": "A" if body.get("logprobs") else text, "usage": used}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with StubServer(reply=answers) as server:
        yield server


@pytest.fixture(scope="module")
def users() -> tuple[User, ...]:
    return tuple(load_users(DATA, need_pairs=True))


def settings(stub: StubServer, caps: Caps | None = None, **changed: Any) -> Settings:
    section = RoleConfig(None, {"api_base": stub.api_base})
    access = Access(dict.fromkeys(ROLES, section), caps=caps or Caps())
    hosted = Settings(NAME, NAME, scorer="choice", trials=2, max_users=12, access=access)
    return replace(hosted, **changed)


class Run:
    """A run: what it noted, what the stub had got by then, and after each trial."""

    def __init__(self, stub: StubServer, users: tuple[User, ...], told: Settings):
        self.noted: list[str] = []
        self.sent: list[int] = []
        self.calls: list[int] = []
        self._stub = stub
        stub.log.clear()
        self.done: Optimized = optimize(users, told, observer=self._see)

    def _see(self, event: Event) -> None:
        if isinstance(event, Noted) and (CAP in event.text or FEW in event.text):
            self.noted.append(event.text)
            self.sent.append(len(self._stub.log))
        elif isinstance(event, TrialFinished):
            self.calls.append(len(self._stub.log))

    @property
    def of_caps(self) -> list[str]:
        return [each for each in self.noted if CAP in each]

    @property
    def trials(self) -> int:
        return len(self.calls)


def first_comparison(users: tuple[User, ...], told: Settings, through: Door) -> Spent:
    """What a run without caps has used when two candidates were tried."""
    found: list[Spent] = []

    def see(event: Event) -> None:
        if isinstance(event, TrialFinished):
            found.append(total(through.spent().values()))

    optimize(users, told, observer=see, door=through)
    return found[1]


@pytest.mark.slow
def test_who_is_told_gets_to_no_comparison_and_who_is_not_does(
    stub: StubServer, users: tuple[User, ...]
) -> None:
    (text,) = Run(stub, users, settings(stub, Caps(calls=9))).of_caps
    assert text.startswith(f"the cap of 9 calls {CAP}: that takes about ")
    needed = int(text.rpartition("about ")[2].removesuffix(" calls").replace(",", ""))
    half, twice = (
        Run(stub, users, settings(stub, Caps(calls=cap))) for cap in (needed // 2, 2 * needed)
    )
    assert len(half.of_caps) == 1
    assert half.trials < 2
    assert half.done.stopped is not None
    assert twice.of_caps == []
    assert twice.trials >= 2
    assert 0.75 * twice.calls[1] <= needed <= 1.33 * twice.calls[1]
    assert {*half.sent, *twice.sent} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["popi", "pareto", "random", "mipro"])
@pytest.mark.parametrize("cap", ["calls", "tokens"])
def test_it_is_so_for_other_optimizers_and_caps(optimizer: str, cap: str) -> None:
    free = Settings(optimizer=optimizer, trials=5, demos="real")
    needed = getattr(first_comparison(LEARNERS, free, learning_door()), cap)
    for amount, enough in ((needed // 10, False), (needed // 3, False), (3 * needed, True)):
        events: list[Event] = []
        capped = learning_door(caps=Caps(**{cap: amount}))
        done = optimize(LEARNERS, free, observer=events.append, door=capped)
        told = any(isinstance(each, Noted) and CAP in each.text for each in events)
        trials = sum(isinstance(each, TrialFinished) for each in events)
        assert told is not enough, amount
        assert (trials >= 2) is enough
        assert done.stopped is not None or enough


def test_without_caps_nothing_is_said_of_them() -> None:
    events: list[Event] = []
    free = Settings(trials=2, demos="real")
    optimize(LEARNERS, free, observer=events.append, door=learning_door())
    noted = [each.text for each in events if isinstance(each, Noted)]
    assert not any(CAP in text for text in noted)
    assert sum(FEW in text for text in noted) == 1


@pytest.mark.slow
def test_what_is_on_disk_needs_no_cap(stub: StubServer, users: tuple[User, ...]) -> None:
    def cached(caps: Caps) -> Settings:
        told = settings(stub, caps)
        return replace(told, access=replace(told.access, cache=True))

    assert Run(stub, users, cached(Caps(calls=20))).of_caps
    optimize(users, cached(Caps(calls=1000)))
    run = Run(stub, users, cached(Caps(calls=20)))
    assert run.of_caps == []
    assert run.done.stopped is None


@pytest.mark.parametrize("content", [b"", b"not a database, " * 100])
def test_a_cache_that_cannot_be_read_counts_as_none(content: bytes) -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_bytes(content)
    split = split_users(LEARNERS, seed=0)
    cached = Settings(access=Access(cache=True), trials=2, demos="real")
    guard = make_guard("real", LEARNERS, split)
    found = shortfalls(split, cached, guard, learning_door(caps=Caps(calls=1)))
    assert any(CAP in text for text in found)


def test_nothing_of_ones_own_is_run_unasked() -> None:
    """Neither a function that scores nor an optimizer."""

    def never(user: User, pair: Pair, summary: str | None, answer: str) -> float:
        raise AssertionError("it was called")

    class Mine(OneTry):
        def run(self, task: Any) -> Any:
            raise AssertionError("it was run")

    people = tuple(person(i) for i in range(24))
    split = split_users(people, seed=0)
    capped = fake_door(caps=Caps(calls=1))
    own = Settings(scorer=FunctionScorer("mine:never", never), optimizer=Mine())
    assert not any(CAP in text for text in shortfalls(split, own, Guard(), capped))
    scored = replace(own, optimizer="popi")
    guard = make_guard("real", people, split)
    assert any(CAP in text for text in shortfalls(split, scored, guard, capped))
    assert total(capped.spent().values()).calls == 0


# held-out users


def held_out(count: int, pairs: int = 1) -> Split:
    def one(i: int) -> User:
        return replace(person(i), pairs=tuple(Pair(f"{i} {k}", "a", "b") for k in range(pairs)))

    return Split((), (), tuple(one(i) for i in range(count)))


def test_held_out_users_that_could_show_five_points_are_not_mentioned() -> None:
    assert list(few_users(held_out(152), Settings())) == []
    assert list(few_users(held_out(73, pairs=2), Settings())) == []


def test_too_few_are_told_what_they_can_show() -> None:
    (text,) = few_users(held_out(28), Settings())
    assert text.startswith(
        "28 held-out users are too few to show a gain of 5 points of reward accuracy: that takes "
        "152, and 28 show 24 points or more"
    )
    assert "80% power where nobody loses by it" in text
    (text,) = few_users(held_out(152), Settings(held_out=20))
    assert text.startswith("20 held-out users")
    (text,) = few_users(held_out(151), Settings())
    assert "151 show 6 points or more" in text


def test_a_sure_gain_of_five_points_takes_152_users_of_one_pair() -> None:
    assert fewest_users(0.05, 1.0) == 152
    assert fewest_users(0.05, 0.05) == users_needed(0.0)


@given(st.integers(4, 3000), st.sampled_from([1.0, 0.5, 0.25, 0.1]))
def test_the_smallest_gain_is_the_one_that_so_many_users_show(users: int, step: float) -> None:
    gain = smallest_gain(users, step)
    assert 0 < gain <= step
    assert fewest_users(gain * 1.000001, step) <= users
    if users > 5:
        assert fewest_users(gain * 0.95, step) >= users


# the dry run


def test_the_estimate_says_the_same(stub: StubServer, users: tuple[User, ...]) -> None:
    capped = settings(stub, Caps(calls=9, tokens=10**9))
    found = estimate(users, capped)
    assert found.shortfalls == tuple(Run(stub, users, capped).noted)
    assert len(found.shortfalls) == 2
    assert estimate(users, settings(stub)).shortfalls == found.shortfalls[1:]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_says_it_on_a_dry_run(
    stub: StubServer, users: tuple[User, ...], tmp_path: Path, as_json: bool
) -> None:
    hosted = ["--generator", NAME, "--inference-model", NAME, "--scorer", "choice"]
    few = ["--trials", "2", "--max-users", "12", "--max-calls", "9", "--dry-run"]
    more = ["--json"] if as_json else []
    arguments = ["optimize", str(DATA), "-o", str(tmp_path / "x.json"), *hosted, *few, *more]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    if as_json:
        first, second = json.loads(done.stdout)["shortfalls"]
    else:
        first, second = (
            line for line in done.stdout.splitlines() if line.startswith("Too small: ")
        )
    assert CAP in first
    assert FEW in second
