"""Rewards: arithmetic over margins."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt.evaluation import Metric, evaluate
from popi_prompt.generator import Generator
from popi_prompt.prompts import Conditioning
from popi_prompt.rewards import AccuracyReward, MarginReward, PopiReward, Reward
from popi_prompt.rows import Row
from popi_prompt.schema import Pair, Persona, User
from popi_prompt.scorers.scorer import PairScore
from popi_prompt.testing import fake_door

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


# What every reward holds.

every = pytest.mark.parametrize(
    "reward", [PopiReward(), AccuracyReward(), MarginReward()], ids=lambda reward: reward.name
)
pairs = st.lists(
    st.builds(
        PairScore,
        margin=margins,
        prefers=st.floats(0, 1),
        weight=st.floats(1e-6, 1e6),
    ),
    min_size=1,
    max_size=6,
)


def slack(*found: float) -> float:
    return 1e-9 * (1 + max(map(abs, found)))


@every
@given(scores=pairs, more=st.floats(0, 1e6), which=st.integers(0, 5))
@some
def test_a_higher_margin_never_lowers_a_users_reward(
    reward: Reward, scores: list[PairScore], more: float, which: int
) -> None:
    i = which % len(scores)
    raised = [replace(each, margin=each.margin + more * (i == j)) for j, each in enumerate(scores)]
    before, after = reward.of_user(scores, 0), reward.of_user(raised, 0)
    assert after >= before - slack(before, after)


@every
@given(scores=pairs, factor=st.floats(1e-6, 1e6))
@some
def test_only_the_ratio_of_weights_matters(
    reward: Reward, scores: list[PairScore], factor: float
) -> None:
    scaled = [replace(each, weight=each.weight * factor) for each in scores]
    before, after = reward.of_user(scores, 0), reward.of_user(scaled, 0)
    assert after == pytest.approx(before, abs=slack(before))


@every
@given(scores=pairs)
@some
def test_a_weight_of_two_is_the_pair_twice(reward: Reward, scores: list[PairScore]) -> None:
    first, *rest = scores
    doubled = [replace(first, weight=2 * first.weight), *rest]
    found = reward.of_user([first, first, *rest], 0)
    assert reward.of_user(doubled, 0) == pytest.approx(found, abs=slack(found))


@every
@given(scores=pairs, order=st.randoms(use_true_random=False))
@some
def test_the_order_of_the_pairs_does_not_matter(
    reward: Reward, scores: list[PairScore], order: random.Random
) -> None:
    shuffled = list(scores)
    order.shuffle(shuffled)
    assert reward.of_user(shuffled, 0) == reward.of_user(scores, 0)


@every
@given(scores=pairs)
@some
def test_a_users_reward_is_between_those_of_single_pairs(
    reward: Reward, scores: list[PairScore]
) -> None:
    each = [reward.of_user([one], 0) for one in scores]
    found = reward.of_user(scores, 0)
    assert min(each) - slack(*each) <= found <= max(each) + slack(*each)


@every
@given(scores=pairs, tokens=st.integers(0, 500), budget=st.integers(0, 100))
@some
def test_every_reward_has_the_same_length_term(
    reward: Reward, scores: list[PairScore], tokens: int, budget: int
) -> None:
    priced = replace(reward, token_budget=budget, token_penalty=0.25)  # type: ignore[type-var]
    free = reward.of_user(scores, tokens)
    expected = free - 0.25 * max(0, tokens - budget)
    assert priced.of_user(scores, tokens) == pytest.approx(expected, abs=slack(free))


@every
@pytest.mark.parametrize("weight", [5e-324, 1e-300, 1e300, 1.7e308])
def test_extreme_weights_stay_finite(reward: Reward, weight: float) -> None:
    one, two = (PairScore(margin, 0.5, weight) for margin in (-3.0, 3.0))
    even = reward.of_user([replace(one, weight=1.0), replace(two, weight=1.0)], 0)
    assert reward.of_user([one, two], 0) == pytest.approx(even)


def test_accuracy_is_the_share_of_pairs_with_a_margin_above_0() -> None:
    found = AccuracyReward().of_user([score(3.0), score(0.0), score(-1.0), score(1e-9)], 0)
    assert found == 0.5
    weighted = [PairScore(3.0, 0.5, 3.0), PairScore(-3.0, 0.5, 1.0)]
    assert AccuracyReward().of_user(weighted, 0) == 0.75


def test_a_margin_is_clipped_before_the_mean() -> None:
    reward = MarginReward(limit=10.0)
    assert reward.of_user([score(1000.0), score(-2.0)], 0) == 4.0
    assert reward.of_user([score(-1000.0), score(2.0)], 0) == -4.0
    assert reward.of_user([score(3.0), score(-2.0)], 0) == 0.5


people = st.lists(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(0.1, 10)), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


@every
@given(margins_of=people)
@some
def test_the_mean_is_over_each_users_pairs_first_and_then_over_users(
    reward: Reward, margins_of: list[list[tuple[float, float]]]
) -> None:
    """Through `evaluate`: a user with many pairs counts no more than one with a single pair."""
    users = [
        User(
            f"u{i}",
            (Persona("x"),),
            tuple(Pair(f"{margin!r}", "a", "b", weight) for margin, weight in found),
        )
        for i, found in enumerate(margins_of)
    ]
    metric = Metric(Generator(fake_door(), Conditioning("system")), ReadsTheMargin(), reward)
    row = Row("row", evaluate(users, lambda user: "text", metric))
    by_hand = [
        reward.of_user([PairScore(margin, 0.5, weight) for margin, weight in found], 1)
        for found in margins_of
    ]
    assert [each.reward for each in row.outcomes] == pytest.approx(by_hand)
    mean = math.fsum(by_hand) / len(by_hand)
    assert float(np.mean([each.reward for each in row.outcomes])) == pytest.approx(mean)
    for outcome, found in zip(row.outcomes, margins_of, strict=True):
        total = math.fsum(weight for _, weight in found)
        mean = math.fsum(margin * weight for margin, weight in found) / total
        assert outcome.margin == pytest.approx(mean, abs=1e-9)
        share = math.fsum(weight for margin, weight in found if margin > 0) / total
        assert outcome.improved == pytest.approx(share)


class ReadsTheMargin:
    """A scorer whose margins stand in the prompts."""

    name = "reads"
    prefers_label = "nothing"
    unit = "nats"

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        return PairScore(float(pair.prompt), 0.5)
