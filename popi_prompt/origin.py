"""How a program came to be, as its file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from popi_prompt.candidate import Demos

# Of a program that names none.
USUAL_REWARD = "popi"
USUAL_OPTIMIZER = "popi"
USUAL_DEMOS: Demos = "real"


@dataclass(frozen=True, slots=True)
class Scores:
    """A program on held-out users: n, share of pairs with D > 0, mean D, tokens inserted."""

    users: int
    reward_accuracy: float
    margin: float
    tokens_median: float


@dataclass(frozen=True, slots=True)
class Origin:
    """How a program came to be; `scores_*` are None where nothing was measured.

    `trials` are those that the optimizer had told of when the program was made: all of them, but
    for one that was kept on the way.
    Synthetic `demos` show invented people; that they share no run of six words with any text of
    `users_checked` users was checked when the program was made.
    """

    scorer: str
    seed: int
    dataset: str
    users: int
    trials: int
    scores_before: Scores | None = None
    scores_after: Scores | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    reward: str = USUAL_REWARD
    optimizer: str = USUAL_OPTIMIZER
    demos: Demos = USUAL_DEMOS
    users_checked: int = 0
