"""Clients of the OpenAI library that LiteLLM is given where its own would not do."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.route import Route

# Providers whose embeddings LiteLLM asks for through the OpenAI library.
_EMBEDDINGS = frozenset(
    {
        *("openai", "together_ai", "nvidia_nim", "litellm_proxy", "mistral"),
        *("fireworks_ai", "nebius", "wandb", "xinference"),
    }
)
_OPENAI = "https://api.openai.com/v1"


def text_client(route: Route, key: str | None) -> Any:
    """For text completions; None where LiteLLM must find the address itself.

    LiteLLM makes a client for every text completion, with a connection it never closes.
    """
    _, key, base = _provider(route, key)
    return None if base is None else _client(base, key or _usual_key())


def embedding_client(route: Route, key: str | None) -> Any:
    """For embeddings, which LiteLLM's own client would ask for again, unmetered; None elsewhere.

    LiteLLM reads "0 retries" as its default of 2 here.
    """
    provider, key, base = _provider(route, key)
    if provider not in _EMBEDDINGS:
        return None
    if base is None:
        named = (os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"))
        base = import_litellm().api_base or next(filter(None, named), _OPENAI)
    return _client(base, key or _usual_key())


def _provider(route: Route, key: str | None) -> tuple[str, str | None, str | None]:
    """Provider, key and address as LiteLLM reads them off the route."""
    _, provider, found, base = import_litellm().get_llm_provider(
        route.model, api_base=route.api_base, api_key=key
    )
    return provider, found, base


def _usual_key() -> str:
    return os.environ.get("OPENAI_API_KEY") or "none"


@cache
def _client(base: str, key: str) -> Any:
    import openai

    class Client(openai.AsyncOpenAI):
        @property
        def max_retries(self) -> int:
            return 0

        @max_retries.setter
        def max_retries(self, value: int) -> None:
            """LiteLLM sets it on every client that it is given."""

    client = Client(api_key=key, base_url=base, max_retries=0)
    _kept.append(client)
    return client


_kept: list[Any] = []
