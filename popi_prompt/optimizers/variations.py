"""One change to a demonstration set, against the lean that its rehearsal showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.optimizers.demonstrations import MOST_EXAMPLES, DemonstrationSet, Example
from popi_prompt.schema import User

Shown = tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Lean:
    """Which summary a set makes too likely over all users together, and which too unlikely."""

    excess: str
    lacking: str


def vary(
    varied: DemonstrationSet,
    by_summary: Mapping[str, Sequence[User]],
    lean: Lean,
    rng: np.random.Generator,
) -> DemonstrationSet:
    """The set with one change, drawn from those that work against its lean.

    The summary in excess loses an example or comes earlier, the lacking one gets one more, or
    another user shows a summary, which moves the lean a little either way. Every summary keeps an
    example. A set that cannot be changed comes back as it is.
    """
    shown = varied.examples
    kinds = [
        _fewer(shown, lean.excess),
        _more(shown, by_summary, lean.lacking),
        _later(shown, lean),
        _others(shown, by_summary),
    ]
    open_to = [kind for kind in kinds if kind]
    if not open_to:
        return varied
    kind = open_to[rng.integers(len(open_to))]
    return DemonstrationSet(kind[rng.integers(len(kind))])


def _fewer(shown: Shown, excess: str) -> list[Shown]:
    places = [i for i, (_, text) in enumerate(shown) if text == excess]
    return [shown[:i] + shown[i + 1 :] for i in places] if len(places) > 1 else []


def _more(shown: Shown, by_summary: Mapping[str, Sequence[User]], lacking: str) -> list[Shown]:
    """One more right after another of its kind, so that blocks stay blocks."""
    if len(shown) >= MOST_EXAMPLES:
        return []
    places = [i + 1 for i, (_, text) in enumerate(shown) if text == lacking]
    spare = _spare(shown, by_summary, lacking)
    return [(*shown[:i], (user, lacking), *shown[i:]) for i in places for user in spare]


def _later(shown: Shown, lean: Lean) -> list[Shown]:
    """The lacking summary changes places with one in excess right behind it."""
    return [
        (*shown[:i], shown[i + 1], shown[i], *shown[i + 2 :])
        for i in range(len(shown) - 1)
        if (shown[i][1], shown[i + 1][1]) == (lean.lacking, lean.excess)
    ]


def _others(shown: Shown, by_summary: Mapping[str, Sequence[User]]) -> list[Shown]:
    return [
        (*shown[:i], (user, text), *shown[i + 1 :])
        for i, (_, text) in enumerate(shown)
        for user in _spare(shown, by_summary, text)
    ]


def _spare(shown: Shown, by_summary: Mapping[str, Sequence[User]], text: str) -> list[User]:
    used = {user.user_id for user, _ in shown}
    return [user for user in by_summary.get(text, ()) if user.user_id not in used]
