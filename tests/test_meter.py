"""The meter: what is used and under way together never exceeds a cap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.errors import BudgetExceeded, UsageError
from popi_prompt.events import BudgetUsed, Event
from popi_prompt.models.meter import Account, Caps, Meter, Spent

counts = st.integers(0, 50)


def spend(meter: Meter, worst: Spent, used: Spent) -> None:
    with Account(meter, "generator").request(worst) as ticket:
        ticket.bill(used.tokens_in, used.tokens_out, used.usd)


@given(
    caps=st.builds(Caps, calls=st.none() | st.integers(0, 8), tokens=st.none() | counts),
    requests=st.lists(st.tuples(counts, counts, st.integers(0, 100)), max_size=20),
)
def test_a_cap_is_never_exceeded_and_all_that_was_used_is_counted(
    caps: Caps, requests: list[tuple[int, int, int]]
) -> None:
    meter = Meter(caps)
    total = Spent()
    for tokens_in, tokens_out, percent in requests:
        worst = Spent(1, tokens_in, tokens_out)
        used = Spent(1, tokens_in * percent // 100, tokens_out * percent // 100)
        with suppress(BudgetExceeded):
            spend(meter, worst, used)
            total = total.plus(used)
    assert meter.spent().get("generator", Spent()) == total
    assert caps.calls is None or total.calls <= caps.calls
    assert caps.tokens is None or total.tokens <= caps.tokens


def test_the_refusal_says_what_is_used_and_of_what() -> None:
    meter = Meter(Caps(calls=1))
    spend(meter, Spent(1), Spent(1))
    with pytest.raises(BudgetExceeded, match="cap of 1 calls is reached: 1 calls used"):
        spend(meter, Spent(1), Spent(1))


def test_usd_are_added_up_exactly_to_the_cap() -> None:
    meter = Meter(Caps(usd=0.3))
    for _ in range(3):
        spend(meter, Spent(1, usd=0.1), Spent(1, usd=0.1))
    with pytest.raises(BudgetExceeded, match=r"0\.3 USD is reached"):
        spend(meter, Spent(1, usd=0.1), Spent(1, usd=0.1))


def test_a_cap_in_usd_refuses_what_has_no_price() -> None:
    with pytest.raises(UsageError, match="price_in and price_out"):
        spend(Meter(Caps(usd=1.0)), Spent(1, usd=None), Spent(1))
    meter = Meter()
    spend(meter, Spent(1, usd=None), Spent(1, 2, 3, None))
    assert meter.spent()["generator"] == Spent(1, 2, 3, None)


def test_a_request_that_told_nothing_counts_at_its_worst_against_the_cap_only() -> None:
    meter = Meter(Caps(tokens=100))
    with pytest.raises(ValueError, match="broke"), Account(meter, "g").request(Spent(1, 60, 0)):
        raise ValueError("broke")
    assert meter.spent() == {"g": Spent(calls=1, unconfirmed=1)}
    with pytest.raises(BudgetExceeded):
        spend(meter, Spent(1, 41, 0), Spent(1, 1, 0))
    spend(meter, Spent(1, 40, 0), Spent(1, 1, 0))


def test_a_request_that_may_still_fit_waits_for_those_under_way() -> None:
    meter = Meter(Caps(tokens=100))
    first = Account(meter, "g").request(Spent(1, 90, 0))
    ticket = first.__enter__()
    started = threading.Event()

    def second() -> None:
        started.set()
        spend(meter, Spent(1, 50, 0), Spent(1, 50, 0))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        started.wait()
        assert not waiting.done()
        ticket.bill(10, 0, 0.0)
        first.__exit__(None, None, None)
        waiting.result()
    assert meter.spent()["g"].tokens == 10
    assert meter.spent()["generator"].tokens == 50


def test_half_and_four_fifths_are_told_once_each() -> None:
    told: list[Event] = []
    meter = Meter(Caps(calls=10), told.append)
    for _ in range(10):
        spend(meter, Spent(1), Spent(1))
    assert told == [BudgetUsed("calls", 5, 10), BudgetUsed("calls", 8, 10)]


def test_an_account_adds_up_what_its_requests_paid() -> None:
    account = Account(Meter(), "judge")
    for _ in range(2):
        with account.request(Spent(1)) as ticket:
            ticket.bill(3, 4, 0.5)
    assert account.spent == Spent(2, 6, 8, 1.0)


def test_unknown_and_known_prices_together_are_unknown() -> None:
    assert Spent(1, usd=None).plus(Spent(1, usd=1.0)).usd is None
    assert Spent(1, 2, 3, 0.5).plus(Spent(1, 1, 1, 0.5)) == Spent(2, 3, 4, 1.0)
