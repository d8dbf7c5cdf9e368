"""Copies: which texts repeat six words in a row of what somebody's signals say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Persona,
    Preference,
    Rating,
    Signal,
)

WORDS = 6
_WORD = re.compile(r"[^\W_]+")


class Copies:
    """Finds runs of `WORDS` words, without case and punctuation, that the texts hold.

    It keeps 8 bytes a run. Two different runs may have one hash, by a chance of 1 in 10**12 for a
    million runs: a text is then called a copy that is none, never the other way round.
    """

    def __init__(self, texts: Iterable[str]):
        hashes = np.fromiter((run for text in texts for run in _runs(text)), dtype=np.int64)
        self._known = np.unique(hashes)

    @property
    def runs(self) -> int:
        """How many different runs are known."""
        return len(self._known)

    def holds(self, text: str) -> bool:
        """Whether the text repeats one of them."""
        found = np.fromiter(_runs(text), dtype=np.int64)
        if not len(found) or not len(self._known):
            return False
        at = np.searchsorted(self._known, found)
        return bool(np.any(self._known[np.minimum(at, len(self._known) - 1)] == found))


def _runs(text: str) -> Iterator[int]:
    words = _WORD.findall(text.casefold())
    for i in range(len(words) - WORDS + 1):
        yield hash(tuple(words[i : i + WORDS]))


def texts_of(signal: Signal) -> tuple[str, ...]:
    """Everything in a signal that a person or an assistant wrote."""
    match signal:
        case Persona(text=text) | Rating(item=text):
            return (text,)
        case Interaction(prompt=prompt, response=response):
            return (prompt, response)
        case Preference(prompt=prompt, chosen=chosen, rejected=rejected):
            return (prompt, chosen, rejected)
        case Edit(draft=draft, edited=edited):
            return (draft, edited)
        case Dialogue(messages=messages):
            return tuple(turn.content for turn in messages)
