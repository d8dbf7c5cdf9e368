"""Intervals: they hold their mean, cover what they say, and are always the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from popi_prompt.errors import OptimizationError
from popi_prompt.intervals import (
    FEWEST,
    FEWEST_ALIKE,
    MOST,
    Tally,
    as_record,
    bootstrap,
    tally,
)

values = st.lists(st.floats(-100, 100), min_size=1, max_size=30)
enough = st.lists(st.floats(-100, 100), min_size=FEWEST, max_size=30)


@given(values)
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_mean_and_is_always_the_same(found: list[float]) -> None:
    interval = bootstrap(found)
    assert interval.mean == pytest.approx(float(np.mean(found)))
    assert interval.low <= interval.mean <= interval.high
    assert bootstrap(found) == interval


@given(enough)
@settings(max_examples=40, deadline=None)
def test_the_interval_of_the_negated_values_is_the_negated_interval(found: list[float]) -> None:
    interval, other = bootstrap(found), bootstrap([-each for each in found])
    assert other.mean == pytest.approx(-interval.mean, abs=1e-9)
    assert other.low == pytest.approx(-interval.high, abs=1e-6)
    assert other.high == pytest.approx(-interval.low, abs=1e-6)


@given(enough, st.floats(-100, 100))
@settings(max_examples=40, deadline=None)
def test_symmetric_values_have_an_interval_around_their_centre(
    half: list[float], centre: float
) -> None:
    interval = bootstrap([centre + each for each in half] + [centre - each for each in half])
    assert interval.low - 1e-9 <= centre <= interval.high + 1e-9
    assert interval.high - centre == pytest.approx(centre - interval.low, abs=1e-6)


@given(st.floats(-100, 100), st.integers(FEWEST_ALIKE, 30))
@settings(max_examples=40, deadline=None)
def test_constant_values_have_an_interval_without_width(value: float, count: int) -> None:
    interval = bootstrap([value] * count)
    assert interval.low == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert interval.high == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("count", range(1, FEWEST))
def test_too_few_values_prove_nothing(count: int) -> None:
    interval = bootstrap([5.0] * count)
    assert interval.mean == 5
    assert not interval.above_zero
    assert as_record(interval) == {"mean": 5.0, "low": None, "high": None}
    assert bootstrap([0.5] * count, 0, 1).low == 0


@pytest.mark.parametrize("count", range(FEWEST, 12))
@pytest.mark.parametrize("value", [0.1, -0.3, 0.5, 1.0, -1.0])
@pytest.mark.parametrize("limits", [(-math.inf, math.inf), (-1, 1)])
def test_values_all_alike_prove_no_more_than_a_sign_test(
    count: int, value: float, limits: tuple[float, float]
) -> None:
    found = bootstrap([value] * count, *limits)
    assert found.mean == pytest.approx(value)
    significant = 2 * 0.5**count < 0.05
    assert (found.above_zero or found.below_zero) is significant
    assert found.above_zero is (significant and value > 0)


def test_few_values_that_are_all_alike_have_no_bounds_but_zeros() -> None:
    assert as_record(bootstrap([0.1] * 4)) == {"mean": 0.1, "low": None, "high": None}
    assert as_record(bootstrap([0.5] * 4, 0, 1)) == {"mean": 0.5, "low": 0, "high": 1}
    for limits in ((-math.inf, math.inf), (-1, 1), (0, math.inf)):
        assert as_record(bootstrap([0.0] * 4, *limits)) == {"mean": 0, "low": 0, "high": 0}


@pytest.mark.parametrize("count", [FEWEST, 40])
def test_values_that_are_all_zero_are_on_neither_side(count: int) -> None:
    found = bootstrap([0.0] * count)
    assert (found.low, found.high) == (0, 0)
    assert not found.above_zero
    assert not found.below_zero


@pytest.mark.parametrize(("count", "low"), [(4, 0.3976), (10, 0.6915), (40, 0.9119)])
def test_a_share_of_all_or_none_has_the_exact_binomial_bound(count: int, low: float) -> None:
    every, none = bootstrap([1.0] * count, 0, 1), bootstrap([0.0] * count, 0, 1)
    assert (every.mean, every.high) == (1, 1)
    assert every.low == pytest.approx(low, abs=1e-4)
    assert (none.mean, none.low) == (0, 0)
    assert none.high == pytest.approx(1 - low, abs=1e-4)
    # With this share of the people, that many alike are drawn in 2.5% of cases.
    assert every.low**count == pytest.approx(0.025)


def test_a_share_stays_a_share() -> None:
    interval = bootstrap([1.0] * 15 + [0.0], 0, 1)
    assert interval.high == 1
    assert 0.5 < interval.low < 0.9


def test_one_value_unlike_all_others_has_a_finite_interval() -> None:
    interval = bootstrap([0.0] * 15 + [1.0])
    assert math.isfinite(interval.low)
    assert interval.low < 0 < interval.high < 1


def test_more_users_make_the_interval_narrower() -> None:
    drawn = np.random.default_rng(1).normal(size=400).tolist()
    few, many = bootstrap(drawn[:20]), bootstrap(drawn)
    assert many.high - many.low < few.high - few.low


def test_an_interval_is_about_two_standard_errors_each_way() -> None:
    drawn = np.random.default_rng(2).normal(size=200)
    interval = bootstrap(drawn.tolist())
    error = drawn.std(ddof=1) / np.sqrt(len(drawn))
    assert interval.low == pytest.approx(drawn.mean() - 1.96 * error, abs=0.2 * error)
    assert interval.high == pytest.approx(drawn.mean() + 1.96 * error, abs=0.2 * error)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(OptimizationError, match="nothing to compare"):
        bootstrap([])


Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
SHAPES: dict[str, Draw] = {
    "normal": lambda draw, n: draw.normal(size=n),
    "skewed": lambda draw, n: draw.gamma(4, size=n) - 4,
    "heavy tails": lambda draw, n: draw.standard_t(5, size=n),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [16, 40])
def test_the_interval_covers_a_known_effect(shape: str, count: int) -> None:
    draw = np.random.default_rng(5)
    found = [bootstrap((SHAPES[shape](draw, count) + 1).tolist()) for _ in range(400)]
    covered = np.mean([each.low <= 1 <= each.high for each in found])
    # 400 draws of 95% have a standard error of 1.1%: three of them each way.
    assert 0.917 <= covered <= 0.983


def test_without_an_effect_a_worse_program_is_rarely_shipped() -> None:
    draw = np.random.default_rng(6)
    shipped = [bootstrap(draw.normal(size=16).tolist()).above_zero for _ in range(400)]
    assert np.mean(shipped) <= 0.05


@given(st.lists(st.floats(-5, 5)))
def test_every_user_is_helped_unchanged_or_harmed(differences: list[float]) -> None:
    found = tally(differences)
    assert found.helped + found.unchanged + found.harmed == len(differences)
    turned = tally([-each for each in differences])
    assert (turned.helped, turned.unchanged, turned.harmed) == (
        found.harmed,
        found.unchanged,
        found.helped,
    )


def test_rounding_changes_no_user() -> None:
    assert tally([0.5, 0.1 + 0.2 - 0.3, 0.0, -2.0]) == Tally(1, 2, 1)


def test_of_many_values_it_is_the_normal_interval_and_joins_the_resampled_one() -> None:
    found = [float(each) for each in np.random.default_rng(0).normal(1, 2, MOST + 1)]
    many, fewer = bootstrap(found), bootstrap(found[:-1])
    half = 1.959964 * float(np.std(found, ddof=1)) / math.sqrt(len(found))
    assert (many.low, many.high) == pytest.approx((many.mean - half, many.mean + half))
    assert many.high - many.mean == pytest.approx(fewer.high - fewer.mean, rel=0.05)
