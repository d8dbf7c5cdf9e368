"""Requests and answers as bytes: which requests are the same, and what an answer was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[Any] | tuple[Any, ...] | dict[str, Any] | None"


def cache_key(parts: Mapping[str, JSON]) -> str:
    """SHA-256 over the parts as canonical JSON.

    The order of keys does not matter; every difference in a value does, also 1, 1.0, True and "1".
    Raises `TypeError` for what is not JSON, keys that are not strings included.
    """
    return hashlib.sha256(encoded_json(dict(parts), sort=True)).hexdigest()


def encoded_json(value: Any, *, sort: bool = False) -> bytes:
    """JSON in UTF-8 that gives back exactly what was put, lone surrogates included."""
    _check_keys(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=sort, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _check_keys(value: Any) -> None:
    """json.dumps would write the keys 1, True and None as strings."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError(f"JSON has only strings as keys, not {key!r}")
            _check_keys(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_keys(each)
