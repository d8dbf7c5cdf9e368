"""LaMP: questions with the asking user's profile, and the outputs the user wrote or chose.

Format: lamp-benchmark.github.io: `*_questions.json` is a JSON array of id, input and profile;
`*_outputs.json` holds the answers under "golds". Where the input names what may be answered (tags,
categories, scores, two references), another of these is the rejected side of a pair. Titles,
headlines and paraphrases have no second answer: their users have signals and no pairs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from popi_prompt.errors import UsageError
from popi_prompt.importers.held_out import rank
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import is_array, read_array, read_object
from popi_prompt.schema import Interaction, Pair, Persona, Rating, Signal, User

NO_OUTPUT = "questions without an output; their users have no pairs"
NO_CHOICE = "questions that name no other answer; their users have no pairs"
EMPTY = "profile entries with empty text"
_STARS = (1.0, 5.0)
_LISTED = re.compile(r"(?:tags|categories): \[([^\]]*)\]")
_REFERENCES = re.compile(r"\[1\]: .*\[2\]: ", re.DOTALL)
_SCORE = re.compile(r"scale of 1 to 5", re.IGNORECASE)


def read_lamp(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Every question is a user: the profile are its signals, the question its pair."""
    questions = [source for source in files if is_array(source)]
    if not questions:
        raise UsageError("LaMP needs *_questions.json, a JSON array; outputs go with it")
    golds: dict[str, str] = {}
    for source in files:
        if source not in questions:
            outputs = read_object(source)
            for number, value in enumerate(outputs.items("golds")):
                row = Row(source, number, outputs.inner(value, f"golds[{number}]").values)
                golds[row.label("id")] = row.text("output")
    for source in questions:
        for row in read_array(source):
            yield _user(row, golds, wanted, left_out)


def _user(row: Row, golds: dict[str, str], wanted: Wanted, left_out: Counter[str]) -> User:
    asked = row.label("id")
    signals = [_signal(row.inner(entry, "a profile entry")) for entry in row.items("profile")]
    left_out[EMPTY] += signals.count(None)
    return User(
        f"{Path(row.source).stem}-{asked}",
        tuple(signal for signal in signals if signal is not None),
        _pairs(row.text("input"), golds.get(asked, ""), wanted.seed, left_out),
    )


def _signal(entry: Row) -> Signal | None:
    """What one entry of a profile says; its keys tell the task."""
    known = entry.values
    if "score" in known:
        item, stars = entry.text("text"), entry.float("score")
        if not _STARS[0] <= stars <= _STARS[1]:
            raise entry.error(f"'score' is {stars:g}, expected 1 to 5")
        return Rating(item, stars, _STARS) if item else None
    for asks, about, answer in (
        ("Which tag does this movie relate to?", "description", "tag"),
        ("Which category does this article relate to?", "text", "category"),
        ("Write a title for this abstract.", "abstract", "title"),
        ("Write a title for this text.", "text", "title"),
    ):
        if about in known and answer in known:
            given, wrote = entry.text(about), entry.text(answer)
            return Interaction(f"{asks} {given}", wrote, "liked") if given and wrote else None
    text = entry.text("text")
    return Persona(f"Wrote: {text}") if text else None


def _pairs(question: str, gold: str, seed: int, left_out: Counter[str]) -> tuple[Pair, ...]:
    if not gold or not question:
        left_out[NO_OUTPUT] += 1
        return ()
    others = [answer for answer in _answers(question) if answer != gold.strip()]
    if not others:
        left_out[NO_CHOICE] += 1
        return ()
    drawn = others[rank(question, seed) % len(others)]
    return (Pair(question, gold, drawn),)


def _answers(question: str) -> list[str]:
    """What a question says may be answered; none where it leaves that open."""
    if _REFERENCES.search(question):
        return ["[1]", "[2]"]
    listed = _LISTED.search(question)
    if listed:
        return [name.strip() for name in listed[1].split(",") if name.strip()]
    return ["1", "2", "3", "4", "5"] if _SCORE.search(question) else []
