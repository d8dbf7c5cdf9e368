"""What a search with two objectives measured: reward against tokens inserted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate on all validation users: means over the `users` that could be scored.

    `tokens` are those inserted into the generator's prompt, `margin` is D in the scorer's unit.
    `failed` users could not be scored.
    """

    candidate: Candidate
    reward: float
    tokens: float
    margin: float
    users: int
    failed: int = 0


def undominated(points: Iterable[Point]) -> tuple[Point, ...]:
    """The front, the highest reward first: no other point has as much for as few tokens.

    Only points that failed on the fewest users are on it: none gets there by failing where it is
    bad. Of equal points the untuned program is kept, else the earliest.
    """
    points = tuple(points)
    fewest = min((each.failed for each in points), default=0)
    front: list[Point] = []
    for each in sorted(points, key=_best_first):
        if each.failed == fewest and (not front or each.tokens < front[-1].tokens):
            front.append(each)
    return tuple(front)


def _best_first(point: Point) -> tuple[float, float, bool]:
    return -point.reward, point.tokens, point.candidate != UNTUNED_CANDIDATE
