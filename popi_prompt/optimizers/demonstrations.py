"""Demonstration sets: training users whose best summary is clear, in an order to be rehearsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import Demonstration
from popi_prompt.models.door import Door
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.prompts import View, render_signals
from popi_prompt.schema import User

_EXAMPLES = 8
_FEWEST = 2  # of each summary
_MOST_TOKENS = 1500
_CLEAR = 0.6  # the share of a summary's users that demonstrations are drawn from


@dataclass(frozen=True, slots=True)
class DemonstrationSet:
    """Users and their summaries, in the order they are shown."""

    examples: tuple[tuple[User, str], ...]

    def rendered(self, view: View) -> tuple[Demonstration, ...]:
        """As the inference model is shown them."""
        return tuple(
            Demonstration(render_signals(user.signals, view), summary, user.user_id)
            for user, summary in self.examples
        )


def draw_sets(
    by_summary: Mapping[str, Sequence[User]], *, count: int, rng: np.random.Generator
) -> tuple[DemonstrationSet, ...]:
    """Up to `count` different sets.

    They differ in users, in how many each summary gets and in order: a small model leans to what it
    saw last and most, and only rehearsing tells which lean cancels out.
    """
    sets: dict[DemonstrationSet, None] = {}
    for _ in range(4 * count):
        drawn = _draw(by_summary, rng)
        if len(drawn.examples) >= 2:
            sets[drawn] = None
        if len(sets) == count:
            break
    return tuple(sets)


def fits(examples: DemonstrationSet, view: View, door: Door) -> bool:
    """Whether the set is short enough: every inference pays for it, and contexts may be small."""
    tokens = sum(
        door.count_tokens("inference", demo.signals) + door.count_tokens("inference", demo.summary)
        for demo in examples.rendered(view)
    )
    return tokens <= _MOST_TOKENS


def users_by_summary(
    table: RewardTable, users: Sequence[User], texts: Sequence[str]
) -> dict[str, list[User]]:
    """Users under the text with the highest reward for them, those it wins by most first.

    Users with an empty cell are left out.
    """
    gaps: dict[str, list[tuple[float, int]]] = {text: [] for text in texts}
    for i, user in enumerate(users):
        rewards = table.rewards(user, texts)
        order = np.argsort(rewards)[::-1]
        if not np.all(np.isfinite(rewards)):
            continue
        gap = rewards[order[0]] - rewards[order[1]] if len(order) > 1 else 0.0
        gaps[texts[order[0]]].append((-gap, i))
    return {text: [users[i] for _, i in sorted(found)] for text, found in gaps.items()}


def _draw(by_summary: Mapping[str, Sequence[User]], rng: np.random.Generator) -> DemonstrationSet:
    """Each summary with about its share of examples, whose order is blocks, rounds or a shuffle."""
    share = max(_EXAMPLES // max(len(by_summary), 1), _FEWEST)
    drawn: list[list[tuple[User, str]]] = []
    for text, users in by_summary.items():
        clear = users[: max(round(len(users) * _CLEAR), share)]
        wanted = int(share + rng.integers(-1, 2))
        drawn.append([(clear[i], text) for i in rng.permutation(len(clear))[:wanted]])
    blocks = [drawn[i] for i in rng.permutation(len(drawn))]
    order = rng.integers(3)
    if order == 0:
        examples = [example for block in blocks for example in block]
    elif order == 1:
        longest = max(map(len, blocks), default=0)
        examples = [block[i] for i in range(longest) for block in blocks if i < len(block)]
    else:
        flat = [example for block in blocks for example in block]
        examples = [flat[i] for i in rng.permutation(len(flat))]
    return DemonstrationSet(tuple(examples))
