"""Any hosted or served model, through LiteLLM."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from popi_prompt.errors import BadResponse
from popi_prompt.models.capability import Capability, probe
from popi_prompt.models.litellm_errors import import_litellm, typed
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.place import place_of
from popi_prompt.models.response_logprobs import score_with_echo, score_with_prompt_logprobs
from popi_prompt.models.route import Route, ScoringMethod
from popi_prompt.models.template_source import load_template
from popi_prompt.models.transport import Transport
from popi_prompt.prompts import Messages

_TOP_LOGPROBS = 5
_NAMED_WITHIN = 16  # tokens


class LiteLLMModel:
    """A LiteLLM route such as "openai/gpt-4o-mini"; satisfies `Model`.

    Keys come from the environment, as LiteLLM or the route names them.
    """

    pays_by_request: Literal[True] = True

    def __init__(self, route: Route):
        litellm = import_litellm()
        self.name = route.model
        try:
            _, provider, _, base = litellm.get_llm_provider(route.model, api_base=route.api_base)
        except Exception as error:
            raise typed(error, route.model) from None
        self.identity = place_of(route, provider, base)
        parameters = litellm.get_supported_openai_params(model=route.model) or []
        self.top_logprobs = "top_logprobs" in parameters
        self._gave_logprobs = False
        source = route.chat_template
        self._template = None if source is None else load_template(source)
        self.template_digest = None if self._template is None else self._template.digest
        self.transport = Transport(route)
        self.concurrency = self.transport.concurrency

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """One chat completion."""
        return _answer(self._complete(messages, sampling))

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """From the first token's top log-probabilities where the route returns them.

        A route that answers but never gave any is not asked for them again.
        """
        odds = self._soft_odds(messages, options) if self.top_logprobs else None
        if odds is not None:
            return odds
        # An explanation after the option may be cut off; the option comes first.
        text = _answer(self._complete(messages, Sampling(max_tokens=_NAMED_WITHIN))).text
        self.top_logprobs = self._gave_logprobs
        named = [bool(re.search(rf"\b{re.escape(option)}\b", text)) for option in options]
        if sum(named) != 1:
            raise BadResponse(f"the answer {text!r} does not name one of {', '.join(options)}")
        return tuple(float(each) for each in named)

    def _soft_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...] | None:
        try:
            response = self._complete(
                messages, Sampling(max_tokens=1), logprobs=True, top_logprobs=_TOP_LOGPROBS
            )
        except BadResponse:
            # A server may refuse to give any, whatever LiteLLM knows of its provider. What it
            # refuses for another reason, it refuses without them, too.
            return None
        top = _first_top(response)
        if top:
            self.top_logprobs = self._gave_logprobs = True
        return _odds_from_top(top, options)

    def probe(self) -> Capability:
        """What log-probabilities the route gives."""
        return probe(self.transport, self.transport.route, self._template)

    def score(
        self, method: ScoringMethod, messages: Messages, responses: Sequence[str]
    ) -> tuple[float, ...]:
        """Log-probabilities of given responses. Raises `ModelError`."""
        if method == "prompt_logprobs":
            return score_with_prompt_logprobs(self.transport, messages, responses)
        if self._template is None:
            raise BadResponse("scoring by echo needs the model's chat_template in a --config file")
        return score_with_echo(self.transport, self._template, messages, responses)

    def embed(self, text: str) -> tuple[float, ...]:
        """One embedding request."""
        return _vector(self.transport.embed(text))

    def count_tokens(self, text: str) -> int:
        """By LiteLLM's tokenizer for the model, or its default where it knows none."""
        return self.transport.count_tokens(text)

    def _complete(self, messages: Messages, sampling: Sampling, **extra: Any) -> Any:
        return self.transport.chat(
            [{"role": m.role, "content": m.content} for m in messages],
            sampling.max_tokens,
            temperature=sampling.temperature,
            seed=sampling.seed,
            **extra,
        )


def _answer(response: Any) -> Answer:
    if not response.choices:
        raise BadResponse("the response holds no choices")
    choice = response.choices[0]
    fields = getattr(choice.message, "provider_specific_fields", None) or {}
    refusal = getattr(choice.message, "refusal", None) or fields.get("refusal")
    if refusal:
        raise BadResponse(f"the model refused: {refusal:.200}")
    if choice.finish_reason == "content_filter":
        raise BadResponse("the provider's content filter stopped the answer")
    text = (choice.message.content or "").strip()
    if not text:
        raise BadResponse(f"the answer is empty (finish_reason {choice.finish_reason!r})")
    usage = getattr(response, "usage", None)
    return Answer(
        text=text,
        finish="length" if choice.finish_reason == "length" else "stop",
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
    )


def _vector(response: Any) -> tuple[float, ...]:
    found: Any = response.data[0]["embedding"] if response.data else None
    numbers = isinstance(found, list) and all(type(each) in (int, float) for each in found)
    if not numbers or not any(found) or not all(map(math.isfinite, found)):
        raise BadResponse("the embedding is empty, zero, or holds something else than numbers")
    return tuple(map(float, found))


def _first_top(response: Any) -> Sequence[Any]:
    """The likeliest first tokens; empty where the route gives none."""
    if not response.choices:
        raise BadResponse("the response holds no choices")
    content = getattr(getattr(response.choices[0], "logprobs", None), "content", None)
    return (content[0].top_logprobs or ()) if content else ()


def _odds_from_top(top: Sequence[Any], options: Sequence[str]) -> tuple[float, ...] | None:
    """Probability mass of each option among these tokens; None if none of them is there."""
    mass = dict.fromkeys(options, 0.0)
    for each in top:
        word = each.token.strip()
        if word in mass:
            mass[word] += math.exp(each.logprob)
    total = sum(mass.values())
    return tuple(mass[option] / total for option in options) if total > 0 else None
