"""Which tokens an engine's sequences hold in the KV cache, and where a job starts from them.

Bookkeeping alone, without an engine: an estimate does the same to count what would be evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from popi_prompt.models.tokens import common_prefix

_COPY_GAIN = 64  # tokens a neighbour's prefix must save before copying its cache pays


@dataclass(frozen=True, slots=True)
class Start:
    """From which token on a slot evaluates, after copying `source`'s cache if there is one."""

    token: int
    source: int | None = None


class Slots:
    """The first slots score, the others generate. One thread changes them, any asks `longest`."""

    def __init__(self, *, scoring: int, generating: int):
        self.cached: list[list[int]] = [[] for _ in range(scoring + generating)]
        self._scoring = list(range(scoring))  # the least recently used first
        self.free = list(range(scoring, scoring + generating))

    def longest(self, prompt: Sequence[int]) -> int:
        """How many of a prompt's first tokens some slot holds."""
        return max(common_prefix(tokens, prompt) for tokens in list(self.cached))

    def take(self, prompt: Sequence[int]) -> int:
        """The free slot with the longest common prefix; among equals the one losing least."""
        slot = max(
            self.free,
            key=lambda s: (common_prefix(self.cached[s], prompt), -len(self.cached[s])),
        )
        self.free.remove(slot)
        return slot

    def scoring(self, prompt: Sequence[int]) -> int:
        """The slot that holds much of this already, else the one that has been idle longest.

        Once for all responses of a prompt: the second finds it whole where the first left it.
        """
        oldest = self._scoring[0]
        best = max(self._scoring, key=lambda s: common_prefix(self.cached[s], prompt))
        gain = common_prefix(self.cached[best], prompt) - common_prefix(self.cached[oldest], prompt)
        slot = best if gain >= _COPY_GAIN else oldest
        self._scoring.remove(slot)
        self._scoring.append(slot)
        return slot

    def start(self, slot: int, tokens: list[int], first_row: int) -> Start:
        """Where to begin with `tokens`, whose logits are asked for from `first_row` on.

        A neighbour's cache is copied if that saves enough. A prompt is evaluated in batches of at
        least two tokens. The slot holds what is kept; `hold` says when it holds the rest.
        """
        reused, source = self._reuse(slot, tokens)
        begin = max(min(reused, first_row, len(tokens) - 2), 0)
        self.cached[slot] = tokens[:begin]
        return Start(begin, source)

    def hold(self, slot: int, tokens: list[int]) -> None:
        """All of them have been evaluated."""
        self.cached[slot] = list(tokens)

    def _reuse(self, slot: int, tokens: list[int]) -> tuple[int, int | None]:
        own = common_prefix(self.cached[slot], tokens)
        best = max(range(len(self.cached)), key=lambda s: common_prefix(self.cached[s], tokens))
        length = common_prefix(self.cached[best], tokens)
        if best == slot or length < own + _COPY_GAIN:
            return own, None
        return length, best
