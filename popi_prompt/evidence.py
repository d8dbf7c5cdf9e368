"""Evidence: how likely a statement makes what a person chose, and what they turned down.

A person who likes blunt answers chose answers that a model finds likelier once it is told to be
blunt. That needs no understanding of the person, only of the statement: a model too small to say
what somebody wants can still weigh what they did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from popi_prompt.prompts import TELLING, Message, Messages, as_data
from popi_prompt.schema import Dialogue, Edit, Interaction, Preference, Rating, Signal

_LATEST = 12  # signals; more cost more and say little that is new

LogProbs = Callable[[Messages, Sequence[str]], Sequence[float] | None]


@dataclass(frozen=True, slots=True)
class Act:
    """What a person chose and turned down in answer to a prompt, as far as there is any."""

    prompt: str | None
    chosen: str | None = None
    rejected: str | None = None

    @property
    def sides(self) -> tuple[tuple[str, float], ...]:
        """The texts, with 1 for what was chosen and -1 for what was turned down."""
        told = ((self.chosen, 1.0), (self.rejected, -1.0))
        return tuple((as_data(text), side) for text, side in told if text)


def acts(signals: Sequence[Signal]) -> tuple[Act, ...]:
    """The latest ones; what somebody says of themselves is none."""
    return _acts(signals)[-_LATEST:]


def chosen(signals: Sequence[Signal]) -> tuple[tuple[str | None, str], ...]:
    """What was asked, and what the person chose, as data, however long ago."""
    sides = [(act.prompt, *side) for act in _acts(signals) for side in act.sides]
    return tuple((prompt, text) for prompt, text, side in sides if side > 0)


def _acts(signals: Sequence[Signal]) -> tuple[Act, ...]:
    found = [act for signal in signals if (act := _act(signal)) is not None and act.sides]
    return tuple(found)


def _act(signal: Signal) -> Act | None:
    match signal:
        case Preference(prompt=prompt, chosen=chosen, rejected=rejected):
            return Act(prompt, chosen, rejected)
        case Edit(draft=draft, edited=edited):
            return Act(None, edited, draft)
        case Interaction(prompt=prompt, response=response, feedback="liked"):
            return Act(prompt, chosen=response)
        case Interaction(prompt=prompt, response=response, feedback="disliked"):
            return Act(prompt, rejected=response)
        case Rating(item=item, rating=rating, scale=(low, high)) if rating != (low + high) / 2:
            liked = rating > (low + high) / 2
            return Act(None, chosen=item) if liked else Act(None, rejected=item)
        case Dialogue(messages=messages):
            answers = [turn.content for turn in messages if turn.role == "assistant"]
            asked = [turn.content for turn in messages if turn.role == "user"]
            if len(answers) > 1 and asked and answers[0] != answers[-1]:
                return Act(asked[0], answers[-1], answers[0])
    return None


def evidence(
    statements: Sequence[str], signals: Sequence[Signal], logprobs: LogProbs
) -> tuple[float, ...] | None:
    """For each statement, in nats: `evidence_of_acts`, summed over acts; None without any."""
    found = evidence_of_acts(statements, signals, logprobs)
    return tuple(map(sum, zip(*found, strict=True))) if found else None


def evidence_of_acts(
    statements: Sequence[str], signals: Sequence[Signal], logprobs: LogProbs
) -> list[list[float]]:
    """By act and statement, in nats: log p(chosen | it) - log p(rejected | it).

    Only differences between statements mean something. `logprobs` gives summed log-probabilities
    of answers after messages; where it cannot, and gives None, there is no act. Answers are asked
    about one by one: people choose from the same ones more often than from the same two.
    """
    found = []
    for act in acts(signals):
        weights = []
        for statement in statements:
            messages = _messages(act.prompt, statement)
            logs = [(logprobs(messages, (text,)), side) for text, side in act.sides]
            weights.append(sum(side * log[0] for log, side in logs if log is not None))
            if any(log is None for log, _ in logs):
                return []
        found.append(weights)
    return found


def _messages(prompt: str | None, statement: str) -> Messages:
    """As a generator is told it; where nobody knows what was asked, the statement alone."""
    if prompt is None:
        return (Message("user", TELLING.inserted(statement)),)
    return TELLING.messages(prompt, statement)
