"""A family: its bank of prose, and what its users may like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A text and what it is like, by attribute: ``{"level": "expert"}``."""

    text: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with its answers."""

    prompt: str
    topic: str
    answers: tuple[Answer, ...]

    @property
    def attributes(self) -> frozenset[str]:
        """What its answers differ in."""
        return frozenset(key for answer in self.answers for key in answer.labels)


@dataclass(frozen=True, slots=True)
class Taste:
    """What a group of users likes: a value for each of some attributes.

    `personas` hint at it, `comments` are remarks that such a person has made elsewhere, `requests`
    are what such a person says to an assistant who got it wrong.
    """

    name: str
    likes: Mapping[str, str]
    gold: str
    personas: tuple[str, ...]
    requests: tuple[str, ...]
    comments: tuple[str, ...] = ()

    def fit(self, answer: Answer) -> float | None:
        """The share of the answer's attributes it cares about that are as it likes them."""
        shared = self.likes.keys() & answer.labels.keys()
        if not shared:
            return None
        return sum(self.likes[key] == answer.labels[key] for key in shared) / len(shared)

    def right(self, prompt: Prompt) -> list[Answer]:
        """The answers that it likes in full."""
        return [answer for answer in prompt.answers if self.fit(answer) == 1]

    def wrong(self, prompt: Prompt) -> list[Answer]:
        """The answers that it would have otherwise."""
        fits = [(answer, self.fit(answer)) for answer in prompt.answers]
        return [answer for answer, fit in fits if fit is not None and fit < 1]


@dataclass(frozen=True, slots=True)
class Family:
    """A bank, the tastes, and how users are made of them.

    `couples` of users share a pair prompt. A user has between `signals` signals: a preference, one
    of each kind in `always`, and others. A share of users, `changed`, had the taste of the other
    user of the couple in the first half of their signals.
    """

    name: str
    bank: tuple[Prompt, ...]
    tastes: tuple[Taste, ...]
    couples: int
    signals: tuple[int, int]
    changed: float
    always: tuple[str, ...] = ()


def load_family(folder: Path) -> Family:
    """Read the bank and the tastes of a family."""
    bank = load_bank(folder / "bank.jsonl")
    plan = json.loads((folder / "tastes.json").read_text(encoding="utf-8"))
    tastes = tuple(_taste(name, taste) for name, taste in plan["tastes"].items())
    low, high = plan["signals"]
    always = tuple(plan.get("always", ()))
    return Family(folder.name, bank, tastes, plan["couples"], (low, high), plan["changed"], always)


def load_bank(path: Path) -> tuple[Prompt, ...]:
    """Read prompts with their answers; prompts and texts must be distinct."""
    lines = path.read_text(encoding="utf-8").splitlines()
    bank = tuple(_prompt(json.loads(line)) for line in lines)
    _refuse_repeats(path, [prompt.prompt for prompt in bank])
    _refuse_repeats(path, [answer.text for prompt in bank for answer in prompt.answers])
    return bank


def _prompt(line: dict[str, Any]) -> Prompt:
    answers = tuple(Answer(answer["text"], answer["labels"]) for answer in line["answers"])
    return Prompt(line["prompt"], line["topic"], answers)


def _taste(name: str, taste: dict[str, Any]) -> Taste:
    texts = {key: tuple(taste.get(key, ())) for key in ("personas", "requests", "comments")}
    return Taste(name, taste["likes"], taste["gold"], **texts)


def _refuse_repeats(path: Path, texts: Sequence[str]) -> None:
    for text, count in Counter(texts).items():
        if count > 1:
            raise ValueError(f"{path}: {text!r} occurs {count} times")
