"""Fakes for tests, yours and ours: a model that costs nothing and always says the same."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence

from popi_prompt.errors import ModelError
from popi_prompt.models.books import Answers, Books, Calls
from popi_prompt.models.door import Door
from popi_prompt.models.meter import Meter
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.roles import ROLES
from popi_prompt.models.spent import Caps
from popi_prompt.prompts import Message, Messages

Reply = Callable[[Messages, Sampling], str]


class FakeModel:
    """A model whose answers are a function; satisfies `Model`, `ScoringModel`, `EmbeddingModel`.

    A response's log-probability is -1 for every word of it that the messages do not hold, and
    -0.1 for every word they do: a context that speaks like the response makes it likelier.
    `calls` lists what was asked, for assertions. `fails` may raise for messages it dislikes.
    """

    concurrency = 1

    def __init__(
        self,
        reply: Reply | str = "Be brief.",
        *,
        name: str = "fake",
        fails: Callable[[Messages], ModelError | None] = lambda messages: None,
    ):
        self.name = name
        self.calls: list[tuple[str, Messages]] = []
        self._reply = reply
        self._fails = fails

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """The reply, counted in words."""
        self._note("chat", messages)
        text = self._reply if isinstance(self._reply, str) else self._reply(messages, sampling)
        return Answer(
            text, "stop", sum(len(m.content.split()) for m in messages), len(text.split())
        )

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        """By words shared with the messages."""
        self._note("logprobs", messages)
        known = {word for message in messages for word in _words(message.content)}
        return tuple(
            sum(-0.1 if word in known else -1.0 for word in _words(response))
            for response in responses
        )

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """All options are equally likely."""
        self._note("odds", messages)
        return tuple(1 / len(options) for _ in options)

    def embed(self, text: str) -> tuple[float, ...]:
        """How often words fall into each of 64 bins; texts that share words are alike."""
        self._note("embedding", (Message("user", text),))
        bins = [0.0] * 64
        for word in _words(text) or [""]:
            bins[zlib.crc32(word.encode("utf-8", "surrogatepass")) % len(bins)] += 1
        return tuple(bins)

    def count_tokens(self, text: str) -> int:
        """Words."""
        return len(text.split())

    def _note(self, what: str, messages: Messages) -> None:
        self.calls.append((what, messages))
        error = self._fails(messages)
        if error is not None:
            raise error


class FakeChatModel:
    """A `FakeModel` behind a route that gives no log-probabilities of given answers."""

    concurrency = 1

    def __init__(self, model: FakeModel | None = None):
        self._model = model or FakeModel()
        self.name = self._model.name
        self.chat = self._model.chat
        self.option_odds = self._model.option_odds
        self.count_tokens = self._model.count_tokens


def fake_door(
    models: Mapping[str, FakeModel | FakeChatModel] | None = None,
    caps: Caps | None = None,
    trace: Calls | None = None,
    *,
    cache: Answers | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Door:
    """A door whose roles are fakes; roles that are not named share one.

    Nothing is kept on disk without a `cache`; `clock` is what a cap in minutes goes by.
    """
    shared = FakeModel()
    named: dict[str, FakeModel | FakeChatModel] = {
        f"fake/{role}": (models or {}).get(role, shared) for role in ROLES
    }
    names: dict[str, str] = {role: f"fake/{role}" for role in ROLES}
    books = Books(Meter(caps or Caps(), clock=clock), cache=cache, trace=trace)
    return Door(names, open_model=lambda route: named[route.model], books=books)


def _words(text: str) -> list[str]:
    return [word.strip(".,;:!?\"'()").casefold() for word in text.split()]
