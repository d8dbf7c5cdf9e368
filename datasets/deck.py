"""Texts that are handed out at random and evenly."""

from __future__ import annotations

import random
from collections.abc import Sequence


class Deck:
    """Hands out items in random order and reshuffles only when all have been used."""

    def __init__(self, items: Sequence[str], rng: random.Random) -> None:
        self._items = list(items)
        self._rng = rng
        self._left: list[str] = []

    def draw(self) -> str:
        """Return the next item."""
        if not self._left:
            self._left = list(self._items)
            self._rng.shuffle(self._left)
        return self._left.pop()
