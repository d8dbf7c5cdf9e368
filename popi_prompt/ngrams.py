"""Runs of words that texts share: what tells a copy from a text about the same thing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

RUN = 6  # words in a row that count as a copy
_ALONE = r"\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")

Run = tuple[str, ...]


def words(text: str) -> list[str]:
    """Words without case, punctuation and ways to write a letter (Unicode's form NFKC).

    Of scripts without spaces each character is one.
    """
    whole = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _WORD.findall(whole.casefold())


def runs(text: str, count: int = RUN) -> Iterator[Run]:
    """Every `count` words in a row; none of a shorter text."""
    split = words(text)
    return (tuple(split[i : i + count]) for i in range(len(split) - count + 1))


def copies(text: str, source: str, count: int = RUN) -> bool:
    """Whether `text` shares that many words in a row with `source`."""
    return not set(runs(source, count)).isdisjoint(runs(text, count))


class Runs:
    """The runs of many texts, 8 bytes each; good within one process, as hashes of text are.

    Two runs with one hash count as the same: a text may be refused for nothing, at odds of one in
    10**12 a million runs, and none is let through.
    """

    def __init__(self, texts: Iterable[str] = (), count: int = RUN):
        self._count = count
        self._hashes = np.unique(_hashes(texts, count))

    def __len__(self) -> int:
        """How many different runs are known."""
        return len(self._hashes)

    def holds(self, text: str) -> bool:
        """Whether the text repeats one of them."""
        return self.shared(text) > 0

    def shared(self, text: str) -> int:
        """How many different runs of `text` are among them."""
        own = np.unique(_hashes((text,), self._count))
        places = np.searchsorted(self._hashes, own)
        inside = places < len(self._hashes)
        return int(np.sum(self._hashes[places[inside]] == own[inside]))


def _hashes(texts: Iterable[str], count: int) -> NDArray[np.int64]:
    return np.fromiter((hash(run) for text in texts for run in runs(text, count)), dtype=np.int64)
