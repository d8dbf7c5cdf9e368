"""What is to be made at a provider once, though the answer to a request may be lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from popi_prompt.errors import (
    AuthenticationError,
    FineTuningRefused,
    FineTuningUnavailable,
    UsageError,
)
from popi_prompt.models.litellm_errors import LONGEST_WAIT

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds: `poll` between two looks at a job, growing up to `slowest`; `settle` until what a
    lost request asked for is visible, if it was carried out. `attempts` are those of a request.
    """

    poll: float = 2.0
    slowest: float = 30.0
    settle: float = 10.0
    attempts: int = 4


@dataclass(frozen=True, slots=True)
class Once(Generic[T]):
    """A file or a job: how to look for it, to ask for it, and to record when that was asked.

    A request whose answer was lost, here or in a killed run, may have been carried out, so it is
    looked for until it would be visible before it is sent again.
    """

    find: Callable[[], T | None]
    make: Callable[[], T]
    mark: Callable[[float | None], None]
    pace: Pace

    def made(self, asked: float | None) -> T:
        """The one that is there, else a new one; `asked` is when an earlier run sent a request.

        Raises what `make` does; `FineTuningUnavailable` after the last attempt, and at once where
        the provider asks to wait for more than a minute.
        """
        for left in reversed(range(self.pace.attempts)):
            found = self._settled(asked)
            if found is not None:
                return found
            asked = time.time()
            self.mark(asked)
            try:
                return self.make()
            except FineTuningUnavailable as error:
                if not error.arrived:
                    asked = None
                    self.mark(None)
                wait = self._wait(error)
                if not left:
                    raise
                time.sleep(wait)
            except (FineTuningRefused, AuthenticationError, UsageError):
                self.mark(None)
                raise
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, error: FineTuningUnavailable) -> float:
        """Seconds until the next attempt. Raises where nobody should sit and wait as long."""
        if error.retry_after is None:
            return self.pace.poll
        if error.retry_after > LONGEST_WAIT:
            raise FineTuningUnavailable(
                f"{error.problem}, after the {error.retry_after:.0f} seconds it asks to wait",
                provider=error.provider,
                arrived=error.arrived,
                retry_after=error.retry_after,
            ) from None
        return error.retry_after

    def _settled(self, asked: float | None) -> T | None:
        found = self.find()
        until = 0.0 if asked is None else min(asked, time.time()) + self.pace.settle
        while found is None and time.time() < until:
            time.sleep(min(self.pace.poll, max(0.0, until - time.time())))
            found = self.find()
        return found
