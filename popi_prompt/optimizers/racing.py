"""Racing: a candidate that is unlikely to win is not scored on the users that are left.

The test is Wilcoxon's signed-rank test on paired gaps (Wilcoxon, Individual comparisons by ranking
methods, Biometrics Bulletin 1, 1945), as in Optuna's WilcoxonPruner, but exact: with few users the
normal approximation is none. The distribution is that of the ranks as they are, ties at their mean
rank, under random signs; gaps of zero say nothing and are dropped.

A candidate is looked at after every block of four users. Over eight looks at the level of stopping,
one as good as the best is stopped in about half of all races, which loses nothing; one that is
better by 0.3 standard deviations of the gaps in 12%, by 0.6 in 3% (simulated, normal gaps). That
costs as many users as a rule of one standard error, so the level is not corrected for many looks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STOPPED = 0.2
CONFIRMED = 0.1


def probability_of_less(gaps: Sequence[float]) -> float:
    """How likely signed ranks as low as those of `gaps` are if either sign is as likely.

    1 where no gap differs from zero.
    """
    values = np.array([gap for gap in gaps if gap != 0])
    if not len(values):
        return 1.0
    doubled = _doubled_ranks(np.abs(values))
    observed = int(doubled[values > 0].sum())
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[: len(ways) - rank]
        ways = (ways + shifted) / 2
    return float(ways[: observed + 1].sum())


def hopeless(gaps: Sequence[float]) -> bool:
    """Whether rewards less those of the best, user by user, say that it will not be the best."""
    return bool(gaps) and float(np.mean(gaps)) < 0 and probability_of_less(gaps) < STOPPED


def better(gaps: Sequence[float]) -> bool:
    """Whether they say that it is better than the best, and not luckier."""
    if not gaps or float(np.mean(gaps)) <= 0:
        return False
    return probability_of_less([-gap for gap in gaps]) < CONFIRMED


def _doubled_ranks(sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Twice the mean rank of each, a whole number."""
    below = (sizes[:, None] > sizes[None, :]).sum(axis=1)
    same = (sizes[:, None] == sizes[None, :]).sum(axis=1)
    doubled: NDArray[np.int64] = 2 * below + same + 1
    return doubled
