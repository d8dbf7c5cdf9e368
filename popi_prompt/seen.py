"""Which users a program has seen: those it was compiled from must not measure it."""

from __future__ import annotations

from collections.abc import Sequence

from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample
from popi_prompt.program import Program
from popi_prompt.schema import User
from popi_prompt.split import Split, split_users


def held_out(program: Program, users: Sequence[User]) -> tuple[User, ...]:
    """The users a program never saw: the test part of its own data, all users of other data."""
    split = own_split(program, users)
    return tuple(user for user in users if user.pairs) if split is None else split.test


def own_split(program: Program, users: Sequence[User]) -> Split | None:
    """The parts by which the program was compiled; None where it was from other users."""
    for count in (None, program.origin.users):
        own = sample(users, count, program.origin.seed)
        if fingerprint(own) == program.origin.dataset:
            return split_users(own, seed=program.origin.seed)
    return None
