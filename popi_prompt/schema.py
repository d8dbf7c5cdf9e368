"""The values everything else speaks of: users, their signals, their pairs. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Feedback = Literal["liked", "disliked"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Persona:
    """Free text about the person."""

    kind: ClassVar[str] = "persona"
    text: str


@dataclass(frozen=True, slots=True)
class Interaction:
    """A prompt the person sent and the answer they got, with what they thought of it."""

    kind: ClassVar[str] = "interaction"
    prompt: str
    response: str
    feedback: Feedback | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt, and which one the person chose."""

    kind: ClassVar[str] = "preference"
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A draft and what the person made of it."""

    kind: ClassVar[str] = "edit"
    draft: str
    edited: str


@dataclass(frozen=True, slots=True)
class Rating:
    """A number the person gave to an item, on the scale (lowest, highest)."""

    kind: ClassVar[str] = "rating"
    item: str
    rating: float
    scale: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation with an assistant."""

    kind: ClassVar[str] = "dialogue"
    messages: tuple[Turn, ...]


Signal = Persona | Interaction | Preference | Edit | Rating | Dialogue


@dataclass(frozen=True, slots=True)
class Pair:
    """What the reward is measured on; the inference step never sees it.

    `weight` says how much it counts beside the other pairs of the same user.
    """

    prompt: str
    chosen: str
    rejected: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class User:
    """One person. `gold` is a true description of the taste, where a data set knows it."""

    user_id: str
    signals: tuple[Signal, ...]
    pairs: tuple[Pair, ...] = ()
    gold: str | None = None
    group: str | None = None


def prompts_in_signals(user: User) -> tuple[str, ...]:
    """The prompts that occur in a user's signals, dialogue turns of the user included."""
    found: list[str] = []
    for signal in user.signals:
        if isinstance(signal, Interaction | Preference):
            found.append(signal.prompt)
        elif isinstance(signal, Dialogue):
            found.extend(turn.content for turn in signal.messages if turn.role == "user")
    return tuple(found)


def texts_in(signal: Signal) -> tuple[str, ...]:
    """Every text of a signal."""
    if isinstance(signal, Dialogue):
        return tuple(turn.content for turn in signal.messages)
    if isinstance(signal, Persona):
        return (signal.text,)
    if isinstance(signal, Interaction):
        return (signal.prompt, signal.response)
    if isinstance(signal, Preference):
        return (signal.prompt, signal.chosen, signal.rejected)
    return (signal.draft, signal.edited) if isinstance(signal, Edit) else (signal.item,)
