"""Every word a model sees, rendered by pure functions.

Text of users comes into them by `user_text` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Signal,
    User,
)
from popi_prompt.user_text import as_data as as_data
from popi_prompt.user_text import indented, labelled, unlabelled

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message, as a model gets it."""

    role: Role
    content: str


Messages = tuple[Message, ...]

UNTUNED_INSTRUCTION = (
    "Read what is known about a person. Write a short summary of how this person wants to be "
    "answered."
)

View = Literal["full", "liked"]
VIEWS: tuple[View, ...] = ("full", "liked")


def render_signals(signals: Sequence[Signal], view: View = "full") -> str:
    """What the inference model reads about a person, in the order of the signals.

    "full" shows everything, one paragraph a signal. "liked" lists only texts the person chose,
    wrote or rated well, a third of the tokens; a person without any is shown in full.
    """
    if view == "liked":
        liked = [text for signal in signals for text in _liked(signal)]
        if liked:
            return "\n".join(f"- {indented(text)}" for text in liked)
    return "\n\n".join(_signal(signal) for signal in signals)


def _liked(signal: Signal) -> tuple[str, ...]:
    match signal:
        case Persona(text=text) | Preference(chosen=text) | Edit(edited=text):
            return (text,)
        case Interaction(response=text, feedback="liked"):
            return (text,)
        case Rating(item=text, rating=rating, scale=(low, high)) if rating > (low + high) / 2:
            return (text,)
        case Dialogue(messages=messages):
            return tuple(turn.content for turn in messages if turn.role == "user")[1:]
        case _:
            return ()


def _signal(signal: Signal) -> str:
    match signal:
        case Persona(text=text):
            return labelled(("About the person", text))
        case Interaction(prompt=prompt, response=response, feedback=feedback):
            label = {"liked": "Liked", "disliked": "Disliked", None: "Answer"}[feedback]
            return labelled(("Request", prompt), (label, response))
        case Preference(prompt=prompt, chosen=chosen, rejected=rejected):
            return labelled(("Request", prompt), ("Liked", chosen), ("Disliked", rejected))
        case Edit(draft=draft, edited=edited):
            return labelled(("Draft", draft), ("Changed by the person to", edited))
        case Rating(item=item, rating=rating, scale=(low, high)):
            return labelled((f"Rated {rating:g} on a scale from {low:g} to {high:g}", item))
        case Dialogue(messages=messages):
            names = {"user": "Person", "assistant": "Assistant"}
            return labelled(*((names[turn.role], turn.content) for turn in messages))


@dataclass(frozen=True, slots=True)
class Conditioning:
    """How a summary reaches the generator. The bare prompt alone is the reference.

    `place`: "system" (a system message), "before" or "after" (in the user turn, a blank line
    between). `wording` holds `{summary}` exactly once.
    """

    place: Literal["system", "before", "after"]
    wording: str = "{summary}"

    def messages(self, prompt: str, summary: str | None) -> Messages:
        """The generator's messages; without a summary the prompt alone."""
        prompt = as_data(prompt)
        if summary is None:
            return (Message("user", prompt),)
        inserted = self.inserted(summary)
        if self.place == "system":
            return (Message("system", inserted), Message("user", prompt))
        parts = (inserted, prompt) if self.place == "before" else (prompt, inserted)
        return (Message("user", "\n\n".join(parts)),)

    def inserted(self, summary: str) -> str:
        """The text that is added to the prompt: what context overhead counts."""
        return self.wording.replace("{summary}", as_data(summary).strip())


UNTUNED_CONDITIONING = Conditioning("system")
TELLING = Conditioning("after", "({summary})")  # moves small generators furthest
UNASKED = Message("user", "(Write.)")  # stands for a prompt that nobody knows

CONDITIONINGS = (
    UNTUNED_CONDITIONING,
    Conditioning("system", "You are a helpful assistant. {summary}"),
    Conditioning("system", "How this person wants to be answered: {summary}"),
    Conditioning("before"),
    Conditioning("after"),
    TELLING,
)


def inference_messages(
    instruction: str, demonstrations: Sequence[tuple[str, str]], signals: str
) -> Messages:
    """Chat turns for the inference model; its whole completion is the summary.

    `demonstrations` are (rendered signals, summary). A tiny model follows turns where it cannot
    follow field markers.
    """
    turns = [Message("system", instruction)]
    for shown, summary in demonstrations:
        turns += [Message("user", shown), Message("assistant", as_data(summary))]
    return (*turns, Message("user", signals))


def choice_messages(context: str | None, pair: Pair, *, swapped: bool) -> Messages:
    """A forced choice between the two answers of a pair; `swapped` shows chosen as B."""
    first, second = (pair.rejected, pair.chosen) if swapped else (pair.chosen, pair.rejected)
    about = f"{unlabelled(context)}\n\n" if context is not None else ""
    question = "Which answer suits this person better? Reply with A or B only."
    return (Message("user", f"{about}{_versus(pair.prompt, first, second)}\n\n{question}"),)


def _versus(prompt: str, first: str, second: str) -> str:
    return (
        f"Request: {indented(prompt)}\n\nAnswer A: {indented(first)}\n\n"
        f"Answer B: {indented(second)}"
    )


JUDGE_OPTIONS = ("A", "B", "C")  # the first answer, the second, a tie


def judge_messages(user: User, prompt: str, first: str, second: str) -> Messages:
    """Ask a judge who knows the person which of two answers they would like better, or neither.

    The person is known by the gold description, else by all of their pairs.
    """
    if user.gold is not None:
        known = labelled(("About the person", user.gold))
    else:
        known = "\n\n".join(
            labelled(("Asked", p.prompt), ("Liked", p.chosen), ("Disliked", p.rejected))
            for p in user.pairs
        )
    question = (
        "Which answer would this person like better? Reply with A or B only, or with C if they "
        "would like both the same."
    )
    text = f"{known}\n\n{_versus(prompt, first, second)}\n\n{question}"
    return (Message("user", text),)


# What an instruction ends with to bound the summaries; by the name of the target.
LENGTH_TARGETS = {"none": "", "short": "Use one sentence of at most 20 words."}
