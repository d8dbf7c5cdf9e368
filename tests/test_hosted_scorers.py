"""Embeddings and verdicts of hosted routes: sent through the door, metered, kept, typed errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from scorer_scene import ADA, FITTING, PAIR, SYSTEM

from popi_prompt.errors import (
    BadResponse,
    BudgetExceeded,
    ModelError,
    ModelUnavailable,
    RateLimited,
)
from popi_prompt.generator import Generator
from popi_prompt.models import transport
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.door import Door
from popi_prompt.models.spent import Caps, Spent
from popi_prompt.models.trace import read_trace
from popi_prompt.prompts import Message
from popi_prompt.scorers import make_scorer
from popi_prompt.stub_server import Faults, StubServer

NAMES = {"generator": "openai/stub", "judge": "openai/judge", "embedding": "openai/embed"}


pytestmark = pytest.mark.usefixtures("in_a_hurry")


def access(server: StubServer, *, settings: Mapping[str, Any] = {}, **kept: Any) -> Access:
    section = RoleConfig(None, {"api_base": server.api_base, **settings})
    return Access(dict.fromkeys(NAMES, section), **kept)


def door_to(server: StubServer, **settings: Any) -> Door:
    return access(server, settings=settings).door(NAMES)


def test_an_embedding_is_one_request_with_its_bill(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "my-own-secret-key")
    settings = {
        "price_in": 1.0,
        "price_out": 2.0,
        "api_key_env": "MY_API_KEY",
        "headers": (("X-Team", "taste"),),
    }
    with door_to(stub, **settings) as door:
        vector = door.embedding("embedding", "one two three")
        assert door.embedding("embedding", "one two three") == vector
        assert door.embedding("embedding", "four") != vector
    assert len(vector) == 16
    assert sum(vector) == 3
    assert door.spent() == {"embedding": Spent(2, 4, 0, 4e-6)}
    sent = stub.log[0]
    assert sent.path == "/v1/embeddings"
    assert (sent.body["model"], sent.body["input"]) == ("embed", ["one two three"])
    assert sent.headers["authorization"] == "Bearer my-own-secret-key"
    assert sent.headers["x-team"] == "taste"


def test_an_embedding_is_kept_on_disk(stub: StubServer) -> None:
    vectors = []
    for _ in range(2):
        with access(stub, cache=True).door(NAMES) as door:
            vectors.append(door.embedding("embedding", "one two three"))
    assert vectors[0] == vectors[1]
    assert len(stub.log) == 1


def test_an_embedding_is_capped(stub: StubServer) -> None:
    for caps in (Caps(calls=1), Caps(tokens=60), Caps(usd=60e-6)):
        priced = {"price_in": 1.0, "price_out": 1.0}
        with access(stub, settings=priced, caps=caps).door(NAMES) as door:
            door.embedding("embedding", "one two three")
            with pytest.raises(BudgetExceeded, match="embedding"):
                door.embedding("embedding", "four " * 60)
    assert len(stub.log) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limited", RateLimited),
        ("broken", ModelUnavailable),
        ("cut_off", ModelUnavailable),
        ("empty", BadResponse),
    ],
)
def test_an_embedding_that_fails_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch, fault: str, error: type[ModelError]
) -> None:
    monkeypatch.setattr(transport, "RETRIES", 2)
    shares: dict[str, Any] = {fault: 1.0}
    with (
        StubServer(faults=Faults(**shares)) as server,
        door_to(server) as door,
        pytest.raises(error, match="embedding, model 'openai/embed'"),
    ):
        door.embedding("embedding", "one two three")
    assert len(server.log) == (1 if fault == "empty" else 3)


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [None]])
def test_what_is_no_vector_is_a_bad_response(vector: Any) -> None:
    with (
        StubServer(reply={"embedding": vector}) as server,
        door_to(server) as door,
        pytest.raises(BadResponse, match="the embedding is empty, zero"),
    ):
        door.embedding("embedding", "one two three")


@pytest.mark.parametrize("text", [True, False])
def test_the_trace_holds_no_vector(stub: StubServer, tmp_path: Path, text: bool) -> None:
    path = tmp_path / "trace.jsonl"
    with access(stub, trace=path, trace_text=text).door(NAMES) as door:
        door.embedding("embedding", "one two three")
    (call,) = read_trace(path)
    assert (call.role, call.kind, call.tokens_in, call.tokens_out) == ("embedding", *_KIND)
    assert call.answer == ("16 numbers" if text else "<10 characters>")
    assert call.messages == (Message("user", "one two three" if text else "<13 characters>"),)


_KIND = ("embedding", 3, 0)


def test_similarity_on_a_hosted_route_costs_two_answers_and_four_embeddings(
    stub: StubServer,
) -> None:
    with door_to(stub) as door:
        scorer = make_scorer("similarity", door)
        score = scorer.score(Generator(door, SYSTEM), ADA, PAIR, FITTING)
    assert -4 <= score.margin <= 4
    assert (door.spent()["generator"].calls, door.spent()["embedding"].calls) == (2, 4)


def verdict(server: StubServer) -> Any:
    with door_to(server) as door:
        scorer = make_scorer("judge", door)
        return scorer.score(Generator(door, SYSTEM), ADA, PAIR, FITTING)


def judging(content: str, **more: Any) -> StubServer:
    """The judge says this; the generator whatever the request brings."""
    return StubServer(
        reply=lambda body: {"content": content, **more} if body["model"] == "judge" else {}
    )


def test_a_verdict_is_soft_where_the_route_gives_top_log_probabilities() -> None:
    top = [{"token": "A", "logprob": -0.5, "bytes": None}]
    top += [{"token": " C", "logprob": -1.5, "bytes": None}]
    first = {**top[0], "top_logprobs": top}
    with judging("A", logprobs={"content": [first]}) as server:
        score = verdict(server)
    assert score.prefers == pytest.approx(0.5)
    asked = [each.body for each in server.log if each.body["model"] == "judge"]
    assert [each["top_logprobs"] for each in asked] == [5, 5]


@pytest.mark.parametrize(
    ("says", "prefers"), [("A", 0.5), ("B", 0.5), ("C", 0.5), ("I would say B.", 0.5)]
)
def test_a_verdict_is_hard_elsewhere(says: str, prefers: float) -> None:
    with judging(says, logprobs=None) as server:
        assert verdict(server).prefers == prefers


def test_a_server_that_refuses_log_probabilities_is_asked_without_them() -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        if "logprobs" in body:
            raise web.HTTPBadRequest(text='{"error": {"message": "logprobs is not supported"}}')
        told = "Answer A: told" in body["messages"][0]["content"]
        if body["model"] == "judge":
            return {"content": "A" if told else "B"}
        return {"content": "told" if len(body["messages"]) > 1 else "bare"}

    with StubServer(reply=reply) as server:
        score = verdict(server)
    assert score.prefers == 1


@pytest.mark.parametrize("says", ["Well, both.", "A or B", "a"])
def test_a_verdict_that_names_none_or_several_is_a_bad_response(says: str) -> None:
    with (
        judging(says, logprobs=None) as server,
        pytest.raises(BadResponse, match=r"judge, model 'openai/judge': .* does not name one of A"),
    ):
        verdict(server)
