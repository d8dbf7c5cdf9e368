"""Compose ``tastes.jsonl``: 80 synthetic users with one of two opposite tastes in answers.

The texts live in ``tastes_source.json`` beside this script; a fixed seed decides which user
gets which of them, so the output is byte-identical on every run.

    python datasets/make_tastes.py
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from deck import Deck
from users_file import write_jsonl

Taste = Literal["plain", "expert"]
Signal = dict[str, Any]

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "tastes_source.json"
OUTPUT = HERE / "tastes.jsonl"

SEED = 20240613
TASTES: tuple[Taste, Taste] = ("plain", "expert")
COUPLES = 40  # one user of either taste each; the two share their pair topics with nobody else
PAIRS_PER_USER = 1
SIGNALS_PER_USER = (3, 4)
PREFERENCES_PER_USER = 2
OTHER_KINDS = ("persona", "interaction", "edit", "rating", "dialogue")


class Topic(TypedDict):
    """A prompt and its answer in either style."""

    prompt: str
    plain: str
    expert: str


class Source(TypedDict):
    """The contents of ``tastes_source.json``."""

    gold: dict[Taste, str]
    personas: dict[Taste, list[str]]
    requests: dict[Taste, list[str]]
    signal_topics: list[Topic]
    pair_topics: list[Topic]


def load_source(path: Path) -> Source:
    """Read the texts and check that prompts are distinct and the topic count fits."""
    source = cast(Source, json.loads(path.read_text(encoding="utf-8")))
    prompts = [topic["prompt"] for topic in source["signal_topics"] + source["pair_topics"]]
    if len(set(prompts)) != len(prompts):
        raise ValueError(f"{path}: a prompt occurs twice")
    if len(source["pair_topics"]) < COUPLES * PAIRS_PER_USER:
        raise ValueError(f"{path}: expected {COUPLES * PAIRS_PER_USER} pair topics or more")
    return source


def opposite(taste: Taste) -> Taste:
    """Return the other taste."""
    return "expert" if taste == "plain" else "plain"


def preference(topic: Topic, taste: Taste) -> dict[str, str]:
    """Return the prompt with the answer of this taste chosen over the other one."""
    return {
        "prompt": topic["prompt"],
        "chosen": topic[taste],
        "rejected": topic[opposite(taste)],
    }


class Composer:
    """Builds the signals and pairs of users from the source texts."""

    def __init__(self, source: Source, rng: random.Random) -> None:
        self._source = source
        self._rng = rng
        self._personas = {taste: Deck(source["personas"][taste], rng) for taste in TASTES}
        self._requests = {taste: Deck(source["requests"][taste], rng) for taste in TASTES}
        self._makers: dict[str, Callable[[Topic, Taste], Signal]] = {
            "persona": self._persona,
            "interaction": self._interaction,
            "preference": lambda topic, taste: dict(preference(topic, taste)),
            "edit": self._edit,
            "rating": self._rating,
            "dialogue": self._dialogue,
        }

    def user(self, taste: Taste, topics: Sequence[Topic], kinds: Sequence[str]) -> dict[str, Any]:
        """Return one user without an id, with pairs on these topics and signals of these kinds."""
        pairs = [preference(topic, taste) for topic in topics]
        self._rng.shuffle(pairs)
        return {
            "group": taste,
            "signals": self._signals(taste, kinds),
            "pairs": pairs,
            "gold": self._source["gold"][taste],
            "public": True,
        }

    def _signals(self, taste: Taste, kinds: Sequence[str]) -> list[Signal]:
        kinds = self._rng.sample(kinds, len(kinds))
        topics = self._rng.sample(self._source["signal_topics"], len(kinds))
        return [
            {"kind": kind} | self._makers[kind](topic, taste)
            for kind, topic in zip(kinds, topics, strict=True)
        ]

    def _persona(self, _topic: Topic, taste: Taste) -> Signal:
        return {"text": self._personas[taste].draw()}

    def _interaction(self, topic: Topic, taste: Taste) -> Signal:
        style = self._rng.choice(TASTES)
        verdict = "liked" if style == taste else "disliked"
        feedback = None if self._rng.random() < 0.25 else verdict
        return {"prompt": topic["prompt"], "response": topic[style], "feedback": feedback}

    def _edit(self, topic: Topic, taste: Taste) -> Signal:
        return {"draft": topic[opposite(taste)], "edited": topic[taste]}

    def _rating(self, topic: Topic, taste: Taste) -> Signal:
        style = self._rng.choice(TASTES)
        rating = self._rng.choice((4, 5) if style == taste else (1, 2))
        return {"item": topic[style], "rating": rating, "scale": [1, 5]}

    def _dialogue(self, topic: Topic, taste: Taste) -> Signal:
        turns = [
            ("user", topic["prompt"]),
            ("assistant", topic[opposite(taste)]),
            ("user", self._requests[taste].draw()),
            ("assistant", topic[taste]),
        ]
        if self._rng.random() < 0.25:  # some dialogues end with the request
            turns.pop()
        return {"messages": [{"role": role, "content": content} for role, content in turns]}


def compose(source: Source, seed: int = SEED) -> list[dict[str, Any]]:
    """Return all users, in an order and under ids that tell nothing about their taste."""
    rng = random.Random(seed)
    composer = Composer(source, rng)
    topics = list(source["pair_topics"])
    rng.shuffle(topics)
    users: list[dict[str, Any]] = []
    for start in range(0, COUPLES * PAIRS_PER_USER, PAIRS_PER_USER):
        shared = topics[start : start + PAIRS_PER_USER]
        # Both have signals of the same kinds, so that the kinds are no clue to the taste.
        kinds = ["preference"] * PREFERENCES_PER_USER
        kinds += rng.sample(OTHER_KINDS, rng.choice(SIGNALS_PER_USER) - len(kinds))
        users += [composer.user(taste, shared, kinds) for taste in TASTES]
    rng.shuffle(users)
    return [{"user_id": f"u{number:03d}"} | user for number, user in enumerate(users, start=1)]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description="Compose the tastes data set.")
    parser.add_argument(
        "-o", "--output", type=Path, default=OUTPUT, help="file to write (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    users = compose(load_source(SOURCE))
    write_jsonl(users, args.output)
    print(f"wrote {len(users)} users to {args.output}")


if __name__ == "__main__":
    main()
