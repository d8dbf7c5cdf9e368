"""Quotation: a summary that shows a manner in place of describing it.

How somebody speaks is hard to say in few words, and easy to hear in one sentence of theirs. A small
generator follows an example further than a description, and no model is asked for one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from popi_prompt.evidence import acts
from popi_prompt.schema import Signal

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])")


@dataclass(frozen=True, slots=True)
class Quotation:
    """So many `passages` of what a person chose, the latest first, one from each text.

    A passage is the start of a text: the whole sentences within so many `characters`; of a first
    sentence that is longer, the words within them.
    """

    passages: int
    characters: int
    wording: str = "Write like this:"

    @property
    def summaries(self) -> tuple[str, ...]:
        """Every text that it may tell, but for people's own."""
        return (self.wording,)

    def compose(self, signals: Sequence[Signal]) -> str | None:
        """The summary of somebody with these signals; None of who chose nothing."""
        chosen = [act.chosen for act in reversed(acts(signals)) if act.chosen]
        found = [self._passage(text) for text in dict.fromkeys(chosen)]
        shown = [f'"{passage}"' for passage in found if passage][: self.passages]
        return " ".join((self.wording, *shown)) if shown else None

    def _passage(self, text: str) -> str:
        text = " ".join(text.split()).replace('"', "'")
        kept = ""
        for end in [*(match.start() for match in _BETWEEN_SENTENCES.finditer(text)), len(text)]:
            if end <= self.characters:
                kept = text[:end]
        if kept or not text:
            return kept
        words = text[: self.characters + 1].rpartition(" ")[0]
        return f"{words or text[: self.characters]}..."
