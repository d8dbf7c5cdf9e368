"""What decides a run, resolved to plain values: whether two runs are one, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from popi_prompt.dataset import fingerprint
from popi_prompt.guard import demos_of
from popi_prompt.models.cache_key import JSON, cache_key
from popi_prompt.models.route import Route
from popi_prompt.provenance import versions
from popi_prompt.schema import User
from popi_prompt.settings import Settings

Config = dict[str, Any]
SCHEMA_VERSION = 1
VERSION_KEY = "popi_prompt_run"
# How a model is reached and how fast, which changes no answer: a run may go on with others.
_ON_THE_WAY = {"api_key_env", "concurrency", "rpm", "tpm", "timeout"}
_PRICES = {"price_in", "price_out"}  # decide whether a run fits its cap, and no answer
_BY_ROUTE = {"generator", "inference_model", "proposer", "judge", "embedding_model", "access"}
_SHOWN = 3


def resolve(settings: Settings, users: Sequence[User], routes: Mapping[str, Route]) -> Config:
    """As JSON; no key of a provider is in it, and no text of a user."""
    told = {each.name: getattr(settings, each.name) for each in fields(settings)}
    own = {name: _plain(value) for name, value in told.items() if name not in _BY_ROUTE}
    return {
        VERSION_KEY: SCHEMA_VERSION,
        "models": {role: _route(route) for role, route in routes.items()},
        **own,
        "scorer": own["scorer"] or "by route",
        "demos": demos_of(settings.demos, users),
        "caps": asdict(settings.access.caps),
        "dataset": fingerprint(users),
        "users": len(users),
        "versions": versions(),
    }


def digest(config: Config) -> str:
    """A dozen letters that are the same for the same run."""
    return cache_key(_deciding(config))[:12]


def differences(there: Config, here: Config) -> str:
    """Where two runs differ, in words; empty for the same run."""
    one, other = dict(_flat(_deciding(there))), dict(_flat(_deciding(here)))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    shown = [
        f"{name} is {one.get(name)!r} there and {other.get(name)!r} here" for name in names[:_SHOWN]
    ]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*shown, *more])


def deciding(route: Route) -> dict[str, JSON]:
    """What decides the answers of a route; no key of a provider is in it."""
    return {name: each for name, each in _route(route).items() if name not in _ON_THE_WAY}


def unusual(route: Route) -> dict[str, JSON]:
    """What decides its answers beside the model's name, where it is not as usual."""
    usual = deciding(Route(route.model))
    return {
        key: value
        for key, value in deciding(route).items()
        if value != usual[key] and key not in _PRICES
    }


def _deciding(config: Config) -> dict[str, JSON]:
    models = {
        role: {name: value for name, value in route.items() if name not in _ON_THE_WAY}
        for role, route in config["models"].items()
    }
    return {**config, "models": models}


def _route(route: Route) -> dict[str, JSON]:
    # Values are hashed: a header may hold a key, whatever it is called.
    headers: list[JSON] = [[name, cache_key({name: value})[:12]] for name, value in route.headers]
    return {**asdict(route), "headers": headers}


def _plain(value: Any) -> JSON:
    """Scalars as they are; of anything else its name, and its scalars if it is a dataclass."""
    if value is None or isinstance(value, str | int | float):
        return value
    name = str(getattr(value, "name", type(value).__qualname__))
    if not is_dataclass(value):
        return name
    own = {each.name: getattr(value, each.name) for each in fields(value)}
    scalars = {key: each for key, each in own.items() if isinstance(each, str | int | float)}
    return {"name": name, **scalars} if scalars else name


def _flat(value: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _flat(each, f"{where}{name}.")
        else:
            yield f"{where}{name}", each
