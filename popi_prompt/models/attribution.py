"""For whom and for what a model call is made: told by the caller's context, read at the door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attribution:
    """`candidate` is a short label such as "trial 3", never text of a user."""

    user_id: str | None = None
    candidate: str | None = None


_UNTOLD = Attribution()
_current: ContextVar[Attribution] = ContextVar("attribution", default=_UNTOLD)


def attribution() -> Attribution:
    """What the calling context has told."""
    return _current.get()


@contextmanager
def attributed(*, user_id: str | None = None, candidate: str | None = None) -> Iterator[None]:
    """Calls inside are for this user and candidate; None leaves what the outer context told."""
    outer = _current.get()
    inner = Attribution(
        outer.user_id if user_id is None else user_id,
        outer.candidate if candidate is None else candidate,
    )
    token = _current.set(inner)
    try:
        yield
    finally:
        _current.reset(token)
