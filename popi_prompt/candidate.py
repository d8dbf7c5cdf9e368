"""What an optimizer varies: everything that turns signals into the generator's messages."""

from __future__ import annotations

from dataclasses import dataclass

from popi_prompt.prompts import (
    UNTUNED_CONDITIONING,
    UNTUNED_INSTRUCTION,
    Conditioning,
    View,
)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An example for the inference model: rendered signals and the summary they should lead to."""

    signals: str
    summary: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An inference step and a conditioning; the defaults are the untuned program."""

    instruction: str = UNTUNED_INSTRUCTION
    demonstrations: tuple[Demonstration, ...] = ()
    view: View = "full"
    conditioning: Conditioning = UNTUNED_CONDITIONING


UNTUNED_CANDIDATE = Candidate()
