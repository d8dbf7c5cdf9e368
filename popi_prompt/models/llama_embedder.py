"""Texts as vectors by a model that was made to write: the mean of its last layer's states."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from popi_prompt.errors import BadResponse, ContextTooLong
from popi_prompt.models.cores import Cores
from popi_prompt.models.llama_context import BATCH, Entry, LlamaContext
from popi_prompt.models.tokens import batches


class LlamaEmbedder:
    """A context of its own, made at first use; thread-safe, one text at a time.

    The same text has the same vector, bit for bit: nothing of other texts is kept.
    """

    def __init__(self, path: Path, cores: Cores, *, context: int):
        self._path = path
        self._cores = cores
        self._limit = context
        self._lock = threading.Lock()
        self._context: LlamaContext | None = None

    def embed(self, text: str) -> tuple[float, ...]:
        """The vector. Raises `BadResponse` for an empty text, `ContextTooLong`."""
        with self._lock:
            if self._context is None:
                self._context = LlamaContext(self._path, context=self._limit, slots=1, embeds=True)
            return self._embedded(self._context, text)

    def _embedded(self, context: LlamaContext, text: str) -> tuple[float, ...]:
        tokens = context.tokenize(text, special=False)
        if not tokens:
            raise BadResponse("an empty text cannot be embedded")
        if len(tokens) > context.context:
            raise ContextTooLong(
                f"the text has {len(tokens):,} tokens, the context holds {context.context:,}; "
                "shorten the answers"
            )
        context.truncate(0, 0)
        total = np.zeros(context.width)
        for a, b in batches(0, len(tokens), BATCH):
            entries = [Entry(tokens[i], i, 0, True) for i in range(a, b)]
            with self._cores.share() as threads:
                total += context.hidden(entries, threads).sum(axis=0, dtype=np.float64)
        return tuple(map(float, total / len(tokens)))
