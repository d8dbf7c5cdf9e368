"""Means over users with 95% intervals, and how many users a change helped or harmed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from popi_prompt.errors import OptimizationError

RESAMPLES = 10_000
FEWEST = 4  # of fewer values no interval is known
FEWEST_ALIKE = 6  # of values all alike: 5 of 5 have p = 0.06 in a two-sided sign test, 6 of 6 0.03
MOST = 1_000  # of more values the mean is as good as normal, and resamples take gigabytes
_LEAST_SPREAD = 0.4
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users and its 95% interval; infinite bounds where there are too few users."""

    mean: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the interval excludes 0 upward."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether it excludes 0 downward."""
        return self.high < 0


def as_record(interval: Interval | None) -> dict[str, float | None] | None:
    """Plain JSON; a bound that is not known is null."""
    if interval is None:
        return None
    bounds = {"low": interval.low, "high": interval.high}
    return {
        "mean": interval.mean,
        **{name: at if math.isfinite(at) else None for name, at in bounds.items()},
    }


def bootstrap(
    values: Sequence[float], lowest: float = -math.inf, highest: float = math.inf
) -> Interval:
    """Mean and symmetric 95% bootstrap-t interval, within `lowest` and `highest`.

    mean +- q * s / sqrt(n), where s is the standard deviation of the n values and q the 95th
    percentile of |mean* - mean| / (s* / sqrt(n)) over 10,000 resamples with replacement. Unlike
    percentiles of mean*, it covers 93-97% from 16 values on, also of skewed and heavy-tailed ones:
    `benchmarks/interval_coverage.py`. s* counts as no less than 0.4 s, so that resamples of almost
    equal values do not make it infinite. The resamples depend on n alone, so the same values have
    the same interval.

    Of more than 1,000 values q is the normal distribution's, 1.96. Fewer than 4 values have no
    bounds. Values that are all alike have no spread to go by: see `_alike`. Raises
    `OptimizationError` without values.
    """
    if not values:
        raise OptimizationError("nothing to compare: no user could be scored in both rows")
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if len(array) < FEWEST:
        return Interval(mean, lowest, highest)
    spread = float(array.std(ddof=1))
    if spread <= max(1e-12 * float(np.abs(array).max()), np.finfo(np.float64).tiny):
        return _alike(mean, len(array), lowest, highest)
    half = spread * _critical((array - mean) / spread)
    return Interval(mean, max(mean - half, lowest), min(mean + half, highest))


def _alike(value: float, count: int, lowest: float, highest: float) -> Interval:
    """The interval of `count` values that are all `value`.

    At a limit, as of shares that are all 1, it is as wide as the exact interval of `count` out of
    `count`: of people of whom a share below 0.025 ** (1 / count) is at the limit, so many alike
    are drawn in less than 2.5% of all cases, and the others are the whole range away at most.
    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404-413. Elsewhere there is no
    width; fewer than 6 values have no bounds, but for zeros, which claim nothing.
    """
    span = highest - lowest
    if math.isfinite(span) and min(value - lowest, highest - value) <= _SAME:
        reach = span * (1 - 0.025 ** (1 / count))
        return Interval(value, max(value - reach, lowest), min(value + reach, highest))
    if value != 0 and count < FEWEST_ALIKE:
        return Interval(value, lowest, highest)
    return Interval(value, value, value)


def _critical(deviations: NDArray[np.float64]) -> float:
    """q / sqrt(n), for values of mean 0 and standard deviation 1."""
    count = len(deviations)
    if count > MOST:
        return NormalDist().inv_cdf(0.975) / math.sqrt(count)
    weights = _weights(count)
    means = weights @ deviations
    variances = np.maximum(weights @ deviations**2 - means**2, 0) * count / (count - 1)
    spreads = np.maximum(np.sqrt(variances), _LEAST_SPREAD)
    return float(np.percentile(np.abs(means) / spreads, 95))


@lru_cache(maxsize=2)
def _weights(count: int) -> NDArray[np.float64]:
    """Each row is a resample: the share of it that each of the values is."""
    picks = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return picks / count


def proportion(count: int, total: int) -> Interval:
    """A share of independent items and its 95% Wilson score interval, also where all are alike.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209-212. Raises
    `OptimizationError` without items.
    """
    if total == 0:
        raise OptimizationError("there is nothing to count")
    z = NormalDist().inv_cdf(0.975)
    share = count / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many users a change helped, left as they were, and harmed."""

    helped: int
    unchanged: int
    harmed: int


def tally(differences: Sequence[float]) -> Tally:
    """By the sign of each user's difference; 1e-9 and less is rounding, so unchanged."""
    helped = sum(each > _SAME for each in differences)
    harmed = sum(each < -_SAME for each in differences)
    return Tally(helped, len(differences) - helped - harmed, harmed)
