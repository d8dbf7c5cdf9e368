"""Users needed to see a gain: against known tables, and as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.errors import OptimizationError
from popi_prompt.intervals import FEWEST, proportion
from popi_prompt.power import needed, users_needed

spreads = st.floats(0, 10)


@pytest.mark.parametrize(("effect", "users"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_numbers_of_the_tables(effect: float, users: int) -> None:
    """Paired t test, two-sided 5%, 80% power: Cohen's small, medium and large effect."""
    assert users_needed(1, effect) == users


@given(spreads, spreads, st.floats(0.01, 1), st.floats(0.01, 1))
def test_more_spread_and_smaller_gains_need_more_users(
    one: float, other: float, gain: float, smaller: float
) -> None:
    low, high = sorted((one, other))
    assert FEWEST <= users_needed(low, gain) <= users_needed(high, gain)
    assert users_needed(one, max(gain, smaller)) <= users_needed(one, min(gain, smaller))
    assert users_needed(one, gain, 0.8) <= users_needed(one, gain, 0.9)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=30))
def test_the_bounds_hold_the_figure_and_depend_on_the_differences_alone(gaps: list[float]) -> None:
    found = needed(gaps, 0.5)
    if len(gaps) < FEWEST:
        assert found is None
        return
    assert found is not None
    assert found == needed(list(gaps), 0.5)
    assert FEWEST <= found.low <= found.users <= found.high
    assert found.measured == len(gaps)
    turned = needed([-gap for gap in gaps], 0.5)
    assert turned is not None
    assert turned.users == pytest.approx(found.users, abs=1)


def test_pairs_that_all_changed_alike_still_move_in_steps() -> None:
    """One pair a user: of 20 users, one gains it; variance 0.05 - 0.05 squared."""
    one_pair, four, many = (needed([1.0] * 10, 1 / pairs) for pairs in (1, 4, 40))
    assert one_pair is not None
    assert four is not None
    assert many is not None
    assert (one_pair.low, one_pair.users, one_pair.high) == (152, 152, 152)
    assert four.users == users_needed(0.1)
    assert many.users == FEWEST


@pytest.mark.parametrize(
    ("seen", "total", "low", "high"), [(0, 20, 0, 0.1611), (10, 20, 0.2993, 0.7007)]
)
def test_wilson_intervals_of_the_tables(seen: int, total: int, low: float, high: float) -> None:
    found = proportion(seen, total)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_lies_in_its_interval(counted: tuple[int, int]) -> None:
    seen, total = counted
    found = proportion(seen, total)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    mirrored = proportion(total - seen, total)
    assert mirrored.low == pytest.approx(1 - found.high, abs=1e-9)


def test_a_proportion_of_nothing_is_an_error() -> None:
    with pytest.raises(OptimizationError, match="nothing to count"):
        proportion(0, 0)
