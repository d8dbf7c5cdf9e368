"""Users of two opposite tastes, and fakes that a compiled program can serve."""

from __future__ import annotations

from collections.abc import Callable

from popi_prompt.candidate import Candidate
from popi_prompt.comparison import Scoring, compare
from popi_prompt.errors import ContextTooLong, ModelError
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.prompts import Messages
from popi_prompt.report import Report
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import ALL_ROWS
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.scorers import ChoiceScorer, LikelihoodScorer
from popi_prompt.testing import FakeModel, fake_door

PLAIN = "simple everyday words that a young child understands"
EXPERT = "precise technical terms that only an expert knows"
COMPILED_CANDIDATE = Candidate("Look closely.")


def person(i: int) -> User:
    chosen, rejected = (PLAIN, EXPERT) if i % 2 else (EXPERT, PLAIN)
    return User(
        f"u{i:02d}",
        (Preference(f"signal {i}", f"{chosen} {i}", f"{rejected} {i}"),),
        (Pair(f"pair {i}", f"{chosen} now", f"{rejected} now"),),
        gold=chosen,
        group="plain" if i % 2 else "expert",
    )


PEOPLE = tuple(person(i) for i in range(12))


def infer(messages: Messages, sampling: Sampling) -> str:
    """The compiled instruction names the taste, the untuned one says nothing."""
    if messages[0].content != COMPILED_CANDIDATE.instruction:
        return "be nice"
    liked = messages[-1].content.split("Liked: ")[1]
    return PLAIN if liked.startswith(PLAIN) else EXPERT


def never(messages: Messages) -> ModelError | None:
    return None


def door(fails: Callable[[Messages], ModelError | None] = never) -> Door:
    models = {"generator": FakeModel(fails=fails), "inference": FakeModel(infer)}
    return fake_door(models)


def compared(
    users: tuple[User, ...] = PEOPLE,
    through: Door | None = None,
    rows: tuple[str, ...] = ALL_ROWS,
    candidate: Candidate = COMPILED_CANDIDATE,
) -> Report:
    reached = through if through is not None else door()
    scoring = Scoring(reached, LikelihoodScorer(), PopiReward(), (ChoiceScorer(),))
    return compare(candidate, users, scoring, rows)


def too_long(messages: Messages) -> ModelError | None:
    long = any("Request: signal" in message.content for message in messages)
    return ContextTooLong("the prompt does not fit") if long else None
