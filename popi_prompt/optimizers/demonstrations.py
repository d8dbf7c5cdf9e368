"""Demonstration sets: people whose best summary is clear, in an order to be rehearsed.

People are training users, or invented where no user may be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.bank import Invented
from popi_prompt.candidate import Demonstration
from popi_prompt.models.door import Door
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.prompts import View, render_signals
from popi_prompt.schema import User

MOST_EXAMPLES = 8
_LAST = 2  # examples of the last block, at most: a longer one decides everything
_MIXED = 0.25  # the share of sets whose summaries are mixed; they come in blocks otherwise
_MOST_TOKENS = 1500
_CLEAR = 0.6  # the share of a summary's users that may show it

Example = tuple[User, str]
Pool = Mapping[str, Sequence[User]]  # who may show a summary


@dataclass(frozen=True, slots=True)
class DemonstrationSet:
    """Users and their summaries, in the order they are shown."""

    examples: tuple[Example, ...]

    def rendered(self, view: View) -> tuple[Demonstration, ...]:
        """As the inference model is shown them."""
        return tuple(
            Demonstration(render_signals(user.signals, view), summary, quoted(user))
            for user, summary in self.examples
        )


def quoted(user: User) -> str | None:
    """Whose text a demonstration holds, for the books; nobody's if they were invented."""
    return None if isinstance(user, Invented) else user.user_id


def draw_sets(
    by_summary: Mapping[str, Sequence[User]], *, count: int, rng: np.random.Generator
) -> tuple[DemonstrationSet, ...]:
    """Up to `count` different sets.

    They differ in users, in how many each summary gets and in order: a small model leans to what it
    saw last, by far more than users differ, and only rehearsing tells which lean cancels out.
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


def clearest(by_summary: Mapping[str, Sequence[User]]) -> dict[str, Sequence[User]]:
    """Those of each summary's users, the clearest first, who may show it."""
    most = _most_each(len(by_summary))
    return {
        text: users[: max(round(len(users) * _CLEAR), most)] for text, users in by_summary.items()
    }


def _draw(by_summary: Mapping[str, Sequence[User]], rng: np.random.Generator) -> DemonstrationSet:
    """Each summary with a few examples, in blocks of which the last is short, or mixed."""
    most = _most_each(len(by_summary))
    texts = list(by_summary)
    examples: list[Example] = []
    for turn, i in enumerate(rng.permutation(len(texts)), start=1):
        users = by_summary[texts[i]]
        wanted = int(rng.integers(1, (_LAST if turn == len(texts) > 1 else most) + 1))
        examples += [(users[k], texts[i]) for k in rng.permutation(len(users))[:wanted]]
    if rng.random() < _MIXED:
        examples = [examples[i] for i in rng.permutation(len(examples))]
    return DemonstrationSet(tuple(examples))


def _most_each(summaries: int) -> int:
    return max(MOST_EXAMPLES // max(summaries, 1), 2)
