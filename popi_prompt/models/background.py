"""One event loop in a thread of its own, and how other threads hand it work."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
_CLOSE_SECONDS = 2.0


class Background:
    """Runs coroutines for other threads. `closing` makes the last one, at exit.

    `asyncio.run_coroutine_threadsafe` wakes the loop for each by a byte through a pipe, which takes
    longer than all else that the door does for a call. Here one byte serves all that wait.
    """

    def __init__(self, closing: Callable[[], Coroutine[Any, Any, None]]):
        self.loop = asyncio.new_event_loop()
        self._waiting: deque[tuple[Coroutine[Any, Any, Any], Future[Any]]] = deque()
        self._called = False
        threading.Thread(target=self.loop.run_forever, name="popi-transport", daemon=True).start()
        atexit.register(self._close, closing)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Its result, as soon as the loop has it."""
        future: Future[T] = Future()
        self._waiting.append((coroutine, future))
        # In this order: what is appended after the loop has looked finds the flag down.
        if not self._called:
            self._called = True
            self.loop.call_soon_threadsafe(self._start)
        return future

    def _start(self) -> None:
        self._called = False
        while self._waiting:
            coroutine, future = self._waiting.popleft()
            self.loop.create_task(coroutine).add_done_callback(partial(_deliver, future))

    def _close(self, closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            self.submit(closing()).result(timeout=_CLOSE_SECONDS)
        except TimeoutError:
            return
        self.loop.call_soon_threadsafe(self.loop.stop)


def _deliver(future: Future[Any], task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        future.cancel()
        return
    error = task.exception()
    if error is None:
        future.set_result(task.result())
    else:
        future.set_exception(error)
