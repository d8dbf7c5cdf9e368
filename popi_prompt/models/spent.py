"""What a run has used, and the limits it is given: amounts, without anything that counts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used. Answers from memory or disk are not counted; every attempt is a call.

    `usd` is None where a price is not known. `unconfirmed` calls broke before they told their
    usage: they may have been billed, so their worst case counts against the caps.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = 0.0
    unconfirmed: int = 0

    @property
    def tokens(self) -> int:
        """In and out."""
        return self.tokens_in + self.tokens_out

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        known = self.usd is not None and other.usd is not None
        return Spent(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            (self.usd or 0.0) + (other.usd or 0.0) if known else None,
            self.unconfirmed + other.unconfirmed,
        )


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of a run over all roles; None is no limit. `tokens` are in and out.

    After `minutes` no request is sent any more; those under way are waited for.
    """

    usd: float | None = None
    calls: int | None = None
    tokens: int | None = None
    minutes: float | None = None

    @property
    def need_estimates(self) -> bool:
        """Whether a request's tokens must be known before it is sent."""
        return self.usd is not None or self.tokens is not None

    def amounts(self, spent: Spent, minutes: float) -> Iterator[tuple[str, float, float]]:
        """Name, used and cap of every limit that is set."""
        if self.usd is not None:
            yield "usd", spent.usd or 0.0, self.usd
        if self.calls is not None:
            yield "calls", spent.calls, self.calls
        if self.tokens is not None:
            yield "tokens", spent.tokens, self.tokens
        if self.minutes is not None:
            yield "minutes", minutes, self.minutes


@dataclass(frozen=True, slots=True)
class Charged:
    """What a run spent in processes that are gone.

    `held` are the worst cases of unconfirmed requests, `under_way` counts those that were cut off
    by the end of their process.
    """

    spent: Mapping[str, Spent] = field(default_factory=dict)
    held: Spent = Spent()
    minutes: float = 0.0
    under_way: int = 0


def total(amounts: Iterable[Spent]) -> Spent:
    """All together."""
    together = Spent()
    for each in amounts:
        together = together.plus(each)
    return together


def spent_record(spent: Mapping[str, Spent]) -> dict[str, Any]:
    """By role, as plain JSON values."""
    return {role: asdict(each) for role, each in spent.items()}


def shown(name: str, amount: float) -> str:
    """An amount with its unit."""
    if name in ("usd", "minutes"):
        return f"{amount:.4g} {'USD' if name == 'usd' else name}"
    return f"{amount:,.0f} {name}"
