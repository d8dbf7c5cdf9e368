"""What an optimizer varies: everything that turns signals into the generator's messages."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from popi_prompt.portrait import Portrait
from popi_prompt.prompts import (
    UNTUNED_CONDITIONING,
    UNTUNED_INSTRUCTION,
    Conditioning,
    Messages,
    View,
    inference_messages,
    render_signals,
)
from popi_prompt.quotation import Quotation
from popi_prompt.schema import Signal

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
class Menu:
    """Summaries that the inference model chooses from, in place of writing one.

    `priors` are their mean log-probabilities over training users, in nats, measured with `model`;
    any other model writes. A small model leans to what it saw last, by far more than users differ:
    what is left above the prior is what it makes of this user.
    """

    model: str
    summaries: tuple[str, ...]
    priors: tuple[float, ...]

    def pick(self, logs: Sequence[float]) -> str:
        """The summary whose log-probability is furthest above its prior; of equals the first."""
        gains = [log - prior for log, prior in zip(logs, self.priors, strict=True)]
        return self.summaries[gains.index(max(gains))]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An inference step and a conditioning; the defaults are the untuned program.

    The instruction is without common indentation, tabs and blank lines around it: DSPy sends it so.
    """

    instruction: str = UNTUNED_INSTRUCTION
    demonstrations: tuple[Demonstration, ...] = ()
    view: View = "full"
    conditioning: Conditioning = UNTUNED_CONDITIONING
    menu: Menu | Portrait | Quotation | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", _as_sent(self.instruction))

    @property
    def quoted(self) -> tuple[str | None, ...]:
        """Whose signals the demonstrations show; None where that is not known."""
        return tuple(demo.user_id for demo in self.demonstrations)

    def messages(self, signals: Sequence[Signal]) -> Messages:
        """What the inference model is asked about a person."""
        shown = [(demo.signals, demo.summary) for demo in self.demonstrations]
        return inference_messages(self.instruction, shown, render_signals(signals, self.view))


def _as_sent(instruction: str) -> str:
    """Cleaned as DSPy cleans it, until that changes nothing more."""
    while (cleaned := inspect.cleandoc(instruction)) != instruction:
        instruction = cleaned
    return instruction


UNTUNED_CANDIDATE = Candidate()
