"""The `--config` file: how each role's model is reached. Parsed once, strictly, without keys."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from popi_prompt.errors import DataError, UsageError
from popi_prompt.files import read_bytes
from popi_prompt.models.redaction import redact
from popi_prompt.models.roles import ROLES
from popi_prompt.models.route import Route, ScoringMethod

_ABOVE_ZERO = "a number above 0"
_AT_LEAST_ZERO = "a number of 0 or more"
_WHOLE = "a whole number above 0"
_TEXT = "a text that is not empty"
_KINDS: dict[str, str] = {
    "model": _TEXT,
    "api_base": _TEXT,
    "api_key_env": _TEXT,
    "temperature": _AT_LEAST_ZERO,
    "max_tokens": _WHOLE,
    "rpm": _WHOLE,
    "tpm": _WHOLE,
    "headers": "a table of texts",
    "timeout": _ABOVE_ZERO,
    "concurrency": _WHOLE,
    "chat_template": _TEXT,
    "scoring": f"one of {', '.join(get_args(ScoringMethod))}",
    "price_in": _AT_LEAST_ZERO,
    "price_out": _AT_LEAST_ZERO,
}
_KEYS = re.compile(
    r"(?:api|access|secret)[_-]?key|^key$|token$|secret|password|authorization", re.I
)
_SECRET_HEADER = re.compile(r"authorization|key|token|secret|cookie|password", re.I)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ELSEWHERE = "keys come from the environment only; api_key_env names the variable that holds one"


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """One `[models.ROLE]` section: `settings` are fields of `Route`."""

    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def route(self, model: str) -> Route:
        """The route to `model`. Settings beside another model's name are not for this one."""
        if self.model is not None and self.model != model:
            return Route(model)
        return Route(model, **self.settings)


def load_config(path: Path) -> dict[str, RoleConfig]:
    """The sections of a TOML file by role. Raises `UsageError` that names file and key."""
    try:
        raw = tomllib.loads(read_bytes(path).decode("utf-8"))
    except DataError as error:
        raise UsageError(str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not valid TOML: {redact(str(error))}") from None
    try:
        return _sections(raw)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _sections(raw: dict[str, Any]) -> dict[str, RoleConfig]:
    for name in raw:
        if name != "models":
            raise UsageError(f"has unknown table {name!r}{_nearest(name, ['models'])}")
    models = raw.get("models", {})
    if not isinstance(models, dict):
        raise UsageError("'models' is not a table; write [models.generator]")
    for role in models:
        if role not in ROLES:
            raise UsageError(f"has unknown role [models.{role}]{_nearest(role, ROLES)}")
    return {role: _section(section, f"[models.{role}]") for role, section in models.items()}


def _section(raw: Any, where: str) -> RoleConfig:
    if not isinstance(raw, dict):
        raise UsageError(f"{where} is not a table")
    for key, value in raw.items():
        if key not in _KINDS:
            if _KEYS.search(key):
                raise UsageError(f"{where} has {key!r}; {_ELSEWHERE}")
            raise UsageError(f"{where} has unknown key {key!r}{_nearest(key, _KINDS)}")
        _check(key, value, where)
    if ("price_in" in raw) != ("price_out" in raw):
        raise UsageError(f"{where} has one of price_in and price_out; give both")
    settings = {key: value for key, value in raw.items() if key != "model"}
    if "headers" in settings:
        settings["headers"] = tuple(sorted(settings["headers"].items()))
    return RoleConfig(raw.get("model"), settings)


def _check(key: str, value: Any, where: str) -> None:
    """Raise for a value of the wrong kind, and for one that holds a key; values are not shown."""
    if not _fits(value, _KINDS[key]):
        raise UsageError(f"{where} {key} is not {_KINDS[key]}")
    if key == "headers":
        for name, text in value.items():
            if _SECRET_HEADER.search(name) or redact(text) != text:
                raise UsageError(f"{where} headers has {name!r}, which holds a key; {_ELSEWHERE}")
    elif key == "api_key_env":
        if not _VARIABLE.fullmatch(value) or redact(value) != value:
            raise UsageError(f"{where} api_key_env is not the name of a variable; {_ELSEWHERE}")
    elif isinstance(value, str) and redact(value) != value:
        raise UsageError(f"{where} {key} holds a key; {_ELSEWHERE}")
    if key == "api_base":
        _check_address(value, where)


def _check_address(value: str, where: str) -> None:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.username or parts.password or parts.query:
        raise UsageError(f"{where} api_base holds a user, password or query; {_ELSEWHERE}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{where} api_base is not an address such as http://127.0.0.1:8000/v1")


def _fits(value: Any, kind: str) -> bool:
    if kind == _TEXT:
        return isinstance(value, str) and bool(value.strip())
    if kind == _KINDS["headers"]:
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if kind == _KINDS["scoring"]:
        return value in get_args(ScoringMethod)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if kind == _WHOLE:
        return isinstance(value, int) and value > 0
    return value > 0 if kind == _ABOVE_ZERO else value >= 0


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
