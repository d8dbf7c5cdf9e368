"""How fast hosted models were in an earlier run, by its trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from popi_prompt.models.dry_model import Speed
from popi_prompt.models.trace import read_trace

_FEWEST = 5


def past_speeds(path: Path | None) -> dict[str, Speed]:
    """By model, for those with a few calls that were sent; nothing without a trace.

    Raises `DataError` for a file that is no trace.
    """
    if path is None or not path.exists():
        return {}
    sent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for call in read_trace(path, notify=_ignore):
        if not call.cached and call.error is None and call.kind != "probe":
            requests = max(1, call.requests)
            sent[call.model].append((call.tokens_out / requests, call.seconds / requests))
    return {model: _speed(points) for model, points in sent.items() if len(points) >= _FEWEST}


def _speed(points: Iterable[tuple[float, float]]) -> Speed:
    """The line through their mean: so many seconds at once, and so many more a token."""
    tokens, seconds = np.array(list(points)).T
    spread = float(np.var(tokens))
    slope = float(np.cov(tokens, seconds, bias=True)[0, 1]) / spread if spread > 0 else 0.0
    middle = float(np.mean(tokens)), float(np.mean(seconds))
    slope = min(max(slope, 0.0), middle[1] / middle[0] if middle[0] else 0.0)
    return Speed(middle[1] - slope * middle[0], 1 / slope if slope else np.inf)


def _ignore(problem: str) -> None:
    """A line that was cut off is one call less."""
