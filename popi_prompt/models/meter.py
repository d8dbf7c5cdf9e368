"""What a run has used, and the caps it cannot exceed: a request is reserved before it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Protocol

from popi_prompt.errors import BudgetExceeded, UsageError
from popi_prompt.events import BudgetUsed, Observer, ignore
from popi_prompt.models.spent import Caps, Charged, Spent, shown, total

WARN_AT = (0.5, 0.8)
_CENT_OF_CENTS = 1e-9  # sums of prices are rounded; a cap is not missed by that


class Book(Protocol):
    """Takes every request before it is sent, and what it used; a `Ledger` is one."""

    def reserve(self, role: str, worst: Spent, minutes: float) -> int:
        """Its number."""
        ...

    def settle(self, number: int, used: Spent, minutes: float) -> None:
        """What it used."""
        ...


class Meter:
    """Counts by role. Thread-safe; used and reserved together never exceed a cap.

    Minutes are those of `clock`, in seconds, from here on.
    """

    def __init__(
        self,
        caps: Caps = Caps(),
        observer: Observer = ignore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.caps = caps
        self._clock = clock
        self._started = clock()
        self._book: Book | None = None
        self._bounded = caps != Caps()
        self._observer = observer
        self._spent: dict[str, Spent] = {}
        self._total = Spent()
        self._held = Spent()  # worst cases of unconfirmed requests
        self._reserved: list[Spent] = []
        self._warned: dict[str, float] = {}
        self._changed = threading.Condition()

    def go_on(self, before: Charged, book: Book) -> None:
        """Count what was spent before as well, and write what is spent from here on."""
        with self._changed:
            for role, each in before.spent.items():
                self._spent[role] = self._spent.get(role, Spent()).plus(each)
            self._total = self._total.plus(total(before.spent.values()))
            self._held = self._held.plus(before.held)
            self._started -= 60 * before.minutes
            self._book = book

    def minutes(self) -> float:
        """How long the run has taken, before it was interrupted included."""
        return (self._clock() - self._started) / 60

    def seconds_left(self) -> float | None:
        """Until no request is sent any more; None without a cap in minutes."""
        cap = self.caps.minutes
        return None if cap is None else max(0.0, 60 * (cap - self.minutes()))

    def spent(self) -> dict[str, Spent]:
        """By role, as far as confirmed."""
        with self._changed:
            return dict(self._spent)

    def reserve(self, role: str, worst: Spent) -> int:
        """Set aside a request's worst case; its number.

        Waits for requests under way where it fits only once they have used less than reserved.
        Raises `BudgetExceeded` where it does not fit even then.
        """
        if self.caps.usd is not None and worst.usd is None:
            raise UsageError(unknown_price(role))
        with self._changed:
            while self._bounded:
                minutes = self.minutes()
                used = self._total.plus(self._held)
                self._check(role, worst, used, minutes)
                if not any(self._over(total([used, *self._reserved, worst]), minutes)):
                    self._reserved.append(worst)
                    break
                self._changed.wait()
            try:
                return 0 if self._book is None else self._book.reserve(role, worst, self.minutes())
            except BaseException:
                self._give_back(worst)
                raise

    def settle(self, role: str, number: int, worst: Spent, actual: Spent) -> None:
        """Put what was used in place of what was reserved under a number."""
        with self._changed:
            try:
                if self._book is not None and number:
                    self._book.settle(number, actual, self.minutes())
            finally:
                self._spent[role] = self._spent.get(role, Spent()).plus(actual)
                self._total = self._total.plus(actual)
                if actual.unconfirmed:
                    self._held = self._held.plus(replace(worst, calls=0))
                self._give_back(worst)
            warnings = list(self._new_warnings())
        for warning in warnings:
            self._observer(warning)

    def _give_back(self, worst: Spent) -> None:
        """Those who wait for what was reserved look again."""
        if self._bounded:
            self._reserved.remove(worst)
        self._changed.notify_all()

    def _check(self, role: str, worst: Spent, used: Spent, minutes: float) -> None:
        for name in self._over(used.plus(worst), minutes):
            amounts = {each: (done, cap) for each, done, cap in self.caps.amounts(used, minutes)}
            done, cap = amounts[name]
            raise BudgetExceeded(
                f"the cap of {shown(name, cap)} is reached: {shown(name, done)} used, and the next "
                "request could exceed it",
                role=role,
            )

    def _over(self, wanted: Spent, minutes: float) -> Iterator[str]:
        for name, amount, cap in self.caps.amounts(wanted, minutes):
            over = amount > cap + (_CENT_OF_CENTS if name == "usd" else 0)
            if over or (name == "minutes" and amount == cap):
                yield name

    def _new_warnings(self) -> Iterator[BudgetUsed]:
        for name, amount, cap in self.caps.amounts(self._total.plus(self._held), self.minutes()):
            passed = [share for share in WARN_AT if cap > 0 and amount >= share * cap]
            if passed and passed[-1] > self._warned.get(name, 0.0):
                self._warned[name] = passed[-1]
                yield BudgetUsed(name, amount, cap)


class Account:
    """What one call at the door pays; a model may send several requests for it.

    `retries` are those of them that went again after one that failed.
    """

    def __init__(self, meter: Meter, role: str):
        self.spent = Spent()
        self.retries = 0
        self.needs_estimates = meter.caps.need_estimates
        self.role = role
        self._meter = meter

    @contextmanager
    def request(self, worst: Spent) -> Iterator[Ticket]:
        """Around the sending of one request. Raises `BudgetExceeded` before anything is sent."""
        number = self._meter.reserve(self.role, worst)
        ticket = Ticket()
        try:
            yield ticket
        finally:
            self.spent = self.spent.plus(ticket.used)
            self._meter.settle(self.role, number, worst, ticket.used)

    def seconds_left(self) -> float | None:
        """Until nothing is sent any more; None without a cap in minutes."""
        return self._meter.seconds_left()

    def too_late(self) -> BudgetExceeded:
        """The error of a request that waited for its turn until the cap in minutes."""
        cap = self._meter.caps.minutes or 0.0
        return BudgetExceeded(
            f"the cap of {shown('minutes', cap)} is reached: a request that waited for its turn "
            "was not sent",
            role=self.role,
        )


class Ticket:
    """One request under way; unless told otherwise its usage stays unconfirmed."""

    def __init__(self) -> None:
        self.used = Spent(calls=1, unconfirmed=1)

    def bill(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        """The provider told the usage; nothing is billed for a request it refused."""
        self.used = Spent(1, tokens_in, tokens_out, usd)

    def unsent(self) -> None:
        """It never left this process."""
        self.used = Spent()


_paying: ContextVar[Account | None] = ContextVar("paying", default=None)


@contextmanager
def paying(account: Account) -> Iterator[None]:
    """Requests of the calling thread are paid by this account."""
    token = _paying.set(account)
    try:
        yield
    finally:
        _paying.reset(token)


def account() -> Account:
    """Who pays; outside a door nobody does, and nothing is capped."""
    return _paying.get() or Account(Meter(), "unknown")


def unknown_price(role: str, model: str | None = None) -> str:
    """What to do about a USD cap that cannot be kept."""
    which = f"{role} model {model!r}" if model is not None else f"the {role} model"
    return (
        f"a cap in USD needs prices, and LiteLLM knows none for {which}; set price_in and "
        f"price_out (USD per million tokens) under [models.{role}] in a --config file, or cap "
        "calls or tokens"
    )
