"""What evidence is worth: reliability of acts, and slopes with a common prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.bank import Statement
from popi_prompt.optimizers.worth import Sight, fitted, seen

KIND, DRY = Statement("manner", "kind", "Be kind."), Statement("manner", "dry", "Be dry.")
level = st.floats(-1e3, 1e3)
people = st.lists(st.lists(level, min_size=1, max_size=5), min_size=1, max_size=8)


@given(people)
def test_reliability_is_a_share_and_totals_are_sums(levels: list[list[float]]) -> None:
    sight = seen(levels)
    assert 0 <= sight.reliability <= 1
    assert sight.totals == pytest.approx([sum(each) for each in levels])
    assert np.all(np.isfinite(sight.standard))


def test_acts_that_agree_are_reliable_and_acts_at_random_are_not() -> None:
    assert seen([[1, 1, 1], [-1, -1, -1]]).reliability == pytest.approx(1)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 4))
    assert seen(noise.tolist()).reliability < 0.3
    people = rng.normal(size=(200, 1))
    assert seen((people + noise).tolist()).reliability == pytest.approx(4 / 5, abs=0.1)


def test_more_acts_are_more_reliable() -> None:
    rng = np.random.default_rng(1)
    levels = rng.normal(size=(300, 1)) + 2 * rng.normal(size=(300, 8))
    assert seen(levels[:, :2].tolist()).reliability < seen(levels.tolist()).reliability


def test_where_everybody_has_one_act_rewards_decide() -> None:
    assert seen([[1.0], [2.0]]).reliability == 1


def sight(totals: np.ndarray, reliability: float = 1.0) -> Sight:
    return Sight(totals, reliability)


def test_a_statement_pays_those_whose_acts_speak_for_it() -> None:
    rng = np.random.default_rng(2)
    totals = rng.normal(3, 2, size=80)
    gains = 0.5 * (totals - 3) + rng.normal(size=80)
    (line,) = fitted([KIND], [sight(totals)], [gains])
    assert line.text == "Be kind."
    assert line.usual == pytest.approx(totals.mean())
    assert line.slope == pytest.approx(0.5, abs=0.1)
    assert line.gain(9) > 0 > line.gain(-3)


def test_one_that_pays_nobody_by_itself_is_drawn_to_the_others() -> None:
    rng = np.random.default_rng(3)
    totals = rng.normal(size=100)
    noisy = rng.permutation(rng.normal(size=100) * 5)
    clear = totals + rng.normal(size=100)
    lines = fitted([KIND, DRY], [sight(totals), sight(totals)], [clear, noisy])
    alone = float(np.polyfit(totals, noisy, 1)[0])
    assert {line.text for line in lines} == {"Be kind.", "Be dry."}
    assert abs(lines[1].slope - lines[0].slope) < abs(alone - lines[0].slope)


def test_what_a_statement_gains_regardless_is_drawn_to_nothing() -> None:
    """By hand: the mean gain is 1 with a variance of 1/2, the prior 0 with one of 1."""
    (line,) = fitted([KIND], [sight(np.array([-1.0, 1.0]))], [np.array([0.0, 2.0])])
    assert line.slope == pytest.approx(1)
    assert line.base == pytest.approx(2 / 3)


def test_gains_that_are_all_alike_are_as_uncertain_as_what_evidence_is_worth() -> None:
    """By hand: slopes of 4 and 0, so 2 for both, which is the noise of the second one as well."""
    totals, sure = np.array([-1.0, 1.0]), Statement("warmth", "warm", "Be warm.")
    _, line = fitted([KIND, sure], [sight(totals)] * 2, [np.array([0.0, 8.0]), np.full(2, 3.0)])
    assert line.slope == pytest.approx(2 / 3)
    assert line.base == pytest.approx(2)


def test_a_dimension_stays_whole_or_goes() -> None:
    totals = np.arange(20.0)
    kind, dry = fitted([KIND, DRY], [sight(totals), sight(-totals)], [9 * totals, 2 * totals])
    assert kind.slope > 0
    assert dry.slope == 0, "and it stays: the other one's level is the difference to it"
    unseen = [sight(totals), sight(-totals, 0.0)]
    assert [line.slope > 0 for line in fitted([KIND, DRY], unseen, [totals, totals])] == [1, 0]
    failed = np.full(20, np.nan)
    assert fitted([KIND, DRY], [sight(totals), sight(-totals)], [totals, failed]) == ()


def test_where_evidence_points_the_wrong_way_there_is_no_line() -> None:
    totals = np.arange(20.0)
    assert fitted([KIND], [sight(totals)], [-totals]) == ()
    assert fitted([KIND], [sight(totals, 0.0)], [totals]) == ()


def test_what_failed_is_left_out() -> None:
    totals = np.arange(20.0)
    gains = totals.copy()
    gains[3] = -np.inf
    (line,) = fitted([KIND], [sight(totals)], [gains])
    assert np.isfinite([line.slope, line.base, line.usual]).all()
    assert fitted([KIND], [sight(totals)], [np.full(20, -np.inf)]) == ()
