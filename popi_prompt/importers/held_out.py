"""Which of a user's prompts are held out as pairs, and which may serve as signals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from popi_prompt.split import normal


def rank(prompt: str, seed: int) -> int:
    """A number of the prompt's words alone: the same for every user, another one for every seed."""
    text = f"{seed}:{normal(prompt)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def held_out(prompts: Iterable[str], most: int, seed: int, *, total: int | None = None) -> set[str]:
    """The normal form of at most `most` prompts, and at most a third of `total` distinct ones.

    One of two prompts is held out, too; a single one never. Prompts that many users share are held
    out of all of them or of none, as far as their numbers allow.
    """
    distinct = {normal(prompt) for prompt in prompts}
    total = len(distinct) if total is None else total
    if total < 2:
        return set()
    ranked = sorted(distinct, key=lambda prompt: (rank(prompt, seed), prompt))
    return set(ranked[: min(most, max(1, total // 3))])
