"""What the environment says of where jobs run; read once, so that a job stays where it began."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from popi_prompt.finetune.provider import Place

_VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "openai": {
        "api_base": ("OPENAI_BASE_URL",),
        "account": ("OPENAI_ORG_ID",),
        "project": ("OPENAI_PROJECT_ID",),
    },
    "azure": {"api_base": ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")},
    "fireworks": {"account": ("FIREWORKS_ACCOUNT_ID",)},
    "vertex": {
        "project": ("VERTEXAI_PROJECT",),
        "location": ("VERTEXAI_LOCATION",),
        "bucket": ("GCS_BUCKET_NAME",),
    },
}
_LOCATION = "us-central1"


def resolved(place: Place) -> Place:
    """The place with what the environment says of it now, unless that was read before."""
    if place.resolved:
        return place
    missing = _missing(place)
    found: dict[str, Any] = {name: _first(missing[name]) for name in missing}
    if "bucket" in found:
        found["bucket"] = _bucket(found["bucket"])
    if "location" in found:
        found["location"] = found["location"] or _LOCATION
    return replace(place, **found, resolved=True)


def undecided(place: Place) -> tuple[str, ...]:
    """The variables that still decide where the place is; none once it is resolved."""
    return () if place.resolved else tuple(names[0] for names in _missing(place).values())


def _missing(place: Place) -> dict[str, tuple[str, ...]]:
    known = _VARIABLES.get(place.provider, {})
    return {name: names for name, names in known.items() if getattr(place, name) is None}


def _first(names: tuple[str, ...]) -> str | None:
    return next(filter(None, map(os.environ.get, names)), None)


def _bucket(given: str | None) -> str | None:
    return (given or "").removeprefix("gs://").partition("/")[0] or None
