"""Where a role's calls go and how fast: everything about a model that a program does not record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from popi_prompt.models.model import Sampling

ScoringMethod = Literal["echo", "prompt_logprobs"]
EMBEDDED = "local/"


def holds_address(model: str) -> bool:
    """Whether a model's name says where it is, too, as some of LiteLLM's may: it is recorded."""
    return "://" in model


@dataclass(frozen=True, slots=True)
class Route:
    """A model name as LiteLLM or the embedded engine knows it, and how to reach it.

    None means: for `api_base` and `api_key_env` what LiteLLM takes from the environment, for
    `temperature` and `max_tokens` what the caller asks for, for `rpm` and `tpm` (requests and
    tokens a minute) no limit, for `concurrency` the model's own, for `chat_template` (Jinja, for
    text completions with echo) the one the server applies, for `scoring` what the probe finds, for
    prices (USD per million tokens) LiteLLM's. `timeout` is in seconds, for one attempt.

    A key is never a field of it: `api_key_env` names the environment variable that holds one.
    """

    model: str
    api_base: str | None = None
    api_key_env: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 60.0
    concurrency: int | None = None
    chat_template: str | None = None
    scoring: ScoringMethod | None = None
    price_in: float | None = None
    price_out: float | None = None

    @property
    def embedded(self) -> bool:
        """Whether the model answers in this process."""
        return self.model.startswith(EMBEDDED) or self.model.endswith(".gguf")

    def drawn(self, sampling: Sampling) -> Sampling:
        """The sampling that is sent: the route's own settings go before the caller's."""
        if self.temperature is None and self.max_tokens is None:
            return sampling
        return replace(
            sampling,
            temperature=sampling.temperature if self.temperature is None else self.temperature,
            max_tokens=sampling.max_tokens if self.max_tokens is None else self.max_tokens,
        )
