"""Providers by name; each is loaded when it is used."""

from __future__ import annotations

import importlib
from urllib.parse import urlsplit

from popi_prompt.errors import UsageError
from popi_prompt.finetune.environment import resolved
from popi_prompt.finetune.provider import NAMES, Place, Provider
from popi_prompt.models.redaction import redact


def open_provider(place: Place) -> Provider:
    """The provider at this place, resolved by the environment; nothing is sent yet.

    Raises `UsageError` for an address that is none or settings that are missing, and
    `AuthenticationError` for a key that is.
    """
    if place.provider not in NAMES:
        raise UsageError(f"unknown provider {place.provider!r}; known: {', '.join(NAMES)}")
    place = resolved(place)
    if place.api_base is not None:
        _check(place.api_base)
    module = importlib.import_module(f"popi_prompt.finetune.providers.{_HOMES[place.provider]}")
    provider: Provider = module.open_at(place)
    return provider


_HOMES = {name: name for name in NAMES} | {"azure": "openai"}


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.username or parts.password or parts.query or redact(address) != address:
        raise UsageError(
            "--api-base, or its variable, holds a key, user, password or query; keys come from the "
            "environment only"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"--api-base, or its variable, is {address!r}, not an address such as "
            "http://127.0.0.1:8000/v1"
        )
