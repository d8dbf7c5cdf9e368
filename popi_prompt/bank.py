"""Preference statements and people to go with them, written for this project: dimension x pole.

Statements are candidates for summaries in demonstrations, where a small model could not write good
ones by itself. People are what demonstrations can show in place of users. Nothing is assumed about
whom a statement fits: the reward decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from popi_prompt.schema import Edit, Persona, Preference, Signal, User


@dataclass(frozen=True, slots=True)
class Statement:
    """One end of one dimension of taste, as an instruction to the generator."""

    dimension: str
    pole: str
    text: str


def _dimension(name: str, *poles: tuple[str, str]) -> tuple[Statement, ...]:
    return tuple(Statement(name, pole, text) for pole, text in poles)


STATEMENTS = (
    *_dimension(
        "reading level",
        ("plain", "Use simple, everyday words that a young child can easily understand."),
        ("plain", "Write for a child in elementary school: short words and nothing difficult."),
        ("expert", "Use the precise technical terms that only an expert in the field understands."),
        ("expert", "Write for a PhD researcher in the field: dense, academic and exact."),
    ),
    *_dimension(
        "tone",
        ("friendly", "Be warm, friendly and encouraging."),
        ("neutral", "Be neutral, sober and matter-of-fact."),
    ),
    *_dimension(
        "length",
        ("short", "Answer as briefly as possible, in one short sentence."),
        ("long", "Answer at length, with several full paragraphs."),
    ),
    *_dimension(
        "detail",
        ("essentials", "Give only the main point and leave out the details."),
        ("thorough", "Give many concrete details, numbers and examples."),
    ),
    *_dimension(
        "structure",
        ("list", "Structure the answer as a list of clear steps or points."),
        ("prose", "Write flowing prose without lists or headings."),
    ),
    *_dimension(
        "formality",
        ("formal", "Use formal, polished and professional language."),
        ("casual", "Use casual, relaxed language, as among friends."),
    ),
    *_dimension(
        "directness",
        ("direct", "Be blunt and direct; say clearly what to do."),
        ("careful", "Be careful and diplomatic; weigh several sides."),
    ),
    *_dimension(
        "humour",
        ("playful", "Be playful and funny, with jokes and wordplay."),
        ("serious", "Be serious; no jokes and no play with words."),
    ),
    *_dimension(
        "imagery",
        ("vivid", "Use vivid images, stories and poetic language."),
        ("literal", "Use plain, literal language without metaphors."),
    ),
)


# Attitude and voice, where people differ in other things than how an answer is built. Nobody was
# made up for these: where none may be shown but invented people, the proposer is asked for some.
MORE_STATEMENTS = (
    *_dimension(
        "attitude",
        ("favourable", "Be enthusiastic: praise it and say what is good about it."),
        ("critical", "Be critical: find fault and say what is bad about it."),
    ),
    *_dimension(
        "mood",
        ("cheerful", "Sound cheerful and lively."),
        ("weary", "Sound tired and disillusioned."),
    ),
    *_dimension(
        "temper",
        ("excited", "Be excited, and let it show."),
        ("calm", "Stay calm and composed."),
    ),
    *_dimension(
        "manner",
        ("tender", "Be tender and comforting."),
        ("proud", "Be proud and a little contemptuous."),
    ),
    *_dimension(
        "outlook",
        ("hopeful", "Be hopeful: point out how it may turn out well."),
        ("sober", "Be sober: point out limits and what may go wrong."),
    ),
    *_dimension(
        "grounds",
        ("evidence", "Argue from studies, figures and facts."),
        ("experience", "Argue from personal experience, and tell what happened to somebody."),
    ),
    *_dimension(
        "initiative",
        ("questions", "Ask questions first, before giving any advice."),
        ("answers", "Give the answer at once and ask nothing."),
    ),
)


BANK = (*STATEMENTS, *MORE_STATEMENTS)


@dataclass(frozen=True, slots=True)
class Invented(User):
    """Nobody: signals that were made up. `group` is the pole."""


def bank_people() -> dict[str, dict[str, tuple[Invented, ...]]]:
    """People with opposite tastes about the same topics: dimension, pole, three people each."""
    text = files("popi_prompt").joinpath("bank_signals.json").read_text(encoding="utf-8")
    return {
        dimension: {
            pole: _people(pole, next(other for other in found["personas"] if other != pole), found)
            for pole in found["personas"]
        }
        for dimension, found in json.loads(text).items()
    }


def _people(pole: str, other: str, found: Mapping[str, Any]) -> tuple[Invented, ...]:
    """Three choices; two and an edit; two and what the person is like."""
    topics = [(topic["prompt"], topic[pole], topic[other]) for topic in found["topics"]]
    signals: list[Signal] = [Preference(*topic) for topic in topics]
    _, mine, theirs = topics[4]
    signals[4] = Edit(theirs, mine)
    signals.append(Persona(found["personas"][pole]))
    return tuple(
        Invented(f"bank-{pole}-{number}", tuple(signals[start : start + 3]), group=pole)
        for number, start in enumerate(range(0, len(signals), 3), start=1)
    )
