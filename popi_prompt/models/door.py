"""The one door to every model: an answer is paid once, and every call is counted and traced."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from popi_prompt.errors import BadResponse, CallError, ModelError, UsageError
from popi_prompt.models.attribution import attribution
from popi_prompt.models.books import Books, Question
from popi_prompt.models.failures import Failures
from popi_prompt.models.meter import Meter, unknown_price
from popi_prompt.models.model import (
    Answer,
    EmbeddingModel,
    Hosted,
    Model,
    Sampling,
    ScoringModel,
)
from popi_prompt.models.prices import price_of
from popi_prompt.models.request import Kept, Request
from popi_prompt.models.roles import ROLES as ROLES
from popi_prompt.models.roles import Role
from popi_prompt.models.route import Route, ScoringMethod
from popi_prompt.models.spent import Spent
from popi_prompt.prompts import Message, Messages

if TYPE_CHECKING:
    from popi_prompt.models.capability import Capability

Open = Callable[[Route], Model]
_T = TypeVar("_T", bound=Kept)


class _Asked:
    """A request that was made or is under way, and the users it is about."""

    def __init__(self) -> None:
        self.answer: Future[Any] = Future()
        self.users: set[str] = set()


class Door:
    """Models by role. Thread-safe; the same request is sent once, whoever asks.

    A request goes through the memory of this door, then the cache on disk, then it is reserved at
    the meter and sent. Every `CallError` that leaves names role, model and,
    where the caller's context tells it, the user. Raises `UsageError` for a cap in USD where a
    price is not known.
    """

    def __init__(
        self,
        models: Mapping[str, str | Route],
        *,
        open_model: Open | None = None,
        books: Books | None = None,
    ):
        self._known: dict[Route, Route] = {}
        self._open = open_model if open_model is not None else open_route
        self._books = books if books is not None else Books()
        self._models: dict[Route, Model] = {}
        self._answers: dict[tuple[int, Request], _Asked] = {}
        self._lock = threading.RLock()
        self._lead({}, models)

    def elsewhere(self, models: Mapping[str, str | Route]) -> Door:
        """A door with these roles led elsewhere; all else is shared, down to the memory.

        Raises `UsageError` like a new door. Closing one of them closes both.
        """
        door = copy.copy(self)
        door._lead(self.routes, models)
        return door

    def for_run(self, failures: Failures) -> Door:
        """A door where a call that failed fails again; all else is shared, down to the memory."""
        door = copy.copy(self)
        door._books = self._books.failing_again(failures)
        return door

    def _lead(self, before: Mapping[str, Route], models: Mapping[str, str | Route]) -> None:
        self.routes: dict[str, Route] = dict(before)
        for role, each in models.items():
            route = each if isinstance(each, Route) else Route(each)
            self.routes[role] = self._known.setdefault(route, route)
        self.names: dict[str, str] = {role: route.model for role, route in self.routes.items()}
        if self._books.meter.caps.usd is not None:
            for role, route in self.routes.items():
                if price_of(route) is None:
                    raise UsageError(unknown_price(role, route.model))

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not on disk yet. Answers are still given, from the models alone."""
        self._books.close()

    def afresh(self) -> Door:
        """A door to the same models that asks everything again, but what a route can do.

        Meter and trace are this door's, and are closed with it.
        """
        other = Door(self.routes, open_model=self._opened, books=self._books.without_answers())
        with self._lock:
            for key, asked in self._answers.items():
                if key[1].kind == "probe":
                    other._answers[key] = asked
        return other

    def chat(
        self, role: Role, messages: Messages, sampling: Sampling, *, cut_off_ok: bool = False
    ) -> Answer:
        """An answer of the role's model. One cut off at `max_tokens` is a `BadResponse`.

        With `cut_off_ok` it is an answer, with `finish` "length".
        """
        model = self.model(role)
        drawn = self.routes[role].drawn(sampling)
        request = Request("chat", messages, drawn)
        answer = self._once(role, request, lambda: model.chat(messages, drawn))
        if answer.finish == "length" and not cut_off_ok:
            error = BadResponse(
                f"the answer was cut off at {drawn.max_tokens} tokens; set max_tokens under "
                f"[models.{role}] in a --config file"
            )
            raise self._named(error, role)
        return answer

    def logprobs(
        self, role: Role, messages: Messages, responses: Sequence[str]
    ) -> tuple[float, ...]:
        """Summed log-probabilities; see `ScoringModel`."""
        model = self.model(role)
        request = Request("logprobs", messages, given=tuple(responses))
        method = self.capability(role).scoring if isinstance(model, Hosted) else None
        if isinstance(model, Hosted) and method is not None:
            hosted: Hosted = model
            found: ScoringMethod = method
            return self._once(role, request, lambda: hosted.score(found, messages, responses))
        if isinstance(model, Hosted) or not isinstance(model, ScoringModel):
            raise UsageError(
                f"{role} {self.names[role]!r} gives no log-probabilities of given answers; "
                "use --scorer choice"
            )
        scoring: ScoringModel = model
        return self._once(role, request, lambda: scoring.logprobs(messages, responses))

    def option_odds(
        self, role: Role, messages: Messages, options: Sequence[str]
    ) -> tuple[float, ...]:
        """Odds of the options as the next word; see `Model`."""
        model = self.model(role)
        request = Request("odds", messages, given=tuple(options))
        return self._once(role, request, lambda: model.option_odds(messages, options))

    def embedding(self, role: Role, text: str) -> tuple[float, ...]:
        """The text's vector; see `EmbeddingModel`."""
        model = self.model(role)
        if not isinstance(model, EmbeddingModel):
            raise UsageError(f"{role} {self.names[role]!r} does not embed texts")
        embeds: EmbeddingModel = model
        request = Request("embedding", (Message("user", text),))
        return self._once(role, request, lambda: embeds.embed(text))

    def count_tokens(self, role: Role, text: str) -> int:
        """Tokens of a text by the role's tokenizer."""
        return self.model(role).count_tokens(text)

    def scores_responses(self, role: Role) -> bool:
        """Whether the role's model gives log-probabilities of given answers."""
        return self.capability(role).scorer == "likelihood"

    def capability(self, role: Role) -> Capability:
        """Which log-probabilities the role's model gives; a route is asked once, and kept."""
        model = self.model(role)
        if isinstance(model, Hosted):
            return self._once(role, Request("probe", ()), model.probe)
        from popi_prompt.models.capability import EMBEDDED, NEITHER

        return EMBEDDED if isinstance(model, ScoringModel) else NEITHER

    def embedded(self, role: Role) -> bool:
        """Whether the role's model answers in this process."""
        return self.routes[role].embedded

    def model(self, role: Role) -> Model:
        """The role's model, opened at first use."""
        try:
            return self._opened(self.routes[role])
        except ModelError as error:
            raise self._named(error, role) from None

    def _opened(self, route: Route) -> Model:
        with self._lock:
            if route not in self._models:
                self._models[route] = self._open(route)
            return self._models[route]

    def asked(self) -> int:
        """How many different requests have an answer, whether paid, from disk or under way.

        The same in a run that is repeated from the cache, unlike what was spent.
        """
        with self._lock:
            return sum(request.kind != "probe" for _, request in self._answers)

    @property
    def meter(self) -> Meter:
        """What counts and caps the calls."""
        return self._books.meter

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are on disk for later processes."""
        return self._books.keep_answers

    def spent(self) -> dict[str, Spent]:
        """What was sent so far, by role."""
        return self._books.meter.spent()

    def _once(self, role: Role, request: Request, ask: Callable[[], _T]) -> _T:
        """The answer from memory, from whoever is asking now, or by asking.

        Errors are not remembered: a later call tries again.
        """
        key = (id(self.routes[role]), request)  # equal routes are one; hashing it takes long
        users = attribution().users
        with self._lock:
            asked = self._answers.get(key)
            mine = asked is None
            if asked is None:
                asked = self._answers[key] = _Asked()
            others = not (mine or asked.users.issuperset(users))
            asked.users.update(users)
        if mine:
            try:
                asked.answer.set_result(self._books.answer(self._question(role, request), ask))
            except BaseException as error:
                with self._lock:
                    del self._answers[key]
                asked.answer.set_exception(error)
        try:
            result: _T = asked.answer.result()
        except CallError as error:
            raise self._named(error, role) from error
        if others:
            self._books.shared(self._question(role, request))
        return result

    def _question(self, role: Role, request: Request) -> Question:
        return Question(role, self.routes[role], self.model(role), request)

    def _named(self, error: CallError, role: Role) -> CallError:
        user_id = error.user_id if error.user_id is not None else attribution().user_id
        return type(error)(error.problem, role=role, model=self.names[role], user_id=user_id)


def open_route(route: Route) -> Model:
    """`local/...` and `*.gguf` in this process, everything else through LiteLLM."""
    if route.embedded:
        from popi_prompt.models.local import load_local

        return load_local(route.model)
    from popi_prompt.models.litellm_model import LiteLLMModel

    return LiteLLMModel(route)
