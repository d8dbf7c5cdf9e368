"""What a run keeps of its model calls: answers on disk, what they cost, and a trace of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from popi_prompt.errors import ModelError, PopiError
from popi_prompt.models.attribution import attribution
from popi_prompt.models.cache_key import JSON
from popi_prompt.models.call import Call
from popi_prompt.models.failures import Failures
from popi_prompt.models.meter import Account, Meter, paying
from popi_prompt.models.model import Answer, Model
from popi_prompt.models.request import Kept, Request, from_json, to_json
from popi_prompt.models.roles import Role
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Spent

if TYPE_CHECKING:
    from popi_prompt.models.capability import Capability

_T = TypeVar("_T", bound=Kept)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and who is asked."""

    role: Role
    route: Route
    model: Model
    request: Request

    def key(self) -> str:
        """Under which the answer is kept."""
        identity = getattr(self.model, "identity", None)
        template = getattr(self.model, "template_digest", None)
        return self.request.key(self.route, identity, template)


class Answers(Protocol):
    """Answers by key, as JSON; an `AnswerCache` is one."""

    def get(self, key: str, *, users: Collection[str] = ()) -> Any | None:
        """The answer, or None. It is about these users too."""
        ...

    def put(self, key: str, value: JSON, *, users: Collection[str] = ()) -> None:
        """Keep an answer that is about these users."""
        ...

    def close(self) -> None:
        """No more is put."""
        ...


class Calls(Protocol):
    """Takes every call, from disk or sent; a `Trace` is one."""

    def write(self, call: Call) -> None:
        """One call."""
        ...

    def close(self) -> None:
        """No more is written."""
        ...


class Books:
    """Thread-safe. Without cache and trace nothing is written."""

    def __init__(
        self,
        meter: Meter | None = None,
        *,
        cache: Answers | None = None,
        trace: Calls | None = None,
        failures: Failures | None = None,
    ):
        self.meter = meter if meter is not None else Meter()
        self._cache = cache
        self._trace = trace
        self._failures = failures

    def close(self) -> None:
        """Write what is not on disk yet."""
        if self._cache is not None:
            self._cache.close()
        if self._trace is not None:
            self._trace.close()

    def without_answers(self) -> Books:
        """The same meter and trace, and no answers of before. Closing them stays with this one."""
        return Books(self.meter, trace=self._trace)

    def failing_again(self, failures: Failures) -> Books:
        """The same for a run in which a call that failed fails again, and is not sent again."""
        return Books(self.meter, cache=self._cache, trace=self._trace, failures=failures)

    @property
    def keep_answers(self) -> bool:
        """Whether later processes find them."""
        return self._cache is not None

    def answer(self, question: Question, ask: Callable[[], _T]) -> _T:
        """The answer that was paid for before, else `ask()`, paid and kept; traced either way.

        What `ask` raises is raised again in a run that remembers its failures.
        """
        account = Account(self.meter, question.role)
        entry = _Entry(question, account)
        key = question.key() if self._cache is not None or self._failures else ""
        try:
            failed = self._failures.get(key) if self._failures else None
            if failed is not None:
                entry.cached = True
                raise failed
            answer = self._kept(question, key)
            if answer is not None:
                entry.cached = True
            else:
                answer = self._asked(question, key, ask, account)
                self._keep(key, answer)
            entry.answer = answer
        except PopiError as error:
            entry.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            if self._trace is not None:
                self._trace.write(entry.call())
        return cast(_T, answer)

    def shared(self, question: Question) -> None:
        """The answer, paid for by somebody else's call, is about the users of this one too."""
        if self._cache is not None:
            self._cache.get(question.key(), users=attribution().users)

    def _asked(self, question: Question, key: str, ask: Callable[[], _T], account: Account) -> _T:
        try:
            return _paid(question, ask, account)
        except ModelError as error:
            if self._failures is not None:
                self._failures.put(key or question.key(), error)
            raise

    def _kept(self, question: Question, key: str) -> Kept | None:
        if self._cache is None:
            return None
        raw = self._cache.get(key, users=attribution().users)
        return None if raw is None else from_json(question.request.kind, raw)

    def _keep(self, key: str, answer: Kept) -> None:
        if self._cache is not None:
            self._cache.put(key, to_json(answer), users=attribution().users)


def _paid(question: Question, ask: Callable[[], _T], account: Account) -> _T:
    """Ask. A hosted model pays for each of its requests, for others it is done here."""
    request, model = question.request, question.model
    if getattr(model, "pays_by_request", False):
        with paying(account):
            return ask()
    tokens_in, tokens_out = request.most_tokens(model) if account.needs_estimates else (0, 0)
    with account.request(Spent(1, tokens_in, tokens_out)) as ticket, paying(account):
        ticket.bill(0, 0, 0.0)
        answer = ask()
        ticket.bill(*request.tokens(model, answer), 0.0)
    return answer


def _text(answer: Answer | Capability | None) -> str | None:
    if answer is None:
        return None
    return answer.text if isinstance(answer, Answer) else answer.reason


class _Entry:
    """One call, for the trace, while it is under way."""

    def __init__(self, question: Question, account: Account):
        self.answer: Kept | None = None
        self.cached = False
        self.error: str | None = None
        self._question = question
        self._account = account
        self._started = time.time()
        self._clock = time.perf_counter()

    def call(self) -> Call:
        """As far as it came."""
        spent, told = self._account.spent, attribution()
        answer = self.answer if isinstance(self.answer, tuple) else _text(self.answer)
        if self._question.request.kind == "embedding" and isinstance(answer, tuple):
            answer = f"{len(answer)} numbers"  # nobody reads them, and they can be turned to text
        return Call(
            role=self._question.role,
            model=self._question.route.model,
            kind=self._question.request.kind,
            messages=self._question.request.messages,
            answer=answer,
            tokens_in=spent.tokens_in,
            tokens_out=spent.tokens_out,
            usd=spent.usd,
            seconds=time.perf_counter() - self._clock,
            cached=self.cached,
            retries=self._account.retries,
            candidate=told.candidate,
            user_id=told.user_id,
            error=self.error,
            started=self._started,
            quoted=told.quoted,
            requests=spent.calls,
        )
