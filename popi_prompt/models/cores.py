"""The processor cores, shared by the embedded engines."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def usable() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Cores:
    """The cores, shared by the engines that are computing right now.

    Two engines with a thread each are faster than one with two, which wait for each other at every
    layer; a lone engine takes them all.
    """

    def __init__(self, count: int):
        self.count = count
        self._busy = 0
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[int]:
        """How many threads to compute with."""
        with self._lock:
            self._busy += 1
            threads = max(1, self.count // self._busy)
        try:
            yield threads
        finally:
            with self._lock:
                self._busy -= 1
