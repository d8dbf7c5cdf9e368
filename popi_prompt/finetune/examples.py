"""Examples: what a tuned model is shown of one user, and which summaries it learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from popi_prompt.candidate import Candidate
from popi_prompt.finetune.samples import COPIED, Drawn, Sample
from popi_prompt.ngrams import Runs
from popi_prompt.prompts import Messages, as_data, inference_messages, render_signals
from popi_prompt.schema import Persona, User

Kind = Literal["sft", "preference"]
KINDS: tuple[Kind, ...] = ("sft", "preference")

NO_SIGNALS = "there are no signals to summarize"
FAILED = "no summary could be drawn and scored"
REPEATS = "every summary repeats six words in a row of somebody's signals"
NO_GAIN = "no summary moved the generator towards what the person chose"
SMALL_MARGIN = "the best and the worst summary differ by less than the minimum margin"


@dataclass(frozen=True, slots=True)
class Example:
    """The messages before the summary, the summary to write, and for pairs the one not to."""

    messages: Messages
    chosen: str
    rejected: str | None = None

    @property
    def completions(self) -> tuple[str, ...]:
        """The texts that are trained on."""
        return (self.chosen,) if self.rejected is None else (self.chosen, self.rejected)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a user's best summary is ahead, in the reward's unit.

    `program` is of the summary that the program itself writes; None where that could not be scored.
    """

    mean: float
    worst: float
    program: float | None


def gap(samples: Sequence[Sample]) -> Gap | None:
    """None for fewer than two samples."""
    if len(samples) < 2:
        return None
    rewards = [each.reward for each in samples]
    own = next((each.reward for each in samples if each.number == 0), None)
    best = max(rewards)
    return Gap(
        best - sum(rewards) / len(rewards),
        best - min(rewards),
        None if own is None else best - own,
    )


@dataclass(frozen=True, slots=True)
class Chooser:
    """Turns a user's samples into an example, or says why not.

    SFT takes the best summary, if it moves the generator towards what the person chose; a pair is
    the best against the worst, `min_margin` of reward apart. `copies` are left out before.
    """

    kind: Kind
    candidate: Candidate
    copies: Runs
    min_margin: float = 0.5
    mask: Callable[[User], User] | None = None

    def usable(self, drawn: Drawn) -> tuple[Sample, ...]:
        """The samples that repeat nobody's signals, masked if wanted, in the order of draws."""
        samples = (replace(each, text=self._masked(each.text)) for each in drawn.samples)
        return tuple(
            sorted(
                (each for each in samples if not self.copies.holds(each.text)),
                key=lambda each: each.number,
            )
        )

    def choose(self, user: User, drawn: Drawn, samples: Sequence[Sample]) -> Example | str:
        """The example of the usable samples, or the reason why there is none."""
        if not user.signals:
            return NO_SIGNALS
        if not samples:
            repeats = drawn.samples or any(each.error == COPIED for each in drawn.missed)
            return REPEATS if repeats else FAILED
        best = max(samples, key=lambda each: each.reward)
        if self.kind == "sft":
            if best.margin <= 0:
                return NO_GAIN
            return Example(self.messages(user), as_data(best.text))
        worst = min(samples, key=lambda each: each.reward)
        chosen, rejected = as_data(best.text), as_data(worst.text)
        if best.reward - worst.reward < self.min_margin or chosen == rejected:
            return SMALL_MARGIN
        return Example(self.messages(user), chosen, rejected)

    def messages(self, user: User) -> Messages:
        """What the inference step sends for this user under this candidate."""
        shown = [
            (self._masked(demo.signals), self._masked(demo.summary))
            for demo in self.candidate.demonstrations
        ]
        user = user if self.mask is None else self.mask(user)
        signals = render_signals(user.signals, self.candidate.view)
        return inference_messages(self.candidate.instruction, shown, signals)

    def _masked(self, text: str) -> str:
        if self.mask is None:
            return text
        masked = self.mask(User("text", (Persona(text),))).signals[0]
        assert isinstance(masked, Persona)
        return masked.text
