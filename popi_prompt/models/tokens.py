"""Arithmetic over tokens and logits: batches, shared prefixes, probabilities, draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def batches(start: int, end: int, size: int) -> list[tuple[int, int]]:
    """Cut a range into batches of at most `size`, none of a single token unless it is all."""
    cuts = list(range(start, end, size))
    if len(cuts) > 1 and end - cuts[-1] == 1:
        cuts[-1] -= 1
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens the two have in common from the start."""
    shorter = min(len(a), len(b))
    if a[:shorter] == b[:shorter]:
        return shorter
    return next(i for i in range(shorter) if a[i] != b[i])


def log_probabilities(logits: NDArray[np.float32], picks: list[int]) -> NDArray[np.float32]:
    """log softmax(logits)[row, picks[row]] for each row."""
    top = logits.max(axis=1)
    total = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    chosen = logits[np.arange(len(logits)), picks[: len(logits)]]
    result: NDArray[np.float32] = (chosen - top - np.log(total)).astype(np.float32)
    return result


def draw(logits: NDArray[np.float32], temperature: float, rng: np.random.Generator) -> int:
    """A token: the likeliest at temperature 0, else by softmax(logits / temperature)."""
    if temperature <= 0:
        return int(logits.argmax())
    scaled = (logits.astype(np.float64) - float(logits.max())) / temperature
    weights = np.exp(scaled)
    return int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))
