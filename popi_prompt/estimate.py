"""What a run of `optimize` will take, before anything is sent: the run itself, on dry models."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from popi_prompt.events import Observer, ignore
from popi_prompt.models.books import Books
from popi_prompt.models.cache import default_path
from popi_prompt.models.cache_reader import CacheReader
from popi_prompt.models.call import Call
from popi_prompt.models.door import Door, Open, open_route
from popi_prompt.models.dry_model import dry
from popi_prompt.models.meter import Caps, Meter, Spent
from popi_prompt.models.route import Route
from popi_prompt.models.transport import CONCURRENCY
from popi_prompt.schema import User
from popi_prompt.workflow import Settings, optimize

_ONE_AT_A_TIME = ("proposer",)


@dataclass(frozen=True, slots=True)
class Speed:
    """Assumed, as nothing is asked. `latency`: seconds until a hosted model's first token.

    `tokens_out` and `embedded` are tokens a second: written by a hosted model, and read or written
    by the embedded engine on one core.
    """

    latency: float = 0.7
    tokens_out: float = 60.0
    embedded: float = 150.0


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
    speed: Speed = Speed(),
    observer: Observer = ignore,
    open_model: Open = open_route,
) -> Estimate:
    """What `optimize(users, settings)` will take. Nothing is sent, and nothing written.

    The run's own steps decide what is asked; answers are imagined, or read from the cache where the
    run may use it. Raises what `optimize` raises for data and models.
    """
    ledger = _Ledger()
    path = default_path()
    cache = CacheReader(path) if settings.access.cache and path.exists() else None
    books = Books(Meter(), cache=cache, trace=ledger)
    routes = settings.access.routes(settings.names())
    with Door(routes, open_model=lambda route: dry(open_model(route)), books=books) as door:
        optimize(users, settings, observer=observer, door=door)
        spent = door.spent()
    roles = {
        role: _role(role, routes[role], spent.get(role, Spent()), ledger.cached[role], speed)
        for role in routes
        if role in spent or ledger.cached[role]
    }
    return Estimate(roles, tuple(_assumptions([routes[role] for role in roles], speed)))


class _Ledger:
    """Counts the answers that are on disk already."""

    def __init__(self) -> None:
        self.cached: Counter[str] = Counter()

    def write(self, call: Call) -> None:
        """One call."""
        self.cached[call.role] += call.cached

    def close(self) -> None:
        """Nothing is open."""


def _role(role: str, route: Route, spent: Spent, cached: int, speed: Speed) -> RoleEstimate:
    if route.embedded:
        seconds = spent.tokens / (speed.embedded * _cores())
    else:
        at_once = 1 if role in _ONE_AT_A_TIME else route.concurrency or CONCURRENCY
        asked = spent.calls * speed.latency + spent.tokens_out / speed.tokens_out
        seconds = max(
            asked / at_once,
            60 * spent.calls / route.rpm if route.rpm else 0.0,
            60 * spent.tokens / route.tpm if route.tpm else 0.0,
        )
    return RoleEstimate(
        spent.calls, spent.tokens_in, spent.tokens_out, spent.usd, seconds, cached
    )


def _assumptions(routes: Sequence[Route], speed: Speed) -> Iterator[str]:
    yield "answers are imagined, as long as usual; retries are not counted"
    if not all(route.embedded for route in routes):
        yield (
            f"a hosted model takes {speed.latency:g} s and writes {speed.tokens_out:g} tokens a "
            "second; it writes a summary of its own for everybody; which log-probabilities it gives "
            "is known only from an earlier probe, else taken from its name and settings"
        )
    if any(route.embedded for route in routes):
        yield (
            f"the embedded engine reads and writes {speed.embedded:g} tokens a second and core "
            f"({_cores()} cores), prompts it remembers included: mostly it is faster"
        )


def _cores() -> int:
    return os.cpu_count() or 1
