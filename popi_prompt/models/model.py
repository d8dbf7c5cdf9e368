"""What a model is to the rest of the product: two protocols and their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from popi_prompt.fields import as_unicode
from popi_prompt.prompts import Messages

if TYPE_CHECKING:
    from popi_prompt.models.capability import Capability
    from popi_prompt.models.route import ScoringMethod


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw an answer. Temperature 0 is greedy; otherwise `seed` decides.

    Many hosted models ignore the seed: `sample` numbers several draws of one request, so that each
    is asked for, and remembered, by itself.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion, as valid Unicode. `finish` is "length" where `max_tokens` cut it off."""

    text: str
    finish: Literal["stop", "length"]
    tokens_in: int
    tokens_out: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", as_unicode(self.text))


class Model(Protocol):
    """A chat model. Thread-safe; `concurrency` says how many calls at once pay off.

    Every method may raise a `ModelError` without role; the door adds it. A model whose answers
    depend on more than its name, such as the bytes of its weights, says so in a text `identity`;
    one that applies a chat template to the responses it scores names it by a `template_digest`.
    """

    name: str
    concurrency: int

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """Answer the messages."""
        ...

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """Probability of each option as the next word, normalized to sum to 1.

        Where the route returns no log-probabilities, the option named in the answer gets 1.
        Raises `BadResponse` if the answer names none.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of the bare text by the model's own tokenizer, or the nearest known one."""
        ...


@runtime_checkable
class ScoringModel(Protocol):
    """A model that can also say how probable given responses are."""

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        """Summed log-probability (natural log, <= 0) of each response's tokens after messages.

        The end-of-turn token is not counted.
        """
        ...


@runtime_checkable
class EmbeddingModel(Protocol):
    """A model that can also place a text in a space, where near means alike."""

    def embed(self, text: str) -> tuple[float, ...]:
        """The text's vector: finite, not zero, of the same length for every text."""
        ...


@runtime_checkable
class Hosted(Protocol):
    """A model that sends requests, each of them paid by `meter.account()`.

    The door pays for every other model, one request a call.
    """

    pays_by_request: Literal[True]

    def probe(self) -> Capability:
        """Find out by a few requests which log-probabilities the route gives."""
        ...

    def score(
        self, method: ScoringMethod, messages: Messages, responses: Sequence[str]
    ) -> tuple[float, ...]:
        """`ScoringModel.logprobs` by a method that the probe found."""
        ...
