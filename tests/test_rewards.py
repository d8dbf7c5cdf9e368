"""Rewards: arithmetic over margins."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt.rewards import PopiReward
from popi_prompt.scorers.scorer import PairScore

some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

margins = st.floats(-1e6, 1e6)
betas = st.sampled_from([0.001, 0.01, 0.1, 1.0])


def score(margin: float) -> PairScore:
    return PairScore(margin=margin, prefers=0.5)


def exactly(beta: float, margin: float) -> float:
    """(1/beta) log sigmoid(beta D) with 50 digits, in the form that cannot overflow."""
    with localcontext() as context:
        context.prec = 50
        scaled = Decimal(beta) * Decimal(margin)
        tail = (1 + (-abs(scaled)).exp()).ln()
        return float((min(scaled, Decimal(0)) - tail) / Decimal(beta))


@given(margins, betas)
@some
def test_the_reward_is_the_formula_and_finite_and_never_positive(
    margin: float, beta: float
) -> None:
    found = PopiReward(beta=beta).of_margin(margin)
    assert math.isfinite(found)
    assert found <= 0
    assert math.isclose(found, exactly(beta, margin), rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("margin", [-1e6, -1e5, 1e5, 1e6])
@pytest.mark.parametrize("beta", [0.001, 0.01, 1.0])
def test_the_reward_is_finite_at_the_ends(margin: float, beta: float) -> None:
    found = PopiReward(beta=beta).of_margin(margin)
    assert found == pytest.approx(min(margin, 0.0), rel=1e-9, abs=1e-9)


@given(margins, margins, betas)
@some
def test_a_higher_margin_is_never_a_lower_reward(one: float, other: float, beta: float) -> None:
    reward = PopiReward(beta=beta)
    low, high = sorted([one, other])
    slack = 1e-12 * abs(reward.of_margin(low))
    assert reward.of_margin(low) <= reward.of_margin(high) + slack


@given(st.floats(-1000, 1000), st.floats(1, 100))
@some
def test_a_clearly_higher_margin_is_a_higher_reward(margin: float, more: float) -> None:
    reward = PopiReward()
    assert reward.of_margin(margin) < reward.of_margin(margin + more)


@given(st.floats(-300, 300))
@some
def test_losing_costs_more_than_winning_gains(margin: float) -> None:
    reward = PopiReward()
    bare = -math.log(2) / 0.01
    assert reward.of_margin(margin) + reward.of_margin(-margin) <= 2 * bare + 1e-9


def test_no_summary_is_minus_log_two_over_beta() -> None:
    assert PopiReward().of_margin(0.0) == pytest.approx(-69.31471805599453)
    assert PopiReward(beta=1.0).of_margin(0.0) == pytest.approx(-0.6931471805599453)


def test_the_reward_of_a_user_is_the_mean_over_pairs() -> None:
    reward = PopiReward()
    found = reward.of_user([score(-20.0), score(5.0), score(5.0)], tokens=10)
    mean = (reward.of_margin(-20.0) + 2 * reward.of_margin(5.0)) / 3
    assert found == pytest.approx(mean)


@given(st.lists(margins, min_size=1, max_size=6))
@some
def test_the_reward_of_a_user_is_between_those_of_the_pairs(found: list[float]) -> None:
    reward = PopiReward()
    each = [reward.of_margin(margin) for margin in found]
    total = reward.of_user([score(margin) for margin in found], tokens=0)
    slack = 1e-9 * (1 + abs(min(each)))
    assert min(each) - slack <= total <= max(each) + slack


@pytest.mark.parametrize(
    ("tokens", "price"), [(0, 0.0), (39, 0.0), (40, 0.0), (41, 0.5), (60, 10.0)]
)
def test_every_token_over_the_budget_has_its_price(tokens: int, price: float) -> None:
    free = PopiReward(token_budget=40)
    priced = PopiReward(token_budget=40, token_penalty=0.5)
    scores = [score(3.0)]
    assert free.of_user(scores, 1000) == free.of_user(scores, 0)
    assert priced.of_user(scores, tokens) == pytest.approx(free.of_user(scores, 0) - price)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 100))
@some
def test_a_longer_summary_is_never_worth_more(one: int, other: int, budget: int) -> None:
    reward = PopiReward(token_budget=budget, token_penalty=0.1)
    short, long = sorted([one, other])
    assert reward.of_user([score(1.0)], short) >= reward.of_user([score(1.0)], long)


def test_the_defaults_are_those_of_the_paper_without_a_price_for_length() -> None:
    assert PopiReward() == PopiReward(beta=0.01, token_budget=40, token_penalty=0.0)
