"""The frozen generator: (prompt, summary) -> answer, and how probable given answers are to it."""

from __future__ import annotations

from dataclasses import dataclass

from popi_prompt.models.door import Door
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.prompts import Conditioning, as_data, choice_messages
from popi_prompt.schema import Pair

ANSWER_SAMPLING = Sampling(max_tokens=512)
_CHOICES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Generator:
    """A model that is never changed, and the conditioning that brings summaries to it."""

    door: Door
    conditioning: Conditioning

    def respond(
        self, prompt: str, summary: str | None, sampling: Sampling = ANSWER_SAMPLING
    ) -> Answer:
        """Answer a prompt; without a summary as for anybody."""
        messages = self.conditioning.messages(prompt, summary)
        # Small embedded models do not end long answers by themselves; what they wrote is shown.
        cut_off_ok = self.door.embedded("generator")
        return self.door.chat("generator", messages, sampling, cut_off_ok=cut_off_ok)

    def log_ratio(self, pair: Pair, summary: str | None) -> float:
        """log p(chosen | prompt, summary) - log p(rejected | prompt, summary), in nats.

        Users who choose differently between the same two answers ask the same of the model.
        """
        messages = self.conditioning.messages(pair.prompt, summary)
        chosen, rejected = as_data(pair.chosen), as_data(pair.rejected)
        first, second = sorted((chosen, rejected))
        logs = self.door.logprobs("generator", messages, (first, second))
        return logs[0] - logs[1] if chosen == first else logs[1] - logs[0]

    def choice(self, pair: Pair, summary: str | None) -> tuple[float, float]:
        """Probability that it names the chosen answer, shown first and shown second."""
        context = None if summary is None else self.conditioning.inserted(summary)
        plain = choice_messages(context, pair, swapped=False)
        swapped = choice_messages(context, pair, swapped=True)
        return (
            self.door.option_odds("generator", plain, _CHOICES)[0],
            self.door.option_odds("generator", swapped, _CHOICES)[1],
        )

    def overhead(self, summary: str) -> int:
        """Context overhead: tokens of the inserted text, by the generator's tokenizer."""
        return self.door.count_tokens("generator", self.conditioning.inserted(summary))
