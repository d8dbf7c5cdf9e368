"""Time that does not pass: how long work would take, with as many workers as there will be."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar


class Stopwatch:
    """Seconds that `wait` has added in a context, one of `workers` side by side."""

    def __init__(self, workers: int) -> None:
        self.seconds = 0.0
        self.workers = workers


_running: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def stopwatch(workers: int = 1) -> Iterator[Stopwatch]:
    """Measures the calling context from here on."""
    watch = Stopwatch(workers)
    token = _running.set(watch)
    try:
        yield watch
    finally:
        _running.reset(token)


def wait(seconds: float) -> None:
    """A request would take so long here."""
    watch = _running.get()
    if watch is not None:
        watch.seconds += seconds


def beside() -> int:
    """How many workers are at it here."""
    watch = _running.get()
    return 1 if watch is None else watch.workers


def wait_for_all(seconds: Sequence[float], workers: int) -> None:
    """The same for items that workers take in order, each the next one as soon as it is free."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    wait(max(free))
