"""Quotation: a summary that shows a manner in place of describing it.

How somebody wants to be spoken to is hard to say in few words, and easy to hear in one sentence. A
small generator follows an example further than a description, and no model is asked for one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from popi_prompt.evidence import chosen
from popi_prompt.schema import Signal

# Closing quotes and brackets belong to the sentence; \u3002 and the like need no space after them.
_SENTENCE_ENDS = re.compile(
    r"[.!?]+['\u2019\u201d)\]]*(?=\s|$)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\uff09]*"
)
_WORD = re.compile(r"\w")
_TOO_SHORT = 0.25  # of the characters: an abbreviation, the number of an item, a greeting


@dataclass(frozen=True, slots=True)
class Quotation:
    """So many `passages` of what a person chose, the latest first, one from each text.

    A passage is the start of a text within so many `characters`: whole sentences; where these are
    next to nothing, words, and "..." after them.
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
        found = dict.fromkeys(map(self._passage, reversed(chosen(signals))))
        shown = [f'"{passage}"' for passage in found if _WORD.search(passage)]
        return " ".join((self.wording, *shown[: self.passages])) if shown else None

    def _passage(self, text: str) -> str:
        text, least = " ".join(text.split()).replace('"', "'"), self.characters * _TOO_SHORT
        if len(text) <= self.characters:
            return text
        ends = [match.end() for match in _SENTENCE_ENDS.finditer(text)]
        sentences = max((end for end in ends if end <= self.characters), default=0)
        if sentences >= least:
            return text[:sentences]
        words = text[: self.characters + 1].rpartition(" ")[0]
        return f"{words if len(words) >= least else text[: self.characters]}..."
