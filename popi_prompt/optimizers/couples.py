"""Couples: users who chose differently between the same answers.

What a generator is asked about one of them answers the question about the other, so a couple costs
no more than one user. And it tells more than two other users: what a summary does to both alike,
such as making the shorter answer likelier, is no gain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from popi_prompt.schema import User

Choices = frozenset[tuple[str, str, str]]


def in_couples(users: Sequence[User]) -> list[User]:
    """All of them in their order, but who made the opposite choices follows right after."""
    by_choices: dict[Choices, list[int]] = defaultdict(list)
    for i, user in enumerate(users):
        by_choices[_choices(user)].append(i)
    order: dict[int, None] = {}
    for i, user in enumerate(users):
        if i in order:
            continue
        order[i] = None
        opposite = by_choices.get(_opposite(user), ())
        order.update(dict.fromkeys([j for j in opposite if j not in order][:1]))
    return [users[i] for i in order]


def asking(users: Sequence[User], questions: int) -> Sequence[User]:
    """The first of them, until so many different questions are asked; couples ask the same."""
    asked: set[frozenset[Choices]] = set()
    for i, user in enumerate(users):
        asked.add(frozenset((_choices(user), _opposite(user))))
        if len(asked) > questions:
            return users[:i]
    return users


def _choices(user: User) -> Choices:
    return frozenset((pair.prompt, pair.chosen, pair.rejected) for pair in user.pairs)


def _opposite(user: User) -> Choices:
    return frozenset((pair.prompt, pair.rejected, pair.chosen) for pair in user.pairs)
