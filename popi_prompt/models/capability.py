"""What log-probabilities a route gives, found out by a few tiny calls that hold no user text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from popi_prompt.errors import BadResponse, ModelError, ModelUnavailable, UnknownModel, UsageError
from popi_prompt.models.chat_template import ChatTemplate
from popi_prompt.models.response_logprobs import (
    Sender,
    ask_echo,
    ask_prompt_logprobs,
    first_choice,
    plain,
    response_start,
    response_start_after,
    summed,
)
from popi_prompt.models.route import Route, ScoringMethod
from popi_prompt.models.template_source import WAYS
from popi_prompt.prompts import Message

_MESSAGES = (Message("user", "Count from one to ten in words."),)
_ANSWER = "One, two, three, four, five,"  # broken off, so that a model has more to say
_TOP = 5
# Providers that may serve vLLM or text completions without an `api_base` in the route.
_MAY_SCORE = ("hosted_vllm/", "fireworks_ai/")
_TEXT_ONLY = "text-completion-"  # LiteLLM's providers that know no chats


Gives = Literal["embedded", "echo", "prompt_logprobs", "top_logprobs", "neither"]


@dataclass(frozen=True, slots=True)
class Capability:
    """What a route gives, and in words which scorer follows from it and why.

    `gives`: log-probabilities of a given text by the embedded engine, by echo or by vLLM's
    prompt_logprobs; else those of the likeliest next words (top_logprobs); else neither.
    """

    gives: Gives
    reason: str

    @property
    def scoring(self) -> ScoringMethod | None:
        """How to get a given text's log-probabilities over the network; None if in no way."""
        return self.gives if self.gives in ("echo", "prompt_logprobs") else None

    @property
    def scorer(self) -> Literal["likelihood", "choice"]:
        """The scorer to use unless another is asked for."""
        return "choice" if self.gives in ("top_logprobs", "neither") else "likelihood"


EMBEDDED = Capability(
    "embedded", "likelihood: the embedded engine returns log-probabilities of given text"
)

NEITHER = Capability("neither", "choice: the model gives no log-probabilities of given text")


def probe(sender: Sender, route: Route, template: ChatTemplate | None) -> Capability:
    """Ask the route, with `route.scoring` only for that method.

    `template` is the one that `route.chat_template` names. At most five calls, mostly one or two.
    A refusal is an answer ("it cannot"); every other `ModelError` is raised. Raises `UsageError`
    where `route.scoring` demands what the route does not give.
    """
    doubts: list[str] = []
    for method in probe_methods(route, template is not None):
        try:
            if method == "echo":
                _try_echo(sender, template)
            else:
                _try_prompt_logprobs(sender)
        except ModelError as error:
            doubts.append(_refusal(error, route, method))
        else:
            return Capability(
                method, f"likelihood: the route returns log-probabilities of given text ({method})"
            )
    if route.scoring is not None:
        raise UsageError(f"route {route.model!r} cannot score by {route.scoring!r}: {doubts[0]}")
    top = not route.model.startswith(_TEXT_ONLY) and _gives_top_logprobs(sender)
    told = [doubt for doubt in doubts if template is not None or "chat_template" in doubt]
    return _without_scoring(top, told)


def probe_methods(route: Route, templated: bool) -> tuple[ScoringMethod, ...]:
    """What to try, in this order. A given template asks for echo."""
    if route.scoring is not None:
        return (route.scoring,)
    if route.model.startswith(_TEXT_ONLY):
        return ("echo",)
    if templated:
        return ("echo", "prompt_logprobs")
    if route.api_base is None and not route.model.startswith(_MAY_SCORE):
        return ()
    return ("prompt_logprobs", "echo")


def _try_echo(sender: Sender, template: ChatTemplate | None) -> None:
    """Raises `BadResponse` unless the route scores by echo, each token with its own number."""
    prompt = "" if template is None else template.text(_MESSAGES)
    given = ask_echo(sender, prompt, _ANSWER)
    if template is None:
        raise BadResponse(
            "it would return those of given text (echo), with the model's chat template; set "
            f"chat_template to {WAYS}"
        )
    if not given.generated:
        raise BadResponse("it wrote nothing behind the probe, so its echo could not be checked")
    start = response_start(given, _ANSWER)
    if start is None:
        start = response_start_after(ask_echo(sender, prompt), given, _ANSWER)
    summed(given, start)


def _try_prompt_logprobs(sender: Sender) -> None:
    """Raises `BadResponse` unless the answer's tokens follow the prompt's own, as in a chat."""

    given = ask_prompt_logprobs(sender, _MESSAGES, _ANSWER)
    alone = ask_prompt_logprobs(sender, _MESSAGES)
    summed(given, response_start_after(alone, given, _ANSWER))


def _gives_top_logprobs(sender: Sender) -> bool:
    turns = [{"role": m.role, "content": m.content} for m in _MESSAGES]
    try:
        data = plain(sender.chat(turns, 1, temperature=0.0, logprobs=True, top_logprobs=_TOP))
    except BadResponse:
        return False
    content = plain(first_choice(data).get("logprobs")).get("content") or [None]
    return bool(plain(content[0]).get("top_logprobs"))


def _refusal(error: ModelError, route: Route, method: ScoringMethod) -> str:
    """What a refusal says. A fault that says nothing about the route is raised again."""
    if isinstance(error, BadResponse):
        return error.problem
    # A server of chats knows no address for text completions; a wrong model fails in a chat, too.
    chats = not route.model.startswith(_TEXT_ONLY)
    if isinstance(error, UnknownModel) and method == "echo" and chats:
        return error.problem
    # llama.cpp's Python server answers so, with status 500, if started with --logits_all false.
    if isinstance(error, ModelUnavailable) and "logprobs is not supported" in error.problem:
        return error.problem
    raise error


def _without_scoring(top: bool, doubts: list[str]) -> Capability:
    words = "only of its own next words (top log-probs)" if top else "neither of given text nor own"
    reason = f"choice: the route returns log-probabilities {words}"
    return Capability("top_logprobs" if top else "neither", "; ".join([reason, *doubts[:1]]))
