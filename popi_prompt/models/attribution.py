"""For whom and for what a model call is made: told by the caller's context, read at the door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attribution:
    """`quoted` are other users whose text the messages hold, as a demonstration for example.

    `candidate` is a short label such as "trial 3", never text of a user.
    """

    user_id: str | None = None
    candidate: str | None = None
    quoted: tuple[str, ...] = ()

    @property
    def users(self) -> tuple[str, ...]:
        """Everybody whom the call is about: forgetting one of them forgets its answer."""
        return self.quoted if self.user_id is None else (self.user_id, *self.quoted)


_UNTOLD = Attribution()
_current: ContextVar[Attribution] = ContextVar("attribution", default=_UNTOLD)


def attribution() -> Attribution:
    """What the calling context has told."""
    return _current.get()


@contextmanager
def attributed(
    *,
    user_id: str | None = None,
    candidate: str | None = None,
    quoted: Iterable[str | None] | None = None,
) -> Iterator[None]:
    """Calls inside are for this user and candidate; None leaves what the outer context told.

    Of `quoted`, those that are None are unknown, and left out.
    """
    outer = _current.get()
    inner = Attribution(
        outer.user_id if user_id is None else user_id,
        outer.candidate if candidate is None else candidate,
        outer.quoted if quoted is None else tuple(each for each in quoted if each is not None),
    )
    token = _current.set(inner)
    try:
        yield
    finally:
        _current.reset(token)
