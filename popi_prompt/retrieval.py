"""Retrieval: which of a person's signals are most like the prompt that is to be answered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from popi_prompt.models.door import Door
from popi_prompt.ngrams import words
from popi_prompt.schema import Signal, User, texts_in

RETRIEVED_SIGNALS = 2


class Similarity(Protocol):
    """How alike a prompt and each of some signals are; more is more alike, in any unit.

    Sees the texts of signals, never what the person chose for the prompt. Deterministic. Raises
    `ModelError` where a model it asks gives no answer.
    """

    def __call__(self, prompt: str, signals: Sequence[Signal]) -> Sequence[float]:
        """One number a signal, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The `count` signals most like a prompt; none where `count` is 0."""

    similarity: Similarity
    count: int = RETRIEVED_SIGNALS

    def of(self, prompt: str, signals: Sequence[Signal]) -> tuple[Signal, ...]:
        """In the order in which they were given; of two equally alike the later one stays."""
        alike = self.similarity(prompt, signals)
        order = sorted(range(len(signals)), key=lambda i: (alike[i], i), reverse=True)
        best = order[: max(self.count, 0)]
        return tuple(signals[i] for i in sorted(best))


class Words:
    """BM25 (k1 = 1.2, b = 0.75), which words are rare being counted over all users' signals.

    Source: S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond,
    Foundations and Trends in Information Retrieval 3 (2009) 333-389.
    """

    _K1, _B = 1.2, 0.75

    def __init__(self, users: Sequence[User]):
        signals = [_words(signal) for user in users for signal in user.signals]
        self._count = len(signals)
        self._holds = Counter(word for each in signals for word in set(each))
        self._usual = sum(map(len, signals)) / max(len(signals), 1) or 1.0

    def __call__(self, prompt: str, signals: Sequence[Signal]) -> list[float]:
        """See `Similarity`."""
        wanted = sorted(set(words(prompt)))
        return [self._score(wanted, _words(signal)) for signal in signals]

    def _score(self, wanted: Sequence[str], signal: Sequence[str]) -> float:
        found = Counter(signal)
        length = self._K1 * (1 - self._B + self._B * len(signal) / self._usual)
        return math.fsum(
            self._rarity(word) * found[word] * (self._K1 + 1) / (found[word] + length)
            for word in wanted
        )

    def _rarity(self, word: str) -> float:
        holds = self._holds[word]
        return math.log1p((max(self._count - holds, 0) + 0.5) / (holds + 0.5))


class Embeddings:
    """Cosine of the embeddings by the door's role "embedding"; 0 to one of no length."""

    def __init__(self, door: Door):
        self._door = door

    def __call__(self, prompt: str, signals: Sequence[Signal]) -> list[float]:
        """See `Similarity`."""
        wanted = self._direction(prompt)
        return [float(wanted @ self._direction("\n".join(texts_in(each)))) for each in signals]

    def _direction(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        vector = np.array(self._door.embedding("embedding", text), dtype=np.float64)
        length = float(np.linalg.norm(vector)) or 1.0
        direction: np.ndarray[tuple[int], np.dtype[np.float64]] = vector / length
        return direction


def _words(signal: Signal) -> list[str]:
    return [word for text in texts_in(signal) for word in words(text)]
