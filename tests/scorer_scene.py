"""A small world in which every scorer has something to see.

A summary with "small" in it makes the generator write simply, with "troposphere" like an expert.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from popi_prompt.errors import ModelError
from popi_prompt.generator import Generator
from popi_prompt.models.model import Sampling
from popi_prompt.models.roles import ROLES
from popi_prompt.prompts import Conditioning, Messages
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import SCORERS, FunctionScorer, PairScore, Scorer
from popi_prompt.testing import FakeModel, fake_door

PLAIN = "small drops of water fall down"
EXPERT = "condensed droplets precipitate gravitationally from the troposphere"
PAIR = Pair("What is rain?", PLAIN, EXPERT)
OTHER = Pair("What is snow?", "small cold flakes that fall down", "crystalline precipitation")
ADA = User("ada", (), (PAIR, OTHER))
FITTING = "Use small words like water and drops."
UNFITTING = "Speak of the troposphere, of condensed and precipitate, gravitationally."
SUMMARIES = (None, FITTING, UNFITTING, "nothing of use")
SYSTEM = Conditioning("system")

_QUESTION = re.compile(
    r"(?P<context>.*?)Request: .*?\n\nAnswer A: (?P<A>.*?)\n\nAnswer B: (?P<B>.*?)\n\nWhich", re.S
)
_BARE = "water falls from condensed clouds"
_WRITTEN = {
    "small": "small drops of water fall",
    "troposphere": "condensed droplets from the troposphere",
}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def reading_odds(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
    """By words shared with what is known, less those with what was disliked.

    With a liking for A and for short answers; a third option is a tie, and takes a tenth.
    """
    found = _QUESTION.match(messages[0].content)
    assert found is not None
    disliked = set(words(" ".join(re.findall(r"Disliked: (.*)", found["context"]))))
    known = set(words(found["context"])) - disliked
    logits = [0.3, 0.0]
    for i, option in enumerate("AB"):
        said = words(found[option])
        logits[i] += sum((word in known) - (word in disliked) for word in said) - len(said) / 10
    tie = 0.1 * (len(options) - 2)
    first = (1 - tie) / (1 + math.exp(logits[1] - logits[0]))
    return (first, 1 - tie - first, tie)[: len(options)]


def by_words(user: User, pair: Pair, summary: str | None, answer: str) -> float:
    """A function of a user's own: is the answer in the words of the chosen one?"""
    said = set(words(answer))
    chosen, rejected = (len(said & set(words(text))) for text in (pair.chosen, pair.rejected))
    return (chosen + 1) / (chosen + rejected + 2)


Fails = Callable[[Messages], ModelError | None]


@dataclass(frozen=True)
class Scene:
    """Models of all roles, each its own.

    With `exchanged`, the generator writes with a summary what it would without, and without what
    it would with this one.
    """

    user: User = ADA
    conditioning: Conditioning = SYSTEM
    exchanged: str | None = None
    fails: Fails = lambda messages: None
    models: dict[str, FakeModel] = field(default_factory=dict)

    def generator(self) -> Generator:
        """New models behind a new door."""
        for role in ROLES:
            model = FakeModel(self._reply, name=role, fails=self.fails)
            self.models[role] = model
            model.option_odds = self._noted(model)  # type: ignore[method-assign, assignment]
        return Generator(fake_door(self.models), self.conditioning)

    def score(self, scorer: Scorer, summary: str | None, pair: Pair = PAIR) -> PairScore:
        """On new models."""
        return scorer.score(self.generator(), self.user, pair, summary)

    def _noted(self, model: FakeModel) -> Callable[[Messages, Sequence[str]], tuple[float, ...]]:
        def odds(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
            FakeModel.option_odds(model, messages, options)
            return reading_odds(messages, options)

        return odds

    def _reply(self, messages: Messages, sampling: Sampling) -> str:
        text = " ".join(message.content for message in messages)
        prompt = next(pair.prompt for pair in (PAIR, OTHER) if pair.prompt in text)
        summary = text.replace(prompt, "").strip()
        if self.exchanged is not None:
            summary = "" if summary else self.exchanged
        if not summary:
            return _BARE
        return next((said for word, said in _WRITTEN.items() if word in summary), "clouds")


Mirror = Callable[[Scene, Pair, "str | None"], tuple[Scene, Pair]]


def other_way_round(scene: Scene, pair: Pair, summary: str | None) -> tuple[Scene, Pair]:
    """Chosen and rejected have changed places."""
    return scene, replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def answers_exchanged(scene: Scene, pair: Pair, summary: str | None) -> tuple[Scene, Pair]:
    """The answers with and without the summary have changed places."""
    return replace(scene, exchanged=summary, models={}), pair


@dataclass(frozen=True)
class Case:
    """A scorer, the roles that it asks, and what turns its score round."""

    scorer: Scorer
    roles: frozenset[str]
    mirror: Mirror = other_way_round


CASES = {
    "likelihood": Case(SCORERS["likelihood"](), frozenset({"generator"})),
    "choice": Case(SCORERS["choice"](), frozenset({"generator"})),
    "judge": Case(SCORERS["judge"](), frozenset({"generator", "judge"}), answers_exchanged),
    "similarity": Case(SCORERS["similarity"](), frozenset({"generator", "embedding"})),
    "own": Case(FunctionScorer("own:by_words", by_words), frozenset({"generator"})),
}
