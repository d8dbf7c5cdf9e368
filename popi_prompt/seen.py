"""Which users a program has seen: those it was compiled from must not measure it."""

from __future__ import annotations

from collections.abc import Sequence

from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample
from popi_prompt.events import Noted, Observer, ignore
from popi_prompt.program import Program
from popi_prompt.schema import User
from popi_prompt.split import Split, split_users

_OTHER_DATA = (
    "DATA is not what the program was compiled from, so all its users are measured; any whom the "
    "program learnt from are not held out: give the file that it was compiled from to leave them "
    "out"
)


def held_out(
    program: Program, users: Sequence[User], observer: Observer = ignore
) -> tuple[User, ...]:
    """The users a program never saw: the test part of its own data, all users of other data.

    Data that differ from its own in a single user are other data, and may hold users it has seen:
    the observer is told.
    """
    split = own_split(program, users)
    if split is not None:
        return split.test
    observer(Noted(_OTHER_DATA))
    return tuple(user for user in users if user.pairs)


def own_split(program: Program, users: Sequence[User]) -> Split | None:
    """The parts by which the program was compiled; None where it was from other users."""
    for count in (None, program.origin.users):
        own = sample(users, count, program.origin.seed)
        if fingerprint(own) == program.origin.dataset:
            return split_users(own, seed=program.origin.seed)
    return None


def part_of(program: Program, users: Sequence[User]) -> str:
    """What a title calls those whom `held_out` gives."""
    return "users" if own_split(program, users) is None else "held-out users"
