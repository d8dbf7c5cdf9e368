"""The one door to every model: roles, an answer paid once, a count of calls and tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from popi_prompt.errors import ModelError, UsageError
from popi_prompt.models.model import Answer, Model, Sampling, ScoringModel
from popi_prompt.prompts import Messages

Role = Literal["generator", "inference", "proposer"]
ROLES: tuple[Role, ...] = ("generator", "inference", "proposer")
Open = Callable[[str], Model]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a role has used. Answers from memory are not counted; `tokens` are in + out."""

    calls: int = 0
    tokens: int = 0


class Door:
    """Models by role. Thread-safe; the same request is sent once, whoever asks.

    Every `ModelError` that leaves it names the role and the model.
    """

    def __init__(self, models: Mapping[str, str], *, open_model: Open | None = None):
        self.names: dict[str, str] = dict(models)
        self._open = open_model if open_model is not None else open_model_by_name
        self._models: dict[str, Model] = {}
        self._answers: dict[Any, Future[Any]] = {}
        self._spent: dict[Role, Spent] = {}
        self._lock = threading.RLock()

    def chat(self, role: Role, messages: Messages, sampling: Sampling) -> Answer:
        """An answer of the role's model."""
        model = self.model(role)

        def send() -> Answer:
            answer = model.chat(messages, sampling)
            self._count(role, answer.tokens_in + answer.tokens_out)
            return answer

        return self._once(role, ("chat", self.names[role], messages, sampling), send)

    def logprobs(
        self, role: Role, messages: Messages, responses: Sequence[str]
    ) -> tuple[float, ...]:
        """Summed log-probabilities; see `ScoringModel`."""
        model = self.model(role)
        if not isinstance(model, ScoringModel):
            raise UsageError(
                f"{role} {model.name!r} gives no log-probabilities of given answers; "
                "use --scorer choice"
            )
        scoring: ScoringModel = model

        def send() -> tuple[float, ...]:
            values = scoring.logprobs(messages, responses)
            texts = (*(message.content for message in messages), *responses)
            self._count(role, sum(map(model.count_tokens, texts)))
            return values

        return self._once(role, ("logprobs", self.names[role], messages, tuple(responses)), send)

    def option_odds(
        self, role: Role, messages: Messages, options: Sequence[str]
    ) -> tuple[float, ...]:
        """Odds of the options as the next word; see `Model`."""
        model = self.model(role)

        def send() -> tuple[float, ...]:
            odds = model.option_odds(messages, options)
            self._count(role, sum(model.count_tokens(m.content) for m in messages) + 1)
            return odds

        return self._once(role, ("odds", self.names[role], messages, tuple(options)), send)

    def count_tokens(self, role: Role, text: str) -> int:
        """Tokens of a text by the role's tokenizer."""
        return self.model(role).count_tokens(text)

    def scores_responses(self, role: Role) -> bool:
        """Whether the role's model gives log-probabilities of given answers."""
        return isinstance(self.model(role), ScoringModel)

    def model(self, role: Role) -> Model:
        """The role's model, opened at first use."""
        name = self.names[role]
        with self._lock:
            if name not in self._models:
                try:
                    self._models[name] = self._open(name)
                except ModelError as error:
                    raise _named(error, role, name) from None
            return self._models[name]

    def spent(self) -> dict[Role, Spent]:
        """Calls and tokens so far, by role."""
        with self._lock:
            return dict(self._spent)

    def _count(self, role: Role, tokens: int) -> None:
        with self._lock:
            before = self._spent.get(role, Spent())
            self._spent[role] = Spent(before.calls + 1, before.tokens + tokens)

    def _once(self, role: Role, key: Any, send: Callable[[], _T]) -> _T:
        """The answer to `key`: from memory, from whoever is asking now, or by sending.

        Errors are not remembered: a later call tries again.
        """
        with self._lock:
            future = self._answers.get(key)
            mine = future is None
            if future is None:
                future = self._answers[key] = Future()
        if mine:
            try:
                future.set_result(send())
            except BaseException as error:
                with self._lock:
                    del self._answers[key]
                future.set_exception(error)
        try:
            result: _T = future.result()
        except ModelError as error:
            raise _named(error, role, self.names[role]) from error
        return result


def _named(error: ModelError, role: str, model: str) -> ModelError:
    return type(error)(error.problem, role=role, model=model, user_id=error.user_id)


def open_model_by_name(name: str) -> Model:
    """`local/...` and `*.gguf` in this process, everything else through LiteLLM."""
    from popi_prompt.models.local import is_local, load_local

    if is_local(name):
        return load_local(name)
    from popi_prompt.models.litellm_model import LiteLLMModel

    return LiteLLMModel(name)
