"""Preference statements, written for this project: dimension x pole.

They are candidates for summaries in demonstrations, where a small model could not write good ones
by itself. Nothing is assumed about whom they fit: the reward decides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One end of one dimension of taste, as an instruction to the generator."""

    dimension: str
    pole: str
    text: str


STATEMENTS = (
    Statement("reading level", "plain", "Use simple, everyday words that a young child can easily understand."),
    Statement("reading level", "expert", "Use the precise technical terms that only an expert in the field understands."),
    Statement("reading level", "plain", "Write for a child in elementary school: short words and nothing difficult."),
    Statement("reading level", "expert", "Write for a PhD researcher in the field: dense, academic and exact."),
    Statement("tone", "friendly", "Be warm, friendly and encouraging."),
    Statement("tone", "neutral", "Be neutral, sober and matter-of-fact."),
    Statement("length", "short", "Answer as briefly as possible, in one short sentence."),
    Statement("length", "long", "Answer at length, with several full paragraphs."),
    Statement("detail", "essentials", "Give only the main point and leave out the details."),
    Statement("detail", "thorough", "Give many concrete details, numbers and examples."),
    Statement("structure", "list", "Structure the answer as a list of clear steps or points."),
    Statement("structure", "prose", "Write flowing prose without lists or headings."),
    Statement("formality", "formal", "Use formal, polished and professional language."),
    Statement("formality", "casual", "Use casual, relaxed language, as among friends."),
    Statement("directness", "direct", "Be blunt and direct; say clearly what to do."),
    Statement("directness", "careful", "Be careful and diplomatic; weigh several sides."),
    Statement("humour", "playful", "Be playful and funny, with jokes and wordplay."),
    Statement("humour", "serious", "Be serious; no jokes and no play with words."),
    Statement("imagery", "vivid", "Use vivid images, stories and poetic language."),
    Statement("imagery", "literal", "Use plain, literal language without metaphors."),
)  # fmt: skip
