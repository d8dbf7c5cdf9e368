"""What an optimizer varies: everything that turns signals into the generator's messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from popi_prompt.prompts import (
    UNTUNED_CONDITIONING,
    UNTUNED_INSTRUCTION,
    Conditioning,
    View,
)

Demos = Literal["synthetic", "real"]  # of invented people, or of training users
DEMOS: tuple[Demos, ...] = ("synthetic", "real")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An example for the inference model: rendered signals and the summary they should lead to.

    `user_id` is whose signals they are, while that is known: no program holds it.
    """

    signals: str
    summary: str
    user_id: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An inference step and a conditioning; the defaults are the untuned program."""

    instruction: str = UNTUNED_INSTRUCTION
    demonstrations: tuple[Demonstration, ...] = ()
    view: View = "full"
    conditioning: Conditioning = UNTUNED_CONDITIONING


UNTUNED_CANDIDATE = Candidate()
