"""Shortening: the winner with less to read, as every inference pays for its demonstrations.

A shorter one takes the winner's place where its reward on the same users is at least as high: a
summary that stays word for word the same has the same reward. It is stopped early like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from popi_prompt.candidate import Candidate
from popi_prompt.models.door import Door
from popi_prompt.optimizers.crossover import Grown, with_set
from popi_prompt.optimizers.demonstrations import DemonstrationSet
from popi_prompt.optimizers.space import Choice, Space
from popi_prompt.prompts import VIEWS


def shortened(
    space: Space, best: Choice, is_new: Callable[[Grown], bool], door: Door
) -> Grown | None:
    """The first new way to say less: the liked texts alone, or one example fewer, longest first.

    Every summary keeps an example. None where there is nothing to leave out.
    """
    return next((each for each in _shorter(space, best, door) if is_new(each)), None)


def reading(candidate: Candidate, door: Door) -> int:
    """Tokens that the inference model reads besides a user's signals."""
    texts = [candidate.instruction]
    texts += [text for demo in candidate.demonstrations for text in (demo.signals, demo.summary)]
    texts += candidate.menu.summaries if candidate.menu else ()
    return sum(door.count_tokens("inference", text) for text in texts)


def _shorter(space: Space, best: Choice, door: Door) -> Iterator[Grown]:
    if VIEWS[best["view"]] == "full" and best["demonstrations"]:
        yield space, {**best, "view": VIEWS.index("liked")}
    shown = space.sets[best["demonstrations"]]
    tokens = [
        door.count_tokens("inference", demo.signals) for demo in shown.rendered(VIEWS[best["view"]])
    ]
    summaries = [text for _, text in shown.examples]
    for i in sorted(range(len(tokens)), key=tokens.__getitem__, reverse=True):
        if summaries.count(summaries[i]) > 1:
            rest = shown.examples[:i] + shown.examples[i + 1 :]
            yield with_set(space, best, DemonstrationSet(rest))
