"""What a trace would get, kept for assertions."""

from __future__ import annotations

from popi_prompt.models.call import Call


class Kept:
    """Calls as a trace would get them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def write(self, call: Call) -> None:
        self.calls.append(call)

    def close(self) -> None:
        """Nothing is open."""
