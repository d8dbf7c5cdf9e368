"""How many users it takes to see a gain, from the spread that paired differences had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from popi_prompt.intervals import FEWEST

GAIN = 0.05  # five points of reward accuracy
POWER = 0.8
_LEVEL = 0.05  # two-sided, as of the 95% intervals
_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Needed:
    """Users who show a mean gain of `gain` with 80% power; `low` and `high` bound it by 95%.

    `measured` is the number of users whose differences told their spread.
    """

    gain: float
    users: int
    low: int
    high: int
    measured: int


def users_needed(spread: float, gain: float = GAIN, power: float = POWER) -> int:
    """Users for whom a paired, two-sided 5% test sees a mean gain with this power.

    n = (z[1 - 0.05/2] + z[power])^2 (spread / gain)^2 + z[1 - 0.05/2]^2 / 2, rounded up; `spread`
    is the standard deviation over users of the paired difference, in the unit of the gain, and z
    are quantiles of the standard normal distribution. The last term makes up for the spread being
    estimated. Source: W. C. Guenther, Sample size formulas for normal theory t tests, The American
    Statistician 35 (1981) 243-244. No fewer than 4, of fewer no interval is known.
    """
    normal = NormalDist()
    sides = normal.inv_cdf(1 - _LEVEL / 2)
    exact = ((sides + normal.inv_cdf(power)) * spread / gain) ** 2 + sides**2 / 2
    return max(FEWEST, math.ceil(exact))


def fewest_users(gain: float, step: float) -> int:
    """Users without whom no mean gain of `gain` can be seen, however the figures fall.

    `step` is what one pair changes in a user's figure; for the least variance see `needed`.
    """
    return users_needed(_least_spread(gain, step), gain)


def smallest_gain(users: int, step: float, power: float = POWER) -> float:
    """The gain for which `fewest_users` are so many; at most `step`, at which all users gain it.

    From n = z^2 (step / gain - 1) + z[1 - 0.05/2]^2 / 2 with z = z[1 - 0.05/2] + z[power].
    """
    normal = NormalDist()
    sides = normal.inv_cdf(1 - _LEVEL / 2)
    both = (sides + normal.inv_cdf(power)) ** 2
    return step * both / (both + max(0.0, users - sides**2 / 2))


def _least_spread(gain: float, step: float) -> float:
    return math.sqrt(max(gain * (step - gain), 0))


def needed(differences: Sequence[float], step: float, gain: float = GAIN) -> Needed | None:
    """Users needed by the spread of these differences, one a user; None of fewer than 4.

    `step` is what one pair changes in a user's figure: 1 / their pairs, on average over users.
    Figures that move in such steps cannot gain `gain` with a variance below gain (step - gain):
    where the measured one is less, as between texts that always win and texts that always lose,
    that one counts. The bounds are those by the 2.5th and 97.5th percentile of the spread over
    resamples of the users; the same differences have the same bounds.
    """
    count = len(differences)
    if count < FEWEST:
        return None
    values = np.asarray(differences, dtype=np.float64)
    picks = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    low, high = np.percentile(values[picks].std(axis=1, ddof=1), (2.5, 97.5))
    spread = float(values.std(ddof=1))
    least = _least_spread(gain, step)
    return Needed(
        gain=gain,
        users=users_needed(max(spread, least), gain),
        low=users_needed(max(min(float(low), spread), least), gain),
        high=users_needed(max(float(high), spread, least), gain),
        measured=count,
    )
