"""The meter: what is used and under way together never exceeds a cap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.errors import BudgetExceeded, DataError, UsageError, WriteError
from popi_prompt.events import BudgetUsed, Event
from popi_prompt.models.ledger import Ledger
from popi_prompt.models.meter import Account, Meter
from popi_prompt.models.spent import Caps, Charged, Spent

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


def test_after_its_minutes_nothing_is_reserved_and_the_time_before_counts() -> None:
    seconds = [0.0]
    told: list[Event] = []
    meter = Meter(Caps(minutes=2), told.append, clock=lambda: seconds[0])
    seconds[0] = 61
    spend(meter, Spent(1), Spent(1))
    assert told == [BudgetUsed("minutes", 61 / 60, 2)]
    assert meter.seconds_left() == 59
    with Account(meter, "g").request(Spent(1)) as ticket:
        seconds[0] = 120
        ticket.bill(1, 1, 0.0)  # under way at the cap: it is waited for
    with pytest.raises(BudgetExceeded, match="cap of 2 minutes is reached: 2 minutes used"):
        spend(meter, Spent(1), Spent(1))
    assert meter.spent()["g"] == Spent(1, 1, 1)


def test_a_killed_run_is_charged_for_what_it_sent(tmp_path: Path) -> None:
    seconds = [0.0]
    path = tmp_path / "spent.jsonl"
    ledger = Ledger(path)
    first = Meter(Caps(calls=4, tokens=100), clock=lambda: seconds[0])
    first.go_on(ledger.before, ledger)
    spend(first, Spent(1, 10, 10), Spent(1, 5, 5))
    seconds[0] = 90
    first.reserve("judge", Spent(1, 30, 10))  # and here it is killed
    with path.open("ab") as file:
        file.write(b'{"n":3,"ro')
    again = Ledger(path)
    assert (again.before.under_way, again.before.minutes) == (1, 1.5)
    second = Meter(Caps(calls=4, tokens=100), clock=lambda: seconds[0])
    second.go_on(again.before, again)
    assert second.spent() == {"generator": Spent(1, 5, 5), "judge": Spent(1, unconfirmed=1)}
    assert second.minutes() == 1.5
    with pytest.raises(BudgetExceeded):
        spend(second, Spent(1, 51, 0), Spent(1, 1, 0))
    for _ in range(2):
        spend(second, Spent(1, 1, 0), Spent(1, 1, 0))
    with pytest.raises(BudgetExceeded, match="4 calls used"):
        spend(second, Spent(1), Spent(1))
    assert Ledger(path).before.spent == second.spent()


class FullDisk:
    """A book that cannot be written while it is full."""

    full = False

    def reserve(self, role: str, worst: Spent, minutes: float) -> int:
        self._check()
        return 1

    def settle(self, number: int, used: Spent, minutes: float) -> None:
        self._check()

    def _check(self) -> None:
        if self.full:
            raise WriteError("cannot write 'spent.jsonl': No space left on device")


def test_a_book_that_cannot_be_written_leaves_nobody_waiting() -> None:
    book = FullDisk()
    meter = Meter(Caps(tokens=100))
    meter.go_on(Charged(), book)
    first = Account(meter, "g").request(Spent(1, 90, 0))
    first.__enter__().bill(10, 0, 0.0)
    failed: list[Exception] = []

    def second() -> None:
        try:
            spend(meter, Spent(1, 50, 0), Spent(1, 50, 0))
        except WriteError as error:
            failed.append(error)

    waiting = threading.Thread(target=second, daemon=True)
    waiting.start()
    book.full = True
    with pytest.raises(WriteError):
        first.__exit__(None, None, None)
    waiting.join(5)
    assert not waiting.is_alive()
    assert len(failed) == 1
    assert meter.spent() == {"g": Spent(1, 10, 0)}


def test_a_reservation_that_cannot_be_written_is_given_back() -> None:
    book = FullDisk()
    meter = Meter(Caps(tokens=100))
    meter.go_on(Charged(), book)
    book.full = True
    with pytest.raises(WriteError):
        meter.reserve("g", Spent(1, 90, 0))
    book.full = False
    freed = threading.Thread(
        target=spend, args=(meter, Spent(1, 90, 0), Spent(1, 5, 0)), daemon=True
    )
    freed.start()
    freed.join(5)
    assert not freed.is_alive()
    assert meter.spent() == {"generator": Spent(1, 5, 0)}


@pytest.mark.parametrize("line", ['{"n":1,"used":[1,1,1,0,0],"minutes":0}', '{"role":"g"}', "[]"])
def test_what_is_no_ledger_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "spent.jsonl"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"spent\.jsonl"):
        Ledger(path)


def test_an_account_adds_up_what_its_requests_paid() -> None:
    account = Account(Meter(), "judge")
    for _ in range(2):
        with account.request(Spent(1)) as ticket:
            ticket.bill(3, 4, 0.5)
    assert account.spent == Spent(2, 6, 8, 1.0)


def test_unknown_and_known_prices_together_are_unknown() -> None:
    assert Spent(1, usd=None).plus(Spent(1, usd=1.0)).usd is None
    assert Spent(1, 2, 3, 0.5).plus(Spent(1, 1, 1, 0.5)) == Spent(2, 3, 4, 1.0)
