"""Quotation: a summary that shows a manner in place of describing it.

How somebody wants to be spoken to is hard to say in few words, and easy to hear in one sentence. A
small generator follows an example further than a description, and no model has to write one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from popi_prompt.errors import BadResponse, ContextTooLong
from popi_prompt.evidence import LogProbs, chosen
from popi_prompt.prompts import UNASKED, Message, as_data
from popi_prompt.schema import Signal

# Closing quotes and brackets belong to the sentence; \u3002 and the like need no space after them.
_SENTENCE_ENDS = re.compile(
    r"[.!?]+['\u2019\u201d)\]]*(?=\s|$)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\uff09]*"
)
_WORD = re.compile(r"\w")
_READ = 12  # passages to pick from; more cost more and are longer ago
_TOO_SHORT = 0.25  # of the characters: an abbreviation, the number of an item, a greeting


@dataclass(frozen=True, slots=True)
class Quotation:
    """So many `passages` of what a person chose, the latest first, one from each text.

    A passage is the start of a text within so many `characters`: whole sentences; where these are
    next to nothing, words, and "..." after them.

    Without a `model` they are of the latest texts. Else they are those that it expects least in
    answer to the prompt, by summed log-probability: what would be said to anybody shows no manner,
    and little of it shows less.
    """

    passages: int
    characters: int
    wording: str = "Write like this:"
    model: str | None = None

    @property
    def summaries(self) -> tuple[str, ...]:
        """Every text that it may tell, but for people's own."""
        return (self.wording,)

    def compose(self, signals: Sequence[Signal], logprobs: LogProbs | None = None) -> str | None:
        """The summary of somebody with these signals; None of who chose nothing.

        `logprobs` are those of `model`, which reads no more than the latest few passages. Where it
        cannot tell, or does not take one of them, the latest texts are quoted.
        """
        found: dict[str, str | None] = {}
        for prompt, text in reversed(chosen(signals)):
            passage = self._passage(text)
            if _WORD.search(passage):
                found.setdefault(passage, prompt)
        if self.model is not None and logprobs is not None and len(found) > self.passages:
            found = self._least_expected(found, logprobs)
        shown = [f'"{passage}"' for passage in found][: self.passages]
        return " ".join((self.wording, *shown)) if shown else None

    def _least_expected(
        self, found: Mapping[str, str | None], logprobs: LogProbs
    ) -> dict[str, str | None]:
        """Those, or all where the model cannot tell; in the same order."""
        logs = {}
        for passage, prompt in list(found.items())[: max(_READ, self.passages)]:
            asked = UNASKED if prompt is None else Message("user", as_data(prompt))
            try:
                told = logprobs((asked,), (passage,))
            except (BadResponse, ContextTooLong):
                told = None
            if told is None:
                return dict(found)
            logs[passage] = told[0]
        least = sorted(logs, key=logs.__getitem__)[: self.passages]
        return {passage: prompt for passage, prompt in found.items() if passage in least}

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
