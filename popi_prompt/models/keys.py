"""The key of a route: from the environment alone, or a placeholder where a server wants none."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from popi_prompt.errors import AuthenticationError, UsageError
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.redaction import holds_secret
from popi_prompt.models.route import Route

PLACEHOLDER = "none"
_SHORTEST_KEY = 8  # shorter ones are placeholders such as "none"
# LiteLLM reaches these by OpenAI's client, which refuses to start without a key.
_INSISTING = ("openai", "custom_openai", "text-completion-openai", "litellm_proxy")
_OWN = "openai.com"


def api_key(route: Route) -> str | None:
    """What to send; None leaves it to LiteLLM, which looks for the provider's own variable.

    A placeholder is for servers at another address than the provider's, and only where LiteLLM
    would find no key. Raises `AuthenticationError` for an `api_key_env` that is not set.
    """
    if route.api_key_env is not None:
        return _exported(route.api_key_env)
    litellm = import_litellm()
    _, provider, key, base = litellm.get_llm_provider(route.model, api_base=route.api_base)
    base = base or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
    if provider not in _INSISTING or base is None or _is_own(base):
        return None
    found = key or litellm.api_key or litellm.openai_key or os.environ.get("OPENAI_API_KEY")
    return None if found else PLACEHOLDER


def _is_own(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    return host == _OWN or host.endswith(f".{_OWN}")


def _exported(variable: str) -> str:
    key = os.environ.get(variable, "")
    if not key:
        raise AuthenticationError(f"its key is missing; export {variable} first")
    if len(key) >= _SHORTEST_KEY and not holds_secret(key):
        raise UsageError(
            f"api_key_env names {variable!r}, which does not look like the name of a secret, so it "
            "could not be kept out of logs; use a name that ends in _KEY"
        )
    return key
