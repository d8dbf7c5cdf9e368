"""What a run of `optimize` will take, before anything is sent: the run itself, on dry models."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, cast

from popi_prompt.budget import FirstCompared, few_users, short_caps
from popi_prompt.events import Observer, ignore
from popi_prompt.models.books import Books
from popi_prompt.models.cache_reader import open_reader
from popi_prompt.models.call import Call
from popi_prompt.models.door import Door, Open, open_route
from popi_prompt.models.dry_local import DryLocal
from popi_prompt.models.dry_model import DryHosted, DryModel, Speed
from popi_prompt.models.litellm_model import LiteLLMModel
from popi_prompt.models.local import LocalModel
from popi_prompt.models.meter import Meter
from popi_prompt.models.model import Model
from popi_prompt.models.past import past_speeds
from popi_prompt.models.roles import Role
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps, Spent
from popi_prompt.models.stopwatch import stopwatch
from popi_prompt.schema import User
from popi_prompt.scorers import uncalled
from popi_prompt.settings import Settings
from popi_prompt.workflow import optimize


@dataclass(frozen=True, slots=True)
class RoleEstimate:
    """`usd` is None where the price is not known. `cached` calls are on disk, and cost nothing."""

    calls: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    seconds: float
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """By role; roles that are never asked are not in it. `assumptions` are sentences.

    `shortfalls` are, too: what of the budget is too small to find a gain of five points.
    """

    roles: Mapping[str, RoleEstimate]
    assumptions: tuple[str, ...]
    shortfalls: tuple[str, ...] = ()

    @property
    def total(self) -> RoleEstimate:
        """All roles together. Roles wait for each other, so their seconds add up."""
        each = tuple(self.roles.values())
        known = [role.usd for role in each if role.usd is not None]
        return RoleEstimate(
            calls=sum(role.calls for role in each),
            tokens_in=sum(role.tokens_in for role in each),
            tokens_out=sum(role.tokens_out for role in each),
            usd=sum(known) if len(known) == len(each) else None,
            seconds=sum(role.seconds for role in each),
            cached=sum(role.cached for role in each),
        )

    def against(self, caps: Caps) -> Iterator[tuple[str, float | None, float]]:
        """Name, estimate and cap of every cap that is set; None where the price is not known."""
        total = self.total
        spent = Spent(total.calls, total.tokens_in, total.tokens_out, total.usd)
        for name, amount, cap in caps.amounts(spent, total.seconds / 60):
            yield name, None if name == "usd" and total.usd is None else amount, cap

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "roles": {role: asdict(each) for role, each in self.roles.items()},
            "total": asdict(self.total),
            "assumptions": list(self.assumptions),
            "shortfalls": list(self.shortfalls),
        }


def estimate(
    users: Sequence[User],
    settings: Settings = Settings(),
    *,
    speed: Speed | None = None,
    observer: Observer = ignore,
    open_model: Open = open_route,
) -> Estimate:
    """What `optimize(users, settings)` will take. Nothing is sent, and nothing written.

    The run's own steps decide what is asked; answers are imagined, or read from the cache where the
    run may use it. An embedded model is asked for a few, and measured, in this process. `speed` is
    that of every hosted model; without it, it is as in the trace that the run would add to, else
    assumed. Raises what `optimize` raises for data and models.
    """
    settings = replace(settings, scorer=uncalled(settings.scorer))
    pace = _Pace(speed, past_speeds(settings.access.trace))
    ledger = _Ledger()
    books = Books(Meter(), cache=open_reader(settings.access.cache), trace=ledger)
    routes = settings.access.routes(settings.names())
    open_dry = partial(_open_dry, open_model, pace)
    with Door(routes, open_model=open_dry, books=books) as door, stopwatch() as watch:
        first = FirstCompared(door, observer)
        done = optimize(users, settings, observer=first, door=door)
        spent = door.spent()
        dry = {role: door.model(cast(Role, role)) for role in spent}
    seconds = _seconds(routes, spent, watch.seconds, pace) | _embedded_seconds(dry)
    roles = {
        role: _role(spent.get(role, Spent()), seconds.get(role, 0.0), ledger.cached[role])
        for role in routes
        if role in spent or ledger.cached[role]
    }
    assumptions = (
        f"the scorer is {done.report.scorer}; answers are imagined, as long as usual; no request "
        "is retried",
        *_about_hosted([routes[role] for role in roles], pace),
        *_about_embedded(dry.values()),
    )
    short = short_caps(settings.access.caps, first.spent)
    return Estimate(roles, assumptions, (*short, *few_users(done.split, settings)))


class _Ledger:
    """Counts the answers that are on disk already."""

    def __init__(self) -> None:
        self.cached: Counter[str] = Counter()

    def write(self, call: Call) -> None:
        """One call."""
        self.cached[call.role] += call.cached

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class _Pace:
    """Speeds of hosted models: as given, else as measured in an earlier run, else assumed."""

    given: Speed | None
    past: Mapping[str, Speed]

    def of(self, model: str) -> Speed:
        return self.given or self.past.get(model) or Speed()

    def source(self, model: str) -> str:
        if self.given is not None:
            return "as given"
        return "as in the trace of earlier calls" if model in self.past else "assumed"


def _open_dry(open_model: Open, pace: _Pace, route: Route) -> Model:
    real = open_model(route)
    if isinstance(real, LiteLLMModel):
        return DryHosted(real, pace.of(route.model))
    return DryLocal(real) if isinstance(real, LocalModel) else DryModel(real)


def _role(spent: Spent, seconds: float, cached: int) -> RoleEstimate:
    return RoleEstimate(spent.calls, spent.tokens_in, spent.tokens_out, spent.usd, seconds, cached)


def _seconds(
    routes: Mapping[str, Route], spent: Mapping[str, Spent], hosted: float, pace: _Pace
) -> dict[str, float]:
    """By role. What `hosted` models take, side by side, is shared by what each of them does."""
    work = {
        role: pace.of(routes[role].model).seconds(each.calls, each.tokens_out)
        for role, each in spent.items()
        if not routes[role].embedded
    }
    at_once = sum(work.values()) / hosted if hosted else 1.0
    return {
        role: max(each / at_once, _least_seconds(routes[role], spent[role]))
        for role, each in work.items()
    }


def _least_seconds(route: Route, spent: Spent) -> float:
    """What the route's limits allow."""
    requests = 60 * spent.calls / route.rpm if route.rpm else 0.0
    tokens = 60 * spent.tokens / route.tpm if route.tpm else 0.0
    return max(requests, tokens)


def _embedded_seconds(dry: Mapping[str, Model]) -> dict[str, float]:
    return {role: each.seconds[role] for role, each in dry.items() if isinstance(each, DryLocal)}


def _about_hosted(routes: Iterable[Route], pace: _Pace) -> Iterator[str]:
    models = dict.fromkeys(route.model for route in routes if not route.embedded)
    for model in models:
        speed = pace.of(model)
        writes = f" and writes {speed.tokens_out:.3g} tokens a second"
        yield (
            f"{model} takes {speed.latency:.2g} s{writes if speed.tokens_out < math.inf else ''} "
            f"({pace.source(model)})"
        )
    if models:
        yield (
            "half of a hosted model's summaries repeat one that it is shown; which log-"
            "probabilities it gives is known from an earlier probe, else taken from its name and "
            "settings"
        )


def _about_embedded(dry: Iterable[Model]) -> Iterator[str]:
    for each in dict.fromkeys(each for each in dry if isinstance(each, DryLocal)):
        pace = each.pace
        yield (
            f"{each.name} reads {1 / pace.read:.0f}, scores {1 / pace.scored:.0f} and writes "
            f"{1 / pace.written:.0f} tokens a second (measured just now); prompts it remembers are "
            "not read again, and its first answers were written for real"
        )
