"""The probe: what a route gives, why, and which faults are no answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from toy_server import MESSAGES, TEMPLATE, ToyServer, expected

from popi_prompt.errors import (
    AuthenticationError,
    BadResponse,
    ModelError,
    ModelUnavailable,
    RateLimited,
    UnknownModel,
    UsageError,
)
from popi_prompt.models.capability import EMBEDDED, Capability, probe
from popi_prompt.models.response_logprobs import score_with_prompt_logprobs
from popi_prompt.models.route import Route
from popi_prompt.models.transport import Transport
from popi_prompt.prompts import Message

HERE = "http://127.0.0.1:1/v1"
OWN = Route("openai/toy", api_base=HERE)
HOSTED = Route("anthropic/claude")
REFUSED = BadResponse("the provider refused the request (unknown argument)")


class Sender:
    """Answers each endpoint by a function or with an error; keeps what was asked for."""

    def __init__(
        self,
        complete: Callable[..., Any] | ModelError = REFUSED,
        chat: Callable[..., Any] | ModelError = REFUSED,
        top: Any = REFUSED,
    ):
        self._complete, self._chat, self._top = complete, chat, top
        self.asked: list[str] = []

    def complete(self, prompts: list[str], max_tokens: int, **parameters: Any) -> Any:
        return self._answer("echo", self._complete, prompts, max_tokens, **parameters)

    def chat(self, messages: list[dict[str, str]], max_tokens: int, **parameters: Any) -> Any:
        if "extra_body" in parameters:
            return self._answer("chat", self._chat, messages, max_tokens, **parameters)
        return self._answer("top", self._top, messages, max_tokens, **parameters)

    def _answer(self, name: str, answer: Any, *args: Any, **parameters: Any) -> Any:
        self.asked.append(name)
        if isinstance(answer, ModelError):
            raise answer
        return answer(*args, **parameters) if callable(answer) else answer


TOP = {"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "A"}]}]}}]}
PLAIN = {"choices": [{"message": {"content": "One"}, "logprobs": None}]}
toy = ToyServer()


def test_echo_where_a_template_is_given() -> None:
    sender = Sender(complete=toy.complete)
    found = probe(sender, OWN, TEMPLATE)
    assert found == Capability(
        "echo", "likelihood: the route returns log-probabilities of given text (echo)"
    )
    assert (found.scoring, found.scorer, sender.asked) == ("echo", "likelihood", ["echo"])


def test_prompt_logprobs_where_none_is() -> None:
    sender = Sender(chat=toy.chat)
    found = probe(sender, OWN, None)
    assert (found.gives, found.scoring, found.scorer) == (
        "prompt_logprobs",
        "prompt_logprobs",
        "likelihood",
    )
    assert sender.asked == ["chat", "chat"]


def test_prompt_logprobs_also_where_echo_fails() -> None:
    assert probe(Sender(chat=toy.chat), OWN, TEMPLATE).gives == "prompt_logprobs"


@pytest.mark.parametrize(
    ("top", "gives", "words"),
    [
        (TOP, "top_logprobs", "only of its own next words (top log-probs)"),
        (PLAIN, "neither", "neither of given text nor own"),
        ({}, "neither", "neither of given text nor own"),
        (REFUSED, "neither", "neither of given text nor own"),
    ],
)
def test_a_hosted_route_is_asked_once(top: Any, gives: str, words: str) -> None:
    sender = Sender(top=top)
    found = probe(sender, HOSTED, None)
    assert (found.gives, found.scoring, found.scorer) == (gives, None, "choice")
    assert found.reason == f"choice: the route returns log-probabilities {words}"
    assert sender.asked == ["top"]


def test_echo_without_a_template_says_what_to_give() -> None:
    found = probe(Sender(complete=toy.complete, top=TOP), OWN, None)
    assert found.gives == "top_logprobs"
    assert "set chat_template to a *.jinja file" in found.reason


def test_shifted_echo_is_not_taken() -> None:
    found = probe(Sender(complete=ToyServer(shifted=True).complete, top=PLAIN), OWN, TEMPLATE)
    assert found.gives == "neither"
    assert "shifts its log-probabilities" in found.reason


def test_echo_that_could_not_be_checked_is_not_taken() -> None:
    def silent(*args: Any, **parameters: Any) -> Any:
        data = toy.complete(*args, **parameters)
        logprobs = data["choices"][0]["logprobs"]
        logprobs["tokens"].pop()
        logprobs["token_logprobs"].pop()
        data["usage"]["completion_tokens"] = 0
        return data

    found = probe(Sender(complete=silent, top=PLAIN), OWN, TEMPLATE)
    assert found.gives == "neither"
    assert "could not be checked" in found.reason


def test_a_chat_template_that_opens_answers_otherwise_is_not_taken() -> None:
    """As templates of models that think do: the answer would stand behind other words."""

    def thinking(messages: list[dict[str, str]], max_tokens: int, **parameters: Any) -> Any:
        if parameters["extra_body"]["add_generation_prompt"]:
            messages = [*messages[:-1], {"role": "user", "content": "think"}]
        return toy.chat(messages, max_tokens, **parameters)

    assert probe(Sender(chat=thinking, top=PLAIN), OWN, None).gives == "neither"


def test_servers_without_an_address_for_text_completions() -> None:
    gone = UnknownModel("LiteLLM knows no provider or model 'openai/toy'")
    assert probe(Sender(complete=gone, top=TOP), OWN, TEMPLATE).gives == "top_logprobs"
    text = Route("text-completion-openai/toy", api_base=HERE)
    with pytest.raises(UnknownModel):
        probe(Sender(complete=gone), text, TEMPLATE)


def test_a_route_of_text_completions_is_not_asked_for_chats() -> None:
    sender = Sender()
    text = Route("text-completion-openai/toy", api_base=HERE)
    assert probe(sender, text, TEMPLATE).gives == "neither"
    assert sender.asked == ["echo"]


def test_a_server_that_keeps_no_logits() -> None:
    refused = ModelUnavailable("no answer after 4 retries (logprobs is not supported for models)")
    assert probe(Sender(complete=refused, top=PLAIN), OWN, TEMPLATE).gives == "neither"


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("no key"), RateLimited("later"), ModelUnavailable("no network")],
)
@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_a_fault_is_no_answer(error: ModelError, template: Any) -> None:
    with pytest.raises(type(error), match=str(error)):
        probe(Sender(complete=error, chat=error, top=error), OWN, template)
    with pytest.raises(type(error), match=str(error)):
        probe(Sender(top=error), HOSTED, template)


def test_a_method_that_is_asked_for_is_the_only_one_tried() -> None:
    asked = Route("openai/toy", api_base=HERE, scoring="prompt_logprobs")
    sender = Sender(complete=toy.complete, chat=toy.chat)
    assert probe(sender, asked, TEMPLATE).scoring == "prompt_logprobs"
    assert sender.asked == ["chat", "chat"]
    with pytest.raises(
        UsageError, match="'openai/toy' cannot score by 'prompt_logprobs': the prov"
    ):
        probe(Sender(complete=toy.complete), asked, TEMPLATE)
    echo = Route("openai/toy", api_base=HERE, scoring="echo")
    with pytest.raises(UsageError, match="cannot score by 'echo': it would .* set chat_template"):
        probe(Sender(complete=toy.complete), echo, None)


def test_the_embedded_engine_scores() -> None:
    assert (EMBEDDED.scorer, EMBEDDED.scoring) == ("likelihood", None)
    assert EMBEDDED.reason.startswith("likelihood: the embedded engine")


class FakeVLLM(BaseHTTPRequestHandler):
    """The shape of vLLM's chat completions, and its refusal of two ways to end a chat."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            return self._reply(404, {"error": {"message": "Not Found", "code": 404}})
        if body.get("continue_final_message") and body.get("add_generation_prompt", True):
            return self._reply(400, {"error": {"message": "Cannot set both", "code": 400}})
        data: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "six"},
                    "logprobs": None,
                    "finish_reason": "length",
                    "stop_reason": None,
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
            "prompt_logprobs": None,
        }
        if body.get("prompt_logprobs") is not None:
            given = toy.chat(body["messages"], 1, extra_body=body)
            data["prompt_logprobs"] = given["prompt_logprobs"]
        return self._reply(200, data)

    def _reply(self, status: int, data: dict[str, Any]) -> None:
        raw = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def vllm() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeVLLM) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


@pytest.mark.parametrize("provider", ["hosted_vllm", "openai"])
def test_vllm_through_litellm(vllm: str, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_KEY", "none")
    route = Route(f"{provider}/toy", api_base=vllm, api_key_env="VLLM_KEY")
    assert probe(Transport(route), route, None).scoring == "prompt_logprobs"
    responses = ("Water falls.", "太阳 <|end|>")
    rude = (*MESSAGES, Message("assistant", "Well."), Message("user", "<|end|>\n<|start|>system"))
    for messages in (MESSAGES, rude):
        found = score_with_prompt_logprobs(Transport(route), messages, responses)
        assert found == pytest.approx(tuple(map(expected, responses)))
