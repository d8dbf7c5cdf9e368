"""What evidence is worth: from the acts and rewards of training users to the lines of a portrait.

Rewards of one pair say little: what a statement does to two answers depends on what they are about
by far more than on the person. So two things are learned apart. Whether people differ in a
dimension at all, and how well one sees it, is a matter of acts alone, of which there are many, and
of no call of the generator. What is paid for it is learned from rewards, mostly for all statements
together; each moves from there as far as its own users say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from popi_prompt.bank import Statement
from popi_prompt.portrait import Line

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sight:
    """How a statement's level is seen in training users: `totals` by user, in nats.

    `reliability` is the share of the variance of totals that is of users and not of acts, in 0..1.
    """

    totals: Floats
    reliability: float

    @property
    def standard(self) -> Floats:
        """Standard scores, drawn to the mean by what acts add: what is known of each user."""
        spread = self.totals.std()
        scores: Floats = self.reliability * (self.totals - self.totals.mean()) / (spread or 1.0)
        return scores


def seen(levels: Sequence[Sequence[float]]) -> Sight:
    """From a statement's levels by user and act.

    The variance of users is the mean product of the levels of two acts of one user, about the mean
    of all (the one-way random effects model); below 0 it is none. A user has as many acts here as
    they have on average. Where everybody has one act, rewards alone decide: reliability is 1.
    """
    users = [np.array(each) for each in levels]
    every = np.concatenate(users)
    about = [each - every.mean() for each in users]
    pairs = sum(len(each) * (len(each) - 1) for each in about)
    products = sum(float(each.sum() ** 2 - (each**2).sum()) for each in about)
    total = float(every.var())
    alike = min(max(products / pairs, 0.0) / total, 1.0) if pairs and total else float(not pairs)
    acts = len(every) / len(users)
    return Sight(np.array([each.sum() for each in users]), acts * alike / (1 + (acts - 1) * alike))


def fitted(
    statements: Sequence[Statement], sights: Sequence[Sight], gains: Sequence[Floats]
) -> tuple[Line, ...]:
    """Lines of the dimensions whose statements could all be fitted, if evidence pays at all.

    `gains` are by statement and user; those that are not finite are unknown. Slopes on standard
    scores have the slope of all statements together as their prior, and that is its standard
    deviation, too: a statement may well be worth nothing, or twice as much, but no less than
    nothing. Gains of who is told it regardless have 0 and the same deviation. A level is a matter
    of all statements of a dimension, so it stays whole.
    """
    known = [np.isfinite(each) for each in gains]
    scores = [sight.standard[ok] for sight, ok in zip(sights, known, strict=True)]
    paid = [each[ok] for each, ok in zip(gains, known, strict=True)]
    square = sum(float(x @ x) for x in scores)
    product = sum(float(x @ (y - y.mean())) for x, y in zip(scores, paid, strict=True) if len(y))
    usual = product / square if square else 0.0
    if usual <= 0:
        return ()
    lines: list[Line] = []
    unknown: set[str] = set()
    for statement, sight, x, y in zip(statements, sights, scores, paid, strict=True):
        spread = float(sight.totals.std())
        if len(y) < 2 or not spread:
            unknown.add(statement.dimension)
            continue
        noise, square = float(y.var()) or usual**2, float(x @ x)
        slope = 0.0
        if square:
            found = float(x @ (y - y.mean())) / square
            slope = max(_drawn(found, noise / square, usual, usual), 0.0)
        base = _drawn(float(y.mean()), noise / len(y), 0.0, usual)
        mean, worth = float(sight.totals.mean()), slope * sight.reliability / spread
        lines.append(Line(statement.dimension, statement.text, mean, worth, base))
    return tuple(line for line in lines if line.dimension not in unknown)


def _drawn(found: float, variance: float, prior: float, deviation: float) -> float:
    """The mean of a normal posterior."""
    own, other = 1 / variance, 1 / deviation**2
    return (own * found + other * prior) / (own + other)
