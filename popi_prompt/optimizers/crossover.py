"""Crossover: the best combination with one part of another good one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from popi_prompt.optimizers.demonstrations import DemonstrationSet
from popi_prompt.optimizers.space import Choice, Space

_PARTNERS = 3

Grown = tuple[Space, Choice]  # a choice, and the space with what is new in it


def crossed(
    space: Space, good: Sequence[Choice], is_new: Callable[[Grown], bool], rng: np.random.Generator
) -> Grown | None:
    """A new child of the first of `good` and of one right after it; None where there is none.

    It has one part of the other, or all examples of one summary from the other's demonstrations.
    """
    children = [
        child
        for other in good[1 : 1 + _PARTNERS]
        for child in (*_parts(space, good[0], other), *_blocks(space, good[0], other))
        if is_new(child)
    ]
    return children[rng.integers(len(children))] if children else None


def _parts(space: Space, best: Choice, other: Choice) -> Iterator[Grown]:
    for name, value in other.items():
        if value != best[name]:
            yield space, {**best, name: value}


def _blocks(space: Space, best: Choice, other: Choice) -> Iterator[Grown]:
    mine, theirs = (space.sets[each["demonstrations"]] for each in (best, other))
    for text in dict.fromkeys(text for _, text in mine.examples):
        mixed = exchanged(mine, theirs, text)
        if mixed is not None:
            yield with_set(space, best, mixed)


def exchanged(
    mine: DemonstrationSet, theirs: DemonstrationSet, text: str
) -> DemonstrationSet | None:
    """Mine with their examples of this summary in place of its own, where the first one stood.

    None where they have none, or where somebody would be shown twice.
    """
    new = [example for example in theirs.examples if example[1] == text]
    places = [i for i, example in enumerate(mine.examples) if example[1] == text]
    if not (new and places):
        return None
    kept = [(i, example) for i, example in enumerate(mine.examples) if example[1] != text]
    before = [example for i, example in kept if i < places[0]]
    after = [example for i, example in kept if i > places[0]]
    examples = (*before, *new, *after)
    shown = {user.user_id for user, _ in examples}
    return DemonstrationSet(examples) if len(shown) == len(examples) else None


def with_set(space: Space, choice: Choice, examples: DemonstrationSet) -> Grown:
    """The choice with these demonstrations, which the space gets if it has them not."""
    grown = space.joined(Space(sets=(examples,)))
    return grown, {**choice, "demonstrations": grown.sets.index(examples)}
