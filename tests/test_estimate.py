"""The estimate of a run: nothing is sent or written, and it is near what the run then uses."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from popi_prompt.cli.main import cli
from popi_prompt.dataset import load_users
from popi_prompt.errors import CacheError
from popi_prompt.estimate import Estimate, RoleEstimate, estimate
from popi_prompt.models import imagined
from popi_prompt.models.access import Access
from popi_prompt.models.cache import AnswerCache, default_path
from popi_prompt.models.cache_reader import CacheReader, open_reader
from popi_prompt.models.cache_schema import make_file
from popi_prompt.models.call import Call
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.dry_model import Speed
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.past import past_speeds
from popi_prompt.models.roles import ROLES
from popi_prompt.models.spent import Caps
from popi_prompt.models.stopwatch import stopwatch, wait, wait_for_all
from popi_prompt.models.trace import Trace
from popi_prompt.prompts import Message, choice_messages
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import FunctionScorer
from popi_prompt.settings import Settings
from popi_prompt.stub_server import StubServer
from popi_prompt.testing import FakeModel
from popi_prompt.workflow import optimize

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
NAME = "openai/gpt-4o-mini"


def as_billed(body: dict[str, Any]) -> dict[str, Any]:
    """A server that bills by LiteLLM's tokenizer and repeats the last summary it is shown."""
    litellm = import_litellm()
    messages = body["messages"]
    shown = [each["content"] for each in messages if each["role"] == "assistant"]
    text = shown[-1] if shown else "Use short plain words and say the main thing first, " * 3
    text = "A" if body.get("logprobs") else text
    sent = litellm.token_counter(model=NAME, messages=messages)
    got = litellm.token_counter(model=NAME, text=text)
    return {"content": text, "usage": {"prompt_tokens": sent, "completion_tokens": got}}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer(reply=as_billed) as server:
        yield server


@pytest.fixture(scope="module")
def users() -> tuple[User, ...]:
    return tuple(load_users(DATA, need_pairs=True))


def settings(stub: StubServer, **changed: Any) -> Settings:
    access = Access({role: RoleConfig(None, {"api_base": stub.api_base}) for role in ROLES})
    hosted = Settings(NAME, NAME, scorer="choice", trials=3, max_users=16, access=access)
    return replace(hosted, **changed)


def near(found: float, used: float) -> bool:
    return 0.8 * used <= found <= 1.2 * used


@pytest.mark.slow
def test_it_is_near_what_the_run_uses_and_sends_nothing(
    stub: StubServer, users: tuple[User, ...]
) -> None:
    expected = estimate(users, settings(stub))
    assert stub.log == []
    spent = optimize(users, settings(stub)).spent
    assert set(expected.roles) == set(spent)
    for role, used in spent.items():
        found = expected.roles[role]
        assert found.calls > 0, role
        assert found.usd is not None
        assert used.usd is not None
        assert found.seconds > 0
    total = expected.total
    assert near(total.calls, sum(used.calls for used in spent.values()))
    assert near(total.tokens_in + total.tokens_out, sum(used.tokens for used in spent.values()))
    assert expected.total.calls == sum(each.calls for each in expected.roles.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mipro", "gepa", "random"])
def test_the_optimizers_of_dspy_are_estimated_too(
    stub: StubServer, users: tuple[User, ...], name: str
) -> None:
    searched = settings(stub, optimizer=name, demos="real")
    fast, slow = (estimate(users, searched, speed=Speed(latency=each)) for each in (1, 2))
    assert stub.log == []
    assert 1.2 < slow.total.seconds / fast.total.seconds <= 2.1
    # A second to each call, some side by side.
    assert fast.total.calls / 64 < fast.total.seconds < fast.total.calls
    used = sum(each.calls for each in optimize(users, searched).spent.values())
    assert used / 2 < fast.total.calls < 2 * used


@pytest.mark.slow
def test_it_is_the_same_every_time(stub: StubServer, users: tuple[User, ...]) -> None:
    """But for the time: which of two workers asks first is up to the threads."""
    one, two = (estimate(users, settings(stub)).roles for _ in range(2))
    assert set(one) == set(two)
    for role, each in one.items():
        assert replace(each, seconds=0, usd=0) == replace(two[role], seconds=0, usd=0)
        assert each.seconds == pytest.approx(two[role].seconds, rel=0.2)


@pytest.mark.slow
def test_what_is_on_disk_is_free_and_the_disk_is_left_alone(
    stub: StubServer, users: tuple[User, ...], own_cache_home: Path
) -> None:
    cached = settings(stub)
    cached = replace(cached, access=replace(cached.access, cache=True))
    first = estimate(users, cached)
    assert first.total.cached == 0
    assert not list(own_cache_home.rglob("*.sqlite"))
    optimize(users, cached)
    sent, before = len(stub.log), default_path().read_bytes()
    again = estimate(users, cached)
    assert again.total.calls == 0
    assert again.total.usd == 0
    assert again.total.cached > 100
    assert len(stub.log) == sent
    assert default_path().read_bytes() == before


@pytest.mark.slow
def test_a_slower_model_takes_longer(stub: StubServer, users: tuple[User, ...]) -> None:
    fast, slow = (estimate(users, settings(stub), speed=Speed(latency=each)) for each in (1, 2))
    assert 1.5 < slow.total.seconds / fast.total.seconds <= 2
    limited = settings(stub)
    section = RoleConfig(None, {"api_base": stub.api_base, "rpm": 1})
    found = estimate(users, replace(limited, access=Access({str(role): section for role in ROLES})))
    assert found.roles["generator"].seconds == 60 * found.roles["generator"].calls


def test_the_latency_of_an_earlier_run_is_taken_from_its_trace(
    stub: StubServer, users: tuple[User, ...], tmp_path: Path
) -> None:
    path = tmp_path / "run.trace.jsonl"
    traced = settings(stub)
    traced = replace(traced, access=replace(traced.access, trace=path))
    assumed = estimate(users, traced)
    assert any("(assumed)" in each for each in assumed.assumptions)
    assert not path.exists()
    trace = Trace(path)
    for tokens_out, seconds in ((1, 2.1), (11, 3.1), (21, 4.1), (1, 2.1), (21, 4.1)):
        trace.write(call(tokens_out, seconds))
    trace.write(replace(call(5, 99.0), cached=True))
    trace.write(replace(call(5, 99.0), error="RateLimited: slow down"))
    trace.close()
    speed = past_speeds(path)[NAME]
    assert speed.latency == pytest.approx(2.0)
    assert speed.tokens_out == pytest.approx(10.0)
    found = estimate(users, traced)
    assert any("2 s and writes 10 tokens" in each for each in found.assumptions)
    assert any("as in the trace" in each for each in found.assumptions)
    assert found.total.seconds > 2 * assumed.total.seconds


@pytest.mark.parametrize("seconds", [[1.0] * 5, [3.0, 2.0, 1.0, 1.0, 1.0]])
def test_a_trace_of_answers_that_tell_nothing_of_tokens_gives_their_mean(
    tmp_path: Path, seconds: list[float]
) -> None:
    trace = Trace(tmp_path / "run.trace.jsonl")
    for i, each in enumerate(seconds):
        trace.write(call(i if len(set(seconds)) > 1 else 4, each))
    trace.close()
    speed = past_speeds(tmp_path / "run.trace.jsonl")[NAME]
    assert speed.seconds(1, 4) == pytest.approx(sum(seconds) / 5)
    assert past_speeds(None) == {}


def test_requests_of_one_call_share_its_time(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "run.trace.jsonl")
    for _ in range(5):
        trace.write(replace(call(2, 3.0), kind="logprobs", requests=2))
    trace.close()
    assert past_speeds(tmp_path / "run.trace.jsonl")[NAME].seconds(1, 1) == pytest.approx(1.5)


def call(tokens_out: int, seconds: float) -> Call:
    """One that was sent, as a trace has it."""
    texts = (Message("user", "What is rain?"),)
    return Call(
        "generator",
        NAME,
        "chat",
        texts,
        "Water.",
        9,
        tokens_out,
        0.1,
        seconds,
        False,
        0,
        None,
        None,
        None,
        0.0,
    )


def test_a_served_model_is_expected_to_score_responses(
    stub: StubServer, users: tuple[User, ...]
) -> None:
    vllm = settings(stub, generator="hosted_vllm/some", scorer=None)
    found = estimate(users, vllm)
    assert stub.log == []
    assert found.roles["generator"].calls > 0
    assert found.roles["generator"].usd is None
    assert found.total.usd is None
    assert list(found.against(Caps(usd=1.0))) == [("usd", None, 1.0)]


def test_an_embedded_model_is_asked_for_its_tokens_alone(users: tuple[User, ...]) -> None:
    model = FakeModel(name="local/fake")
    local = Settings("local/fake", "local/fake", trials=2, max_users=16)
    found = estimate(users, local, open_model=lambda route: model)
    assert model.calls == []
    assert found.total.usd == 0
    assert set(found.roles) == {"generator", "inference", "proposer"}


def test_caps_are_compared_over_all_roles() -> None:
    one = RoleEstimate(6, 30, 10, 0.5, 1.0)
    found = Estimate({"generator": one, "inference": one}, ())
    caps = Caps(usd=0.9, calls=12, tokens=100)
    assert list(found.against(caps)) == [
        ("usd", 1.0, 0.9),
        ("calls", 12, 12),
        ("tokens", 80, 100),
    ]


def test_imagined_odds_name_one_answer_wherever_it_stands() -> None:
    pair = Pair("Why?", "Extraordinarily sophisticated considerations.", "It is so, as we all see.")
    text = "Use precise technical terms."
    first = imagined.odds(choice_messages(text, pair, swapped=False), ("A", "B"))
    second = imagined.odds(choice_messages(text, pair, swapped=True), ("A", "B"))
    assert sum(first) == pytest.approx(1)
    assert (first[0] > 0.5) is (second[1] > 0.5)


def test_imagined_answers_follow_the_nearest_demonstration() -> None:
    turns = (
        Message("system", "Summarize."),
        Message("user", "a bb a bb"),
        Message("assistant", "Be brief."),
        Message("user", "extraordinary considerations"),
        Message("assistant", "Be thorough and exact."),
        Message("user", "unbelievable complications"),
    )
    assert imagined.answer(turns, "", 96, own_words=0.0) == "Be thorough and exact."
    assert sorted(imagined.answer(turns, "", 96, own_words=1.0).split()) == sorted(
        ["Be", "thorough", "and", "exact."]
    )


def test_workers_take_the_next_item_as_they_become_free() -> None:
    with stopwatch() as watch:
        wait(1.0)
        wait_for_all([3.0, 1.0, 1.0, 1.0], workers=2)
        wait_for_all([], workers=2)
    assert watch.seconds == 1.0 + 3.0


def test_a_cache_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(CacheError, match="cannot be read"):
        CacheReader(path)


def test_a_cache_that_a_full_disk_left_unmade_holds_nothing() -> None:
    path = default_path()
    make_file(path)
    for size in (0, 4096):
        assert path.stat().st_size == size
        reader = open_reader()
        assert reader is not None
        assert reader.get("key") is None
        reader.close()
        with closing(sqlite3.connect(path)) as begun:
            begun.execute("PRAGMA journal_mode = WAL")


def test_the_reader_reads_what_was_put_and_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    cache = AnswerCache(path)
    cache.put("key", {"text": "yes"}, users=("u1",))
    cache.close()
    reader = CacheReader(path)
    reader.put("other", {"text": "no"}, users=())
    assert reader.get("key") == {"text": "yes"}
    assert reader.get("other") is None
    reader.close()


def command(stub: StubServer, folder: Path, *more: str) -> Any:
    config = folder / "models.toml"
    config.write_text(
        "".join(
            f'[models.{role}]\nmodel = "{NAME}"\napi_base = "{stub.api_base}"\n' for role in ROLES
        )
    )
    arguments = ["optimize", str(DATA), "-o", str(folder / "out.json"), "--config", str(config)]
    few = ["--trials", "2", "--max-users", "16", "--scorer", "choice", "--dry-run"]
    return CliRunner().invoke(cli, [*arguments, *few, *more])


def test_the_command_prints_a_table_and_whether_it_fits(stub: StubServer, tmp_path: Path) -> None:
    done = command(stub, tmp_path, "--trials", "11", "--max-calls", "5", "--max-usd", "9")
    assert done.exit_code == 0, done.output
    for each in ("generator", "inference", "proposer", "all", "tokens in", "Assumed: "):
        assert each in done.stdout
    assert "calls exceed the cap of 5 calls: the run would end early" in done.stdout
    assert "fit the cap of 9 USD" in done.stdout
    assert stub.log == []
    assert not (tmp_path / "out.json").exists()


def test_the_command_prints_json(stub: StubServer, tmp_path: Path) -> None:
    done = command(stub, tmp_path, "--max-tokens", "10", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["total"]["calls"] == sum(each["calls"] for each in record["roles"].values())
    assert record["caps"][0]["fits"] is False
    assert record["assumptions"]


def test_nothing_to_estimate_for_the_untuned_program(stub: StubServer, tmp_path: Path) -> None:
    done = command(stub, tmp_path, "--untuned")
    assert done.exit_code == 2
    assert "measures nothing; drop --dry-run" in done.stderr


@pytest.mark.parametrize("scorer", ["judge", "similarity"])
def test_scorers_that_let_the_generator_write_are_estimated(
    stub: StubServer, users: tuple[User, ...], scorer: str
) -> None:
    named = settings(stub, scorer=scorer, trials=2, judge="openai/j", embedding_model="openai/e")
    found = estimate(users, named)
    assert stub.log == []
    role = "judge" if scorer == "judge" else "embedding"
    assert set(found.roles) == {"generator", "inference", "proposer", role}
    generator, other = found.roles["generator"], found.roles[role]
    assert generator.tokens_out > 100 * generator.calls  # answers, not names of options
    assert (other.calls > 0, other.tokens_out > 0) == (True, scorer == "judge")


def test_a_function_of_ones_own_is_not_called(stub: StubServer, users: tuple[User, ...]) -> None:
    def never(user: User, pair: Pair, summary: str | None, answer: str) -> float:
        raise AssertionError("it was called")

    own = FunctionScorer("mine:never", never)
    found = estimate(users, settings(stub, scorer=own, trials=2))
    assert stub.log == []
    assert found.roles["generator"].calls > 0
    assert any("the scorer is mine:never" in each for each in found.assumptions)
