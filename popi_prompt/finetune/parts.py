"""Who is trained on and who is not: held-out users of a program never are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from popi_prompt.drawing import sample
from popi_prompt.program import Program
from popi_prompt.schema import User
from popi_prompt.seen import own_split
from popi_prompt.split import split_users


@dataclass(frozen=True, slots=True)
class Parts:
    """Users to train on and to validate on, and how many are neither, by reason.

    `own` says whether the split is the one by which the program was compiled.
    """

    train: tuple[User, ...]
    validation: tuple[User, ...]
    apart: dict[str, int]
    own: bool


HELD_OUT = "held out for evaluation"
NO_PAIRS = "without pairs"
SHARED = "left out by the split, to keep prompts apart"
NOT_OF_RUN = "not among the users of the program's run"
BEYOND = "beyond --max-users"
NOT_WANTED = "to choose by, as no validation file is wanted"


def parts_of(
    program: Program, users: Sequence[User], most: int | None = None, *, validate: bool = True
) -> Parts:
    """The program's own parts, where these are its users; else the parts of these by its seed.

    Of each part at most `most` users, drawn by the seed. Raises `OptimizationError` where the data
    cannot be split.
    """
    seed = program.origin.seed
    own = own_split(program, users)
    split = own or split_users(sample(users, None, seed), seed=seed)
    train = sample(split.train, most, seed)
    validation = sample(split.val, most, seed) if validate else ()
    with_pairs = sum(bool(user.pairs) for user in users)
    in_parts = len(split.train) + len(split.val) + len(split.test)
    not_of_run = with_pairs - in_parts - split.dropped_users
    beyond = len(split.train) - len(train) + (len(split.val) - len(validation)) * validate
    apart = {
        HELD_OUT: len(split.test),
        NO_PAIRS: len(users) - with_pairs,
        SHARED: split.dropped_users,
        NOT_OF_RUN: not_of_run,
        BEYOND: beyond,
        NOT_WANTED: 0 if validate else len(split.val),
    }
    return Parts(train, validation, {why: n for why, n in apart.items() if n}, own=own is not None)
