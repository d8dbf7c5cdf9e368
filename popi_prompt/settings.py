"""What a run of `optimize` can be told, and the door that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from popi_prompt.candidate import Demos
from popi_prompt.errors import UsageError
from popi_prompt.events import Observer, ignore
from popi_prompt.models.access import Access
from popi_prompt.models.door import Door
from popi_prompt.optimizers import Optimizer
from popi_prompt.optimizers.effort import EFFORTS, Auto, Effort, effort_for
from popi_prompt.rewards import PopiReward, Reward
from popi_prompt.scorers import Scorer

DEFAULT_MODEL = "local/smollm2-135m"
_LAST_SEED = 2**32 - 1  # that Optuna's samplers take


@dataclass(frozen=True, slots=True)
class Settings:
    """What `optimize` can be told.

    None means: for `proposer` the inference model, for `judge` the generator, for
    `embedding_model` the generator if it is an embedded one, for `scorer` the best one the
    generator allows, for `max_users` everyone, for `held_out` the whole test part in the report,
    for `demos` "real" where all users are marked public, else "synthetic". "real" writes signals
    of training users into the program, word for word; "synthetic" writes invented ones only.
    `auto` says how much is looked at, and how many trials there are; `trials` alone is medium
    effort with so many. `folds` first repeats the search on as many splits, to see what it gains on
    all users.
    `scorer` is a name, a "module:function" or a `Scorer`; `optimizer` is a name, a "module:Class"
    or an `Optimizer`. `force` ships a program that is not proven to be better than the untuned one.
    `access` says how models are reached, what the run may cost and what it keeps.
    """

    generator: str = DEFAULT_MODEL
    inference_model: str = DEFAULT_MODEL
    proposer: str | None = None
    judge: str | None = None
    embedding_model: str | None = None
    scorer: str | Scorer | None = None
    reward: Reward = field(default_factory=PopiReward)
    optimizer: str | Optimizer = "popi"
    trials: int | None = None
    auto: Auto | None = None
    max_users: int | None = None
    held_out: int | None = None
    seed: int = 0
    force: bool = False
    demos: Demos | None = None
    folds: int | None = None
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        """Raise `UsageError` for a bad `seed`, and an `auto` that is none, or beside `trials`."""
        if not 0 <= self.seed <= _LAST_SEED:
            raise UsageError(f"the seed is {self.seed}; it may be 0 to {_LAST_SEED}")
        if self.auto is not None and self.auto not in EFFORTS:
            raise UsageError(f"unknown auto {self.auto!r}; known: {', '.join(EFFORTS)}")
        if self.auto is not None and self.trials is not None:
            raise UsageError(
                f"auto is {self.auto!r} and trials are {self.trials}; drop one, as auto sets trials"
            )

    def effort(self) -> Effort:
        """How much the search looks at."""
        effort = effort_for(self.auto, self.access.caps.calls)
        return effort if self.trials is None else effort.with_trials(self.trials)

    def names(self) -> dict[str, str]:
        """Models by role."""
        return {
            "generator": self.generator,
            "inference": self.inference_model,
            "proposer": self.proposer or self.inference_model,
            **self.access.scoring_names(
                self.generator, judge=self.judge, embedding=self.embedding_model
            ),
        }

    def door(self, observer: Observer = ignore) -> Door:
        """The door to these models."""
        return self.access.door(self.names(), observer)
