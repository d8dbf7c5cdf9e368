"""Inference steps that a search starts from, beside the untuned one.

They show nobody and cost nothing to build. An instruction goes with the wording in which its
summaries make sense: five adjectives are no sentence.
"""

from __future__ import annotations

from popi_prompt.candidate import Candidate
from popi_prompt.prompts import TELLING, Conditioning

# What a model is asked for that writes an instruction to another one rather than a portrait.
DIRECT = (
    "Read what this person liked and disliked. Write one sentence of at most 25 words that tells "
    "an assistant how to write answers that this person will like: voice, words, length, detail."
)

_ADJECTIVES = (
    "These are texts that a person likes. Name five adjectives for the way in which they are "
    "written. Answer with the adjectives only."
)
_MANNER = (
    "These are texts that a person likes. Name the manner, the mood and the kind of speaker they "
    "have in common, as one instruction of at most 20 words that begins with 'Write like'."
)

STARTING_POINTS = (
    Candidate(
        _ADJECTIVES, (), "liked", Conditioning("after", "(Write in a way that is {summary})")
    ),
    Candidate(_MANNER, (), "liked", TELLING),
    Candidate(DIRECT, (), "full", TELLING),
)
