"""Where the environment sends a route's requests: another place there gives other answers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.route import Route

_ADDRESS = re.compile(r"_(API_BASE|BASE_URL|URL|ENDPOINT|HOST)$")
_PLACE = re.compile(r"_(API_VERSION|PROJECT(_ID)?|LOCATION|REGION(_NAME)?)$")
_PAYS_ONLY = ("OPENAI_PROJECT",)
# LiteLLM's own names for a provider, where its variables begin with another word.
_ALIASES = {
    "bedrock": ("AWS",),
    "sagemaker": ("AWS",),
    "huggingface": ("HF",),
    "vertex": ("GOOGLE",),
    "volcengine": ("ARK",),
    "watsonx": ("WX", "WML"),
}
_SAYS_NOTHING = ("ai", "chat", "completion", "text", "custom")
_SETTINGS = ("api_base", "api_version", "vertex_project", "vertex_location")


def place_of(
    route: Route, provider: str, base: str | None, environment: Mapping[str, str] = os.environ
) -> str | None:
    """What of the environment, and of LiteLLM's settings, leads the route; None where nothing does.

    `provider` and `base` are what LiteLLM makes of the route. A variable too many costs an answer
    that is asked for again, one too few gives another server's: so every variable counts that is
    named like an address or a place of the provider.
    """
    found = {name: environment[name] for name in _names(route, provider, environment)}
    if route.api_base is None and base is not None and base in environment.values():
        found["base"] = base
    litellm = import_litellm()
    found |= {f"litellm.{name}": str(getattr(litellm, name, None) or "") for name in _SETTINGS}
    told = [f"{name}={value}" for name, value in sorted(found.items()) if value]
    return "\n".join(told) or None


def _names(route: Route, provider: str, environment: Mapping[str, str]) -> Iterator[str]:
    begins = tuple(_begins(f"{route.model.partition('/')[0]}-{provider}"))
    for name in environment:
        leads = _PLACE.search(name) or (route.api_base is None and _ADDRESS.search(name))
        if leads and name.startswith(begins) and name not in _PAYS_ONLY:
            yield name


def _begins(names: str) -> Iterator[str]:
    """How variables of these providers begin."""
    for word in re.split(r"\W|_", names.lower()):
        if word and word not in _SAYS_NOTHING:
            yield word.upper()
            yield from _ALIASES.get(word, ())
