"""The paired test: exact, and right about what it stops and what it lets lead."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.optimizers.racing import better, hopeless, probability_of_less

GAPS = st.lists(st.integers(-4, 4).map(float), max_size=9)


def by_counting(gaps: list[float]) -> float:
    """All signs of the ranks that are not zero, one by one."""
    sizes = [abs(gap) for gap in gaps if gap]
    ranks = [sum(a > b for b in sizes) + sum(a == b for b in sizes) / 2 + 0.5 for a in sizes]
    seen = sum(rank for rank, gap in zip(ranks, filter(None, gaps), strict=True) if gap > 0)
    sums = [
        sum(rank for rank, up in zip(ranks, signs, strict=True) if up)
        for signs in product((False, True), repeat=len(ranks))
    ]
    return sum(each <= seen for each in sums) / len(sums)


@given(GAPS)
def test_the_probability_is_that_of_counting_all_signs(gaps: list[float]) -> None:
    assert probability_of_less(gaps) == pytest.approx(by_counting(gaps))


def test_the_published_table_is_met() -> None:
    """Wilcoxon 1945: of 8 gaps, a rank sum of 4 or less has probability 0.027 on one side."""
    gaps = [-1.0, -2.0, -3.0, 4.0, -5.0, -6.0, -7.0, -8.0]
    assert probability_of_less(gaps) == pytest.approx(7 / 256)


@given(GAPS)
def test_nothing_is_stopped_and_leads(gaps: list[float]) -> None:
    assert not (hopeless(gaps) and better(gaps))
    assert not (hopeless(gaps) and sum(gaps) >= 0)
    assert not (better(gaps) and sum(gaps) <= 0)
    assert better(gaps) <= hopeless([-gap for gap in gaps])


def test_few_users_decide_only_if_they_agree() -> None:
    assert hopeless([-1.0, -2.0, -3.0, -0.5])
    assert not hopeless([-1.0, -2.0, 0.0, 0.0])
    assert better([1.0, 2.0, 3.0, 0.5])
    assert not better([1.0, 2.0, 3.0])
    assert not hopeless([])
    assert not better([0.0] * 32)
