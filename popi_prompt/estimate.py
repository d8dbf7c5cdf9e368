"""What a run of `optimize` will take, before anything is sent: the run itself, on dry models."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from popi_prompt.events import Observer, ignore
from popi_prompt.models import imagined
from popi_prompt.models.books import Books
from popi_prompt.models.cache import default_path
from popi_prompt.models.cache_reader import CacheReader
from popi_prompt.models.call import Call
from popi_prompt.models.door import Door, Open, open_route
from popi_prompt.models.dry_model import Speed, dry
from popi_prompt.models.meter import Caps, Meter, Spent
from popi_prompt.models.model import Model
from popi_prompt.models.route import Route
from popi_prompt.models.stopwatch import stopwatch
from popi_prompt.schema import User
from popi_prompt.scorers import FunctionScorer, Scorer, load_function
from popi_prompt.workflow import Settings, optimize


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
    """By role; roles that are never asked are not in it. `assumptions` are sentences."""

    roles: Mapping[str, RoleEstimate]
    assumptions: tuple[str, ...]

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
        for name, amount, cap in caps.amounts(spent):
            yield name, None if name == "usd" and total.usd is None else amount, cap

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "roles": {role: asdict(each) for role, each in self.roles.items()},
            "total": asdict(self.total),
            "assumptions": list(self.assumptions),
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
    run may use it. Raises what `optimize` raises for data and models.
    """
    settings = replace(settings, scorer=_uncalled(settings.scorer))
    speed = speed if speed is not None else Speed()
    ledger = _Ledger()
    path = default_path()
    cache = CacheReader(path) if settings.access.cache and path.exists() else None
    books = Books(Meter(), cache=cache, trace=ledger)
    routes = settings.access.routes(settings.names())
    open_dry = partial(_open_dry, open_model, speed)
    with Door(routes, open_model=open_dry, books=books) as door, stopwatch() as watch:
        scorer = optimize(users, settings, observer=observer, door=door).report.scorer
        spent = door.spent()
    seconds = _seconds(routes, spent, watch.seconds, speed)
    roles = {
        role: _role(spent.get(role, Spent()), seconds.get(role, 0.0), ledger.cached[role])
        for role in routes
        if role in spent or ledger.cached[role]
    }
    return Estimate(roles, tuple(_assumptions([routes[role] for role in roles], scorer, speed)))


def _uncalled(scorer: str | Scorer | None) -> str | Scorer | None:
    """A function of the user's own may send something itself: its numbers are imagined."""
    if isinstance(scorer, str) and ":" in scorer:
        scorer = load_function(scorer)
    if isinstance(scorer, FunctionScorer):
        return replace(scorer, function=imagined.score)
    return scorer


class _Ledger:
    """Counts the answers that are on disk already."""

    def __init__(self) -> None:
        self.cached: Counter[str] = Counter()

    def write(self, call: Call) -> None:
        """One call."""
        self.cached[call.role] += call.cached

    def close(self) -> None:
        """Nothing is open."""


def _open_dry(open_model: Open, speed: Speed, route: Route) -> Model:
    return dry(open_model(route), speed)


def _role(spent: Spent, seconds: float, cached: int) -> RoleEstimate:
    return RoleEstimate(spent.calls, spent.tokens_in, spent.tokens_out, spent.usd, seconds, cached)


def _seconds(
    routes: Mapping[str, Route], spent: Mapping[str, Spent], hosted: float, speed: Speed
) -> dict[str, float]:
    """By role. What `hosted` models take, side by side, is shared by what each of them does."""
    work = {
        role: speed.seconds(each.calls, each.tokens_out)
        for role, each in spent.items()
        if not routes[role].embedded
    }
    at_once = sum(work.values()) / hosted if hosted else 1.0
    return {
        role: max(work[role] / at_once, _least_seconds(routes[role], each))
        if role in work
        else each.tokens / (speed.embedded * _cores())
        for role, each in spent.items()
    }


def _least_seconds(route: Route, spent: Spent) -> float:
    """What the route's limits allow."""
    requests = 60 * spent.calls / route.rpm if route.rpm else 0.0
    tokens = 60 * spent.tokens / route.tpm if route.tpm else 0.0
    return max(requests, tokens)


def _assumptions(routes: Sequence[Route], scorer: str, speed: Speed) -> Iterator[str]:
    yield f"the scorer is {scorer}; answers are imagined, as long as usual; no request is retried"
    if not all(route.embedded for route in routes):
        yield (
            f"a hosted model takes {speed.latency:g} s and writes {speed.tokens_out:g} tokens a "
            "second; half of its summaries repeat one that it is shown; which log-probabilities "
            "it gives is known from an earlier probe, else taken from its name and settings"
        )
    if any(route.embedded for route in routes):
        yield (
            f"the embedded engine reads and writes {speed.embedded:g} tokens a second and core "
            f"({_cores()} cores), prompts it remembers included: mostly it is faster"
        )


def _cores() -> int:
    return os.cpu_count() or 1
