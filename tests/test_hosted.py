"""Hosted routes through the door, against a server that is slow and breaks as told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from popi_prompt.errors import (
    AuthenticationError,
    BadResponse,
    BudgetExceeded,
    ModelError,
    ModelUnavailable,
    RateLimited,
    UsageError,
)
from popi_prompt.evaluation import Metric, Outcome, evaluate, in_parallel
from popi_prompt.generator import Generator
from popi_prompt.models import transport
from popi_prompt.models.access import Access
from popi_prompt.models.attribution import attributed
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.door import Door
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.meter import Account, Meter, paying
from popi_prompt.models.model import Sampling
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps, Spent
from popi_prompt.models.trace import read_trace
from popi_prompt.prompts import Conditioning, Message, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import Pair, Persona, User
from popi_prompt.scorers import ChoiceScorer, make_scorer
from popi_prompt.stub_server import Faults, Logged, StubServer

NAME = "openai/stub"
SHORT = Sampling(max_tokens=32)


pytestmark = pytest.mark.usefixtures("in_a_hurry")


def access(server: StubServer, **settings: Any) -> Access:
    return Access({"generator": RoleConfig(None, {"api_base": server.api_base, **settings})})


def door_to(server: StubServer, **settings: Any) -> Door:
    return access(server, **settings).door({"generator": NAME})


def asking(text: str = "What is rain?") -> Messages:
    return (Message("user", text),)


def people(count: int) -> list[User]:
    return [
        User(f"u{i}", (Persona(f"Number {i}."),), (Pair(f"What is {i}?", f"{i}.", f"No {i}."),))
        for i in range(count)
    ]


def test_an_answer_and_its_bill(stub: StubServer) -> None:
    with door_to(stub, price_in=1.0, price_out=2.0) as door:
        answer = door.chat("generator", asking("one two three"), SHORT)
    assert answer.finish == "stop"
    assert (answer.tokens_in, answer.tokens_out) == (3, 8)
    assert door.spent() == {"generator": Spent(1, 3, 8, 19e-6)}
    assert stub.log[0].body["max_tokens"] == 32


def test_a_routes_settings_are_what_is_sent(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "my-own-secret-key")
    settings = {
        "temperature": 0.5,
        "max_tokens": 9,
        "headers": (("X-Team", "taste"),),
        "api_key_env": "MY_API_KEY",
    }
    with door_to(stub, **settings) as door:
        door.chat("generator", asking(), SHORT)
    sent = stub.log[0]
    assert (sent.body["temperature"], sent.body["max_tokens"]) == (0.5, 9)
    assert sent.headers["x-team"] == "taste"
    assert sent.headers["authorization"] == "Bearer my-own-secret-key"


def test_keys_are_asked_for_by_the_variables_name(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="export MY_API_KEY first"):
        door_to(stub, api_key_env="MY_API_KEY").chat("generator", asking(), SHORT)
    monkeypatch.setenv("PLAIN", "something-long-enough")
    with pytest.raises(UsageError, match="a name that ends in _KEY"):
        door_to(stub, api_key_env="PLAIN").chat("generator", asking(), SHORT)


@pytest.mark.parametrize(
    ("fault", "error", "says", "unconfirmed"),
    [
        ("rate_limited", RateLimited, "after 2 retries", 0),
        ("broken", ModelUnavailable, "after 2 retries", 3),
        ("cut_off", ModelUnavailable, "after 2 retries", 3),
        ("hangs", ModelUnavailable, "after 2 retries", 3),
    ],
)
def test_every_attempt_is_sent_once_and_counted(
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    error: type[ModelError],
    says: str,
    unconfirmed: int,
) -> None:
    monkeypatch.setattr(transport, "RETRIES", 2)
    shares: dict[str, Any] = {fault: 1.0}
    with StubServer(faults=Faults(**shares)) as server:
        door = door_to(server, timeout=0.3)
        with pytest.raises(error, match=says) as caught, attributed(user_id="u7"):
            door.chat("generator", asking(), SHORT)
    assert (caught.value.role, caught.value.model) == ("generator", NAME)
    assert caught.value.user_id == "u7"
    assert [entry.fault for entry in server.log] == [fault] * 3
    assert door.spent() == {"generator": Spent(calls=3, unconfirmed=unconfirmed)}


@pytest.mark.parametrize("fault", ["rate_limited", "broken"])
def test_no_library_below_sends_an_attempt_of_its_own(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """LiteLLM retries by `num_retries`; for text completions OpenAI's client does by itself."""
    monkeypatch.setattr(transport, "RETRIES", 1)
    shares: dict[str, Any] = {fault: 1.0, "retry_after": 0.01}
    with StubServer(faults=Faults(**shares)) as server:
        sender = transport.Transport(Route(NAME, api_base=server.api_base))
        payer = Account(Meter(), "generator")
        with pytest.raises(ModelError), paying(payer):
            sender.chat([{"role": "user", "content": "What is rain?"}], 8)
        with pytest.raises(ModelError), paying(payer):
            sender.complete(["Rain is"], 1)
    assert [entry.path for entry in server.log] == [
        *["/v1/chat/completions"] * 2,
        *["/v1/completions"] * 2,
    ]
    assert payer.spent.calls == len(server.log)


def test_a_server_of_ones_own_needs_no_key(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with door_to(stub) as door:
        assert door.chat("generator", asking(), SHORT).finish == "stop"
    assert stub.log[0].headers["authorization"] == "Bearer none"


def test_the_key_that_litellm_finds_is_sent_in_place_of_the_placeholder(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-my-gateway")
    with door_to(stub) as door:
        door.chat("generator", asking(), SHORT)
    assert stub.log[0].headers["authorization"] == "Bearer for-my-gateway"


@pytest.mark.parametrize("api_base", [None, "https://api.openai.com/v1"])
def test_without_a_key_nothing_is_sent_to_the_provider(
    monkeypatch: pytest.MonkeyPatch, api_base: str | None
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    config = Access({"generator": RoleConfig(None, {"api_base": api_base})})
    with config.door({"generator": NAME}) as door:
        with pytest.raises(AuthenticationError, match="no key is set; export it first"):
            door.chat("generator", asking(), SHORT)
        assert door.spent() == {"generator": Spent(calls=1)}


@pytest.mark.parametrize(
    ("faults", "reply", "says"),
    [
        (Faults(empty=1.0), {}, "the answer is empty"),
        (Faults(), {"refusal": "I cannot."}, "the model refused: I cannot."),
        (Faults(), {"finish_reason": "content_filter"}, "content filter stopped"),
        (Faults(), {"finish_reason": "length"}, "cut off at 32 tokens; set max_tokens under"),
    ],
)
def test_what_is_no_answer_is_a_failure_and_is_not_asked_again(
    faults: Faults, reply: dict[str, str], says: str
) -> None:
    with StubServer(faults=faults, reply=reply) as server:
        with pytest.raises(BadResponse, match=says):
            door_to(server).chat("generator", asking(), SHORT)
        assert len(server.log) == 1


def test_a_cut_off_answer_is_text_to_those_who_say_so(stub: StubServer) -> None:
    with door_to(stub) as door:
        answer = door.chat("generator", asking(), Sampling(max_tokens=3), cut_off_ok=True)
    assert (answer.finish, len(answer.text.split())) == ("length", 3)


def test_a_wait_that_the_provider_asks_for_is_kept_or_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StubServer(faults=Faults(rate_limited=1.0, retry_after=3600)) as server:
        with pytest.raises(RateLimited):
            door_to(server).chat("generator", asking(), SHORT)
        assert len(server.log) == 1
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    asks = StubServer(faults=Faults(rate_limited=1.0, retry_after=7))
    with asks as server, pytest.raises(RateLimited):
        door_to(server).chat("generator", asking(), SHORT)
    assert waited == [7.0] * transport.RETRIES


def test_no_more_requests_at_once_than_the_route_allows() -> None:
    with StubServer(latency=0.02) as server:
        door = door_to(server, concurrency=3)
        in_parallel(lambda i: door.chat("generator", asking(f"{i}"), SHORT), range(12), 12)
    assert server.most_at_once == 3


def test_a_second_run_sends_nothing_and_another_place_everything() -> None:
    users = people(4)

    def run(server: StubServer) -> list[float]:
        with replace(access(server), cache=True).door({"generator": NAME}) as door:
            generator = Generator(door, Conditioning("system"))
            metric = Metric(generator, make_scorer(None, door), PopiReward())
            results = evaluate(users, lambda user: "Be brief.", metric)
            door.chat("generator", asking(), Sampling(32, temperature=1.0, sample=1))
        return [result.reward for result in results if isinstance(result, Outcome)]

    with StubServer() as one, StubServer() as other:
        first = run(one)
        sent = len(one.log)
        assert sent > 4 * len(users)
        assert run(one) == first
        assert len(one.log) == sent
        run(other)
        assert len(other.log) == sent


def test_samples_of_one_request_are_kept_apart_above_temperature_0_only(stub: StubServer) -> None:
    for temperature, requests in ((1.0, 2), (0.0, 1)):
        before = len(stub.log)
        for sample in (0, 1):
            with replace(access(stub), cache=True).door({"generator": NAME}) as door:
                door.chat("generator", asking(), Sampling(32, temperature, sample=sample))
        assert len(stub.log) - before == requests


def test_log_meter_and_trace_agree_call_by_call_when_everything_breaks(tmp_path: Path) -> None:
    faults = Faults(0.1, 0.05, 0.03, 0.02, 0.02, retry_after=0.01)
    users = people(25)
    path = tmp_path / "run.trace.jsonl"
    with StubServer(faults=faults) as server:
        with replace(access(server, timeout=0.5), trace=path).door({"generator": NAME}) as door:
            generator = Generator(door, Conditioning("system"))
            metric = Metric(generator, ChoiceScorer(), PopiReward())
            results = evaluate(users, lambda user: "Be brief.", metric)
        spent = door.spent()["generator"]
    assert len(results) == len(users)
    assert len({entry.fault for entry in server.log}) > 3
    calls = list(read_trace(path))
    told = Counter[str]()
    for call in calls:
        messages = [{"role": m.role, "content": m.content} for m in call.messages]
        told[str(messages)] += 1 + call.retries
        assert call.user_id in {user.user_id for user in users}
    assert told == Counter(str(entry.body["messages"]) for entry in server.log)
    assert spent.calls == len(server.log)
    confirmed = [entry for entry in server.log if entry.fault in ("none", "empty")]
    assert spent.tokens_in == sum(entry.tokens_in for entry in confirmed)
    assert spent.tokens_out == sum(entry.tokens_out for entry in confirmed)


@pytest.mark.parametrize("cap", [0, 1, 7, 20])
def test_a_cap_of_calls_is_never_exceeded(cap: int) -> None:
    faults = Faults(rate_limited=0.1, broken=0.1, retry_after=0.01)
    with StubServer(latency=0.005, faults=faults) as server:
        capped = replace(access(server, concurrency=8), caps=Caps(calls=cap))
        stopped = sends(capped, 40)
    assert len(server.log) == cap
    assert stopped


@pytest.mark.parametrize("usd", [0.0, 0.0004, 0.002])
def test_a_cap_in_usd_is_never_exceeded(usd: float) -> None:
    with StubServer(latency=0.005, faults=Faults(broken=0.1)) as server:
        priced = access(server, concurrency=8, price_in=10.0, price_out=30.0)
        stopped = sends(replace(priced, caps=Caps(usd=usd)), 40)
    billed = sum(entry.tokens_in * 10 + entry.tokens_out * 30 for entry in server.log) / 1e6
    assert billed <= usd
    assert stopped


def test_who_waits_for_a_turn_at_the_cap_in_minutes_is_not_sent() -> None:
    seconds = [0.0]
    meter = Meter(Caps(minutes=1), clock=lambda: seconds[0])
    with StubServer() as server:
        once_a_minute = replace(access(server, rpm=1), meter=meter)
        with once_a_minute.door({"generator": NAME}) as door:
            door.chat("generator", asking("now"), SHORT)
            seconds[0] = 59.95
            with pytest.raises(BudgetExceeded, match="1 minutes is reached: a request that waited"):
                door.chat("generator", asking("too late"), SHORT)
    assert len(server.log) == 1
    assert meter.spent()["generator"].calls == 1


def test_no_wait_between_attempts_goes_past_the_cap_in_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = [0.0]

    def sleep(wait: float) -> None:
        seconds[0] += wait

    monkeypatch.setattr(time, "sleep", sleep)
    meter = Meter(Caps(minutes=0.5), clock=lambda: seconds[0])
    faults = Faults(rate_limited=1.0, retry_after=20.0)
    with (
        StubServer(faults=faults) as server,
        replace(access(server), meter=meter).door({"generator": NAME}) as door,
        pytest.raises(BudgetExceeded, match=r"0\.5 minutes is reached"),
    ):
        door.chat("generator", asking(), SHORT)
    assert len(server.log) == 2
    assert seconds[0] == 30


def sends(capped: Access, count: int) -> bool:
    """Whether it was stopped at the cap."""
    stopped = threading.Event()
    with capped.door({"generator": NAME}) as door:

        def ask(number: int) -> None:
            try:
                door.chat("generator", asking(f"What is {number}?"), Sampling(max_tokens=16))
            except BudgetExceeded as error:
                assert (error.role, error.model) == ("generator", NAME)
                stopped.set()
            except ModelError:
                pass

        in_parallel(ask, range(count), 8)
    return stopped.is_set()


def test_a_cap_in_usd_without_a_price_is_refused_before_anything_is_sent(stub: StubServer) -> None:
    with pytest.raises(UsageError, match=r"price_in and price_out .* under \[models.generator\]"):
        replace(access(stub), caps=Caps(usd=1.0)).door({"generator": NAME})
    assert stub.log == []


def test_a_price_that_litellm_knows_is_used() -> None:
    with StubServer() as server:
        config = {"generator": RoleConfig(None, {"api_base": server.api_base})}
        with Access(config, caps=Caps(usd=1.0)).door({"generator": "openai/gpt-4o-mini"}) as door:
            door.chat("generator", asking(), SHORT)
    usd = door.spent()["generator"].usd
    assert usd is not None
    assert 0 < usd < 1e-4


def test_the_default_scorer_follows_from_the_probe_and_the_probe_is_metered(
    stub: StubServer,
) -> None:
    with door_to(stub) as door:
        assert make_scorer(None, door).name == "choice"
        assert "top log-probs" in door.capability("generator").reason
        with pytest.raises(UsageError, match="top log-probs"):
            make_scorer("likelihood", door)
    assert door.spent()["generator"].calls == len(stub.log) > 0


def odds_of(server: StubServer, path: Path, count: int) -> list[tuple[int, int]]:
    """Requests and retries of so many questions, as the trace has them."""
    with replace(access(server), trace=path).door({"generator": NAME}) as door:
        for number in range(count):
            door.option_odds("generator", asking(f"Is {number} A or B?"), ("A", "B"))
    return [(call.requests, call.retries) for call in read_trace(path)]


def test_a_route_without_log_probabilities_is_asked_for_them_once(tmp_path: Path) -> None:
    with StubServer(reply={"logprobs": None, "content": "A"}) as server:
        sent = odds_of(server, tmp_path / "run.trace.jsonl", 3)
    assert len(server.log) == 4
    assert sent == [(2, 0), (1, 0), (1, 0)]


def test_a_route_that_refuses_log_probabilities_is_asked_for_them_once(tmp_path: Path) -> None:
    class Strict(StubServer):
        async def _chat(self, request: web.Request) -> web.StreamResponse:
            if b"top_logprobs" not in await request.read():
                return await super()._chat(request)
            self.refused += 1
            problem = {"error": {"message": "top_logprobs is not supported"}}
            return web.json_response(problem, status=400)

        refused = 0

    strict = Strict(reply={"content": "A"})
    with strict as server:
        sent = odds_of(server, tmp_path / "run.trace.jsonl", 3)
    assert (strict.refused, len(strict.log)) == (1, 3)
    assert sent == [(2, 0), (1, 0), (1, 0)]


def test_a_route_that_gave_log_probabilities_is_asked_again_after_an_answer_without(
    tmp_path: Path,
) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        bare = "Is 1 " in body["messages"][0]["content"]
        return {"content": "A", **({"logprobs": None} if bare else {})}

    with StubServer(reply=reply) as server:
        sent = odds_of(server, tmp_path / "run.trace.jsonl", 3)
    assert sent == [(1, 0), (2, 0), (1, 0)]
    assert ["logprobs" in entry.body for entry in server.log] == [True, True, False, True]


def test_retries_are_attempts_after_one_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "run.trace.jsonl"
    with (
        StubServer(faults=Faults(broken=0.2)) as server,
        replace(access(server), trace=path).door({"generator": NAME}) as door,
    ):
        door.capability("generator")
        for number in range(10):
            door.chat("generator", asking(f"What is {number}?"), SHORT)
    probe, *chats = read_trace(path)
    assert sum(call.requests for call in (probe, *chats)) == len(server.log)
    assert probe.requests - probe.retries == len({str(entry.body) for entry in probes(server)}) > 1
    assert [call.requests - call.retries for call in chats] == [1] * 10
    assert sum(call.retries for call in chats) > 0


def probes(server: StubServer) -> list[Logged]:
    return [entry for entry in server.log if "What is" not in str(entry.body)]


def test_in_flight_requests_are_shared(stub: StubServer) -> None:
    with door_to(stub) as door:
        in_parallel(lambda _: door.chat("generator", asking(), SHORT), range(8), 8)
    assert len(stub.log) == 1


def test_a_callback_of_litellm_hears_every_call(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    litellm = import_litellm()
    heard = threading.Event()

    async def hear(*told: object) -> None:
        heard.set()

    monkeypatch.setattr(litellm, "success_callback", [hear])
    monkeypatch.setattr(litellm, "_async_success_callback", [hear])
    with door_to(stub) as door:
        door.chat("generator", asking(), SHORT)
    assert heard.wait(10)
