"""What a provider refuses: what is sent again, after which wait, and what is said of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiohttp import web

from popi_prompt.errors import ModelError, ModelUnavailable, RateLimited
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.model import Sampling
from popi_prompt.models.transport import RETRIES
from popi_prompt.prompts import Message
from popi_prompt.stub_server import Faults, StubServer

NAME = "openai/stub"
PLAN = "You exceeded your current quota, please check your plan and billing details."
NO_QUOTA = {"message": PLAN, "type": "insufficient_quota", "code": "insufficient_quota"}
# Google says the same of its limits by the minute.
BY_THE_MINUTE = {"message": f"{PLAN} Please retry in 3.5s.", "status": "RESOURCE_EXHAUSTED"}
BUSY = {"message": "overloaded"}

pytestmark = pytest.mark.usefixtures("in_a_hurry")


class Refusing(StubServer):
    """Answers every request with a status, headers and an error of one's own."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: int | None = None):
        super().__init__(faults=Faults(broken=1.0))
        self._status = status
        self._problem = {"error": problem}
        self._headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    def _respond(self, answer: dict[str, Any], fault: str) -> web.Response:
        return web.json_response(self._problem, status=self._status, headers=self._headers)


def error_of(server: StubServer) -> ModelError:
    access = Access({"generator": RoleConfig(None, {"api_base": server.api_base})})
    with access.door({"generator": NAME}) as door, pytest.raises(ModelError) as caught:
        door.chat("generator", (Message("user", "What is rain?"),), Sampling(max_tokens=8))
    return caught.value


def test_a_used_up_quota_is_not_asked_for_again() -> None:
    with Refusing(429, NO_QUOTA) as server:
        error = error_of(server)
    assert len(server.log) == 1
    assert isinstance(error, RateLimited)
    assert "the quota is used up" in str(error)
    assert "retries" not in str(error)


def test_a_limit_by_the_minute_in_the_words_of_a_quota_is_asked_for_again() -> None:
    with Refusing(429, BY_THE_MINUTE) as server:
        error = error_of(server)
    assert len(server.log) == 1 + RETRIES
    assert f"still rate-limited after {RETRIES} retries" in str(error)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 529])
def test_every_status_of_a_broken_server_is_tried_again(status: int) -> None:
    with Refusing(status, BUSY) as server:
        error = error_of(server)
    assert len(server.log) == 1 + RETRIES
    assert isinstance(error, ModelUnavailable)
    assert f"no answer after {RETRIES} retries" in str(error)


@pytest.mark.parametrize(
    ("status", "seconds", "kind", "says"),
    [
        (429, 3600, RateLimited, "rate-limited; the provider asks to wait 3,600 s"),
        (503, 1800, ModelUnavailable, "no answer; the provider asks to wait 1,800 s"),
        (500, 61, ModelUnavailable, "no answer; the provider asks to wait 61 s"),
    ],
)
def test_who_asks_for_more_than_a_minute_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, status: int, seconds: int, kind: type[ModelError], says: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with Refusing(status, BUSY, retry_after=seconds) as server:
        error = error_of(server)
    assert len(server.log) == 1
    assert slept == []
    assert isinstance(error, kind)
    assert says in str(error)


def test_up_to_a_minute_is_waited_for_whatever_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    with Refusing(503, BUSY, retry_after=60) as server:
        error_of(server)
    assert slept == [60.0] * RETRIES
