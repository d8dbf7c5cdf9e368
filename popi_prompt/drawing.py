"""Some of the users, drawn by a seed; or more than there are, as numbered copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count as counting
from operator import attrgetter

import numpy as np

from popi_prompt.errors import UsageError
from popi_prompt.schema import Dialogue, Interaction, Preference, Signal, User


def sample(users: Sequence[User], count: int | None, seed: int) -> tuple[User, ...]:
    """At most `count` of the users, drawn by the seed; the order of the file does not matter."""
    users = sorted(users, key=attrgetter("user_id"))
    if count is None or count >= len(users):
        return tuple(users)
    picked = np.random.default_rng(seed).permutation(len(users))[:count]
    return tuple(users[i] for i in sorted(picked))


def draw(
    users: Sequence[User], count: int, seed: int = 0, *, copies: bool = False
) -> Iterator[User]:
    """`count` of the users, by the seed, as they are; with `copies`, more than there are.

    Copies are for tests of load, not for measuring: they say what their originals say. The third
    copy of user "ada" is "ada#3", and every prompt of hers, in signals and pairs, ends with
    " (copy 3)", so that copies of different numbers share no prompts and can be split.

    Raises `UsageError` for more users than there are, without `copies`.
    """
    if count > len(users) and not copies:
        raise UsageError(
            f"there are {len(users)} users, fewer than {count}; --copies numbers copies of them, "
            "for tests of load"
        )
    return _drawn(users, count, seed)


def _drawn(users: Sequence[User], count: int, seed: int) -> Iterator[User]:
    yield from sample(users, count, seed)
    left = count - len(users)
    known = {user.user_id for user in users}
    for number in counting(2):
        if left <= 0:
            return
        if any(_numbered_id(user, number) in known for user in users):
            continue  # the users are copies themselves
        for user in sample(users, left, seed):
            yield _copy(user, number)
        left -= len(users)


def _numbered_id(user: User, number: int) -> str:
    return f"{user.user_id}#{number}"


def _copy(user: User, number: int) -> User:
    return replace(
        user,
        user_id=_numbered_id(user, number),
        signals=tuple(_signal(signal, number) for signal in user.signals),
        pairs=tuple(replace(pair, prompt=_numbered(pair.prompt, number)) for pair in user.pairs),
    )


def _signal(signal: Signal, number: int) -> Signal:
    if isinstance(signal, Interaction | Preference):
        return replace(signal, prompt=_numbered(signal.prompt, number))
    if isinstance(signal, Dialogue):
        return Dialogue(
            tuple(
                replace(turn, content=_numbered(turn.content, number))
                if turn.role == "user"
                else turn
                for turn in signal.messages
            )
        )
    return signal


def _numbered(prompt: str, number: int) -> str:
    return f"{prompt} (copy {number})"
