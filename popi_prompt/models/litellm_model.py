"""Any hosted or served model, through LiteLLM."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any

from popi_prompt.errors import (
    AuthenticationError,
    BadResponse,
    ContextTooLong,
    ModelError,
    ModelUnavailable,
    RateLimited,
    UnknownModel,
)
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.prompts import Messages

TIMEOUT_SECONDS = 60
RETRIES = 3
_TOP_LOGPROBS = 5


def import_litellm() -> Any:
    """Import LiteLLM without its download of a price list, and without its banner."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True
    return litellm


class LiteLLMModel:
    """A LiteLLM route such as "openai/gpt-4o-mini"; satisfies `Model`.

    Keys come from the environment, as LiteLLM names them.
    """

    concurrency = 8

    def __init__(self, name: str):
        self._litellm = import_litellm()
        self.name = name
        try:
            self._litellm.get_llm_provider(name)
        except Exception as error:
            raise self._typed(error) from None
        parameters = self._litellm.get_supported_openai_params(model=name) or []
        self._top_logprobs = "top_logprobs" in parameters

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """Answer through `litellm.completion`."""
        return self._answer(self._complete(messages, sampling))

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """From the first token's top log-probabilities where the route returns them."""
        if self._top_logprobs:
            response = self._complete(
                messages, Sampling(max_tokens=1), logprobs=True, top_logprobs=_TOP_LOGPROBS
            )
            odds = _odds_from_top(response, options)
            if odds is not None:
                return odds
        text = self._answer(self._complete(messages, Sampling(max_tokens=16))).text
        named = [bool(re.search(rf"\b{re.escape(option)}\b", text)) for option in options]
        if sum(named) != 1:
            raise BadResponse(f"the answer {text!r} does not name one of {', '.join(options)}")
        return tuple(float(each) for each in named)

    def count_tokens(self, text: str) -> int:
        """By LiteLLM's tokenizer for the model, or its default where it knows none."""
        return int(self._litellm.token_counter(model=self.name, text=text))

    def _complete(self, messages: Messages, sampling: Sampling, **extra: Any) -> Any:
        try:
            return self._litellm.completion(
                model=self.name,
                messages=[{"role": m.role, "content": m.content} for m in messages],
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                seed=sampling.seed,
                drop_params=True,
                timeout=TIMEOUT_SECONDS,
                num_retries=RETRIES,
                **extra,
            )
        except Exception as error:
            raise self._typed(error) from error

    @staticmethod
    def _answer(response: Any) -> Answer:
        if not response.choices:
            raise BadResponse("the response holds no choices")
        choice = response.choices[0]
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

    def _typed(self, error: Exception) -> ModelError:
        """LiteLLM's exception in our vocabulary; the first line of its message is kept."""
        kinds = self._litellm.exceptions
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "LLM Provider NOT provided" in str(error) or isinstance(error, kinds.NotFoundError):
            return UnknownModel(
                f"LiteLLM knows no provider or model {self.name!r}; write it as "
                "provider/model, for example openai/gpt-4o-mini or local/smollm2-135m"
            )
        if isinstance(error, kinds.AuthenticationError):
            return AuthenticationError(
                f"the provider refused the key, or none is set; export it first ({reason})"
            )
        if isinstance(error, kinds.ContextWindowExceededError):
            return ContextTooLong(reason)
        if isinstance(error, kinds.RateLimitError):
            return RateLimited(f"still rate-limited after {RETRIES} retries ({reason})")
        if isinstance(error, kinds.BadRequestError):
            return BadResponse(f"the provider refused the request ({reason})")
        return ModelUnavailable(f"no answer after {RETRIES} retries ({reason})")


def _odds_from_top(response: Any, options: Sequence[str]) -> tuple[float, ...] | None:
    """Probability mass of each option among the first token's top tokens; None if none is there."""
    content = getattr(getattr(response.choices[0], "logprobs", None), "content", None)
    if not content:
        return None
    mass = dict.fromkeys(options, 0.0)
    for top in content[0].top_logprobs:
        word = top.token.strip()
        if word in mass:
            mass[word] += math.exp(top.logprob)
    total = sum(mass.values())
    return tuple(mass[option] / total for option in options) if total > 0 else None
