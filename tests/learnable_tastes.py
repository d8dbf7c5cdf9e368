"""Users of two tastes, and an inference model that an instruction or demonstrations teach."""

from __future__ import annotations

import time
from collections.abc import Callable

from toy_tastes import COMPILED_CANDIDATE, never, person

from popi_prompt.comparison import Scoring
from popi_prompt.errors import ModelError
from popi_prompt.events import Observer, ignore
from popi_prompt.guard import Guard
from popi_prompt.models.books import Answers, Calls
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.models.spent import Caps
from popi_prompt.optimizers import Optimizer
from popi_prompt.optimizers.effort import Auto
from popi_prompt.prompts import Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.search import Searched, search
from popi_prompt.settings import Settings
from popi_prompt.split import Split, split_users
from popi_prompt.testing import FakeModel, fake_door

Fails = Callable[[Messages], ModelError | None]
LEARNERS = tuple(person(i) for i in range(24))
SPLIT = split_users(LEARNERS, seed=0)
TAUGHT = COMPILED_CANDIDATE.instruction


def liked(signals: str) -> str:
    """The taste in rendered signals, whichever view of them."""
    shown = signals.split("Liked: ")[-1].removeprefix("- ").splitlines()[0]
    return shown.rsplit(" ", 1)[0]


def learns(messages: Messages, sampling: Sampling) -> str:
    """The taste if the instruction is the right one, or a demonstration shows the same taste.

    Untaught, the model gets every third user right by itself.
    """
    signals = messages[-1].content
    taste = liked(signals)
    if messages[0].content == TAUGHT:
        return taste
    shown = zip(messages[1:-1:2], messages[2::2], strict=False)
    for asked, summary in shown:
        if liked(asked.content) == taste:
            return summary.content
    number = int(signals.split("Liked: ")[-1].splitlines()[0].rsplit(" ", 1)[1])
    return taste if number % 3 == 0 else "be nice"


def learning_door(
    fails: Fails = never,
    caps: Caps | None = None,
    *,
    proposer: FakeModel | None = None,
    trace: Calls | None = None,
    cache: Answers | None = None,
    clock: Callable[[], float] = time.monotonic,
    models: dict[str, FakeModel] | None = None,
) -> Door:
    """`models`, if given, is filled with the fakes by role."""
    made = {
        "generator": FakeModel(fails=fails),
        "inference": FakeModel(learns, fails=fails),
        "proposer": proposer or FakeModel(TAUGHT),
    }
    if models is not None:
        models.update(made)
    return fake_door(made, caps, trace, cache=cache, clock=clock)


def searched(
    optimizer: str | Optimizer,
    door: Door,
    *,
    trials: int = 5,
    seed: int = 0,
    observer: Observer = ignore,
    split: Split = SPLIT,
    auto: Auto | None = None,
    guard: Guard = Guard(),
) -> Searched:
    """A search on the learners, with so many trials or that effort."""
    settings = Settings(optimizer=optimizer, trials=None if auto else trials, auto=auto, seed=seed)
    scoring = Scoring(door, LikelihoodScorer(), PopiReward())
    return search(split, scoring, settings, observer, guard=guard)
