"""How much a search looks at: named efforts, each of one round or of rounds that grow.

A later round builds a larger space from the same users and texts. What an earlier one asked is in
the door's memory and costs nothing, so starting small delays the large round a little, and leaves
a candidate that is scored on validation users early.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from popi_prompt.bank import BANK, STATEMENTS, Statement
from popi_prompt.candidate import Candidate
from popi_prompt.starting_points import STARTING_POINTS

Auto = Literal["light", "medium", "heavy"]


@dataclass(frozen=True, slots=True)
class Round:
    """How large a space is built, and how many of its combinations are tried.

    `screening` are pairs of how many training users score the summaries and how many summaries
    are kept after that; the last users also say how many kinds of taste there are. `opposed` of
    those kept first are the ones that moved answers away from the choices by most: what the other
    taste may want, where few users are asked. `probing` users and summaries rank the
    conditionings; without any, the last one is taken. For so many users, `own`, summaries are
    sampled from their own signals, to be shown; with any, an instruction of ours is tried as well.
    With `couples`, users who made opposite choices are drawn together, and those of `screening` are
    counted as one. `calibrating` training users tell how much a model leans to each summary that it
    chooses from; without any, it writes them. Where it is `guided`, summaries are kept by what
    users get on the model's guess.
    """

    screening: tuple[tuple[int, int], ...]
    opposed: int
    probing: tuple[int, int]
    training_users: int
    drawn: int
    rehearsing_users: int
    variations: int  # rehearsed blocks of users after which sets are varied
    parents: int  # sets that are varied then
    sets: int  # sets that go into the space
    proposals: int
    trials: int
    calls: int  # what building it takes, about
    own: int = 0
    statements: tuple[Statement, ...] = STATEMENTS  # of the bank, that are screened
    couples: bool = False
    calibrating: int = 0
    guided: bool = False


@dataclass(frozen=True, slots=True)
class Effort:
    """Rounds in their order. `calls`, if given, is what the search never asks more than.

    `training_users` is what an optimizer without rounds goes by, and `validation_users` how many
    users every optimizer chooses by, at most; `choosing_users`, training users too, where nothing
    is learned from them. `starts` are candidates without demonstrations, which are tried before any
    round, one trial each.
    """

    rounds: tuple[Round, ...]
    training_users: int
    validation_users: int = 32
    choosing_users: int = 32
    calls: int | None = None
    starts: tuple[Candidate, ...] = ()

    @property
    def trials(self) -> int:
        """Of all rounds, and the starting points."""
        return len(self.starts) + sum(each.trials for each in self.rounds)

    def with_trials(self, trials: int) -> Effort:
        """As many trials in all, handed out from the first round on; the last takes what is left.

        A round that gets none is left out. Beside starting points there is one trial at least.
        """
        *before, last = self.rounds
        left = max(trials - len(self.starts), 1)
        rounds: list[Round] = []
        for each in before:
            rounds.append(replace(each, trials=min(each.trials, left)))
            left -= rounds[-1].trials
        rounds.append(replace(last, trials=left))
        return replace(self, rounds=tuple(each for each in rounds if each.trials))


_FIRST = Round(
    screening=((3, 7), (6, 4), (8, 3)),
    opposed=2,
    probing=(0, 0),
    training_users=12,
    drawn=4,
    rehearsing_users=6,
    variations=1,
    parents=1,
    sets=2,
    proposals=0,
    trials=2,
    calls=150,
)
_SECOND = Round(
    screening=((3, 7), (6, 4), (10, 3)),
    opposed=2,
    probing=(0, 0),
    training_users=20,
    drawn=6,
    rehearsing_users=8,
    variations=2,
    parents=2,
    sets=3,
    proposals=0,
    trials=8,
    calls=150,
)
_MEDIUM = Round(
    screening=((6, 7), (12, 4)),
    opposed=0,
    probing=(4, 2),
    training_users=72,
    drawn=10,
    rehearsing_users=36,
    variations=3,
    parents=3,
    sets=4,
    proposals=2,
    trials=8,
    calls=900,
)
_HEAVY = Round(
    screening=((8, 8), (16, 5)),
    opposed=2,
    probing=(4, 2),
    training_users=96,
    drawn=12,
    rehearsing_users=36,
    variations=4,
    parents=3,
    sets=6,
    proposals=2,
    trials=12,
    calls=1400,
    own=8,
    statements=BANK,
    couples=True,
    calibrating=24,
    guided=True,
)
_LIGHT = replace(
    _FIRST,
    screening=((4, 10), (10, 6)),
    trials=4,
    calls=245,
    statements=BANK,
    couples=True,
    calibrating=12,
    guided=True,
)

LIGHT = Effort(
    (_LIGHT,),
    _LIGHT.training_users,
    validation_users=12,
    choosing_users=12,
    calls=385,
    starts=STARTING_POINTS[:1],
)
MEDIUM = Effort((replace(_MEDIUM, calibrating=24),), _MEDIUM.training_users)
HEAVY = Effort((_HEAVY,), _HEAVY.training_users, choosing_users=128, starts=STARTING_POINTS)
GROWING = Effort((_FIRST, _SECOND, replace(_MEDIUM, trials=1)), _MEDIUM.training_users)
EFFORTS: dict[Auto, Effort] = {"light": LIGHT, "medium": MEDIUM, "heavy": HEAVY}

_ENOUGH = 1200  # calls within which the medium effort has scored its first candidates


def effort_for(auto: Auto | None, max_calls: int | None) -> Effort:
    """The named one; else medium, in growing rounds where a cap may end it early."""
    if auto is not None:
        return EFFORTS[auto]
    return MEDIUM if max_calls is None or max_calls >= _ENOUGH else GROWING
