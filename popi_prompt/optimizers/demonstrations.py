"""Demonstration sets: training users whose best summary is clear, balanced over summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import Demonstration
from popi_prompt.models.door import Door
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.prompts import View, render_signals
from popi_prompt.schema import User

_ROUNDS = 2
_MOST_TOKENS = 1800
_CLEAR = 0.5  # the share of a summary's users that demonstrations are drawn from


@dataclass(frozen=True, slots=True)
class DemonstrationSet:
    """Users and their summaries, in the order they are shown."""

    examples: tuple[tuple[User, str], ...]

    def rendered(self, view: View) -> tuple[Demonstration, ...]:
        """As the inference model is shown them."""
        return tuple(
            Demonstration(render_signals(user.signals, view), summary)
            for user, summary in self.examples
        )


def draw_sets(
    table: RewardTable,
    users: Sequence[User],
    texts: Sequence[str],
    *,
    count: int,
    rng: np.random.Generator,
) -> tuple[DemonstrationSet, ...]:
    """Up to `count` different sets.

    A user's summary is the text with the highest reward; drawn are those for whom it wins by most.
    Every round shows each summary once: a small model repeats what it saw last, and a list that
    ends twice on one summary would end all answers on it.
    """
    by_summary = _by_summary(table, users, texts)
    sets: dict[DemonstrationSet, None] = {}
    for _ in range(4 * count):
        drawn = _draw(by_summary, rng)
        if len(drawn.examples) >= 2:
            sets[drawn] = None
        if len(sets) == count:
            break
    return tuple(sets)


def fits(examples: DemonstrationSet, view: View, door: Door) -> bool:
    """Whether the set leaves room for a user's signals in a small context."""
    tokens = sum(
        door.count_tokens("inference", demo.signals) + door.count_tokens("inference", demo.summary)
        for demo in examples.rendered(view)
    )
    return tokens <= _MOST_TOKENS


def _by_summary(
    table: RewardTable, users: Sequence[User], texts: Sequence[str]
) -> dict[str, list[User]]:
    """Users by their best text, the clearest first."""
    gaps: dict[str, list[tuple[float, int]]] = {text: [] for text in texts}
    for i, user in enumerate(users):
        rewards = table.rewards(user, texts)
        order = np.argsort(rewards)[::-1]
        if not np.all(np.isfinite(rewards)):
            continue
        gap = rewards[order[0]] - rewards[order[1]] if len(order) > 1 else 0.0
        gaps[texts[order[0]]].append((-gap, i))
    return {text: [users[i] for _, i in sorted(found)] for text, found in gaps.items()}


def _draw(by_summary: dict[str, list[User]], rng: np.random.Generator) -> DemonstrationSet:
    """Rounds of one user for each summary, in random order within a round."""
    pools: dict[str, list[User]] = {}
    for text, found in by_summary.items():
        clear = found[: max(int(len(found) * _CLEAR), _ROUNDS)]
        pools[text] = [clear[i] for i in rng.permutation(len(clear))]
    picked: list[tuple[User, str]] = []
    for _ in range(_ROUNDS):
        shown = [(pool.pop(), text) for text, pool in pools.items() if pool]
        picked += [shown[i] for i in rng.permutation(len(shown))]
    return DemonstrationSet(tuple(picked))
