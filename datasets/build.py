"""Make the users of a family from its bank of prose.

A folder of a family holds ``bank.jsonl`` (prompts, each with answers that carry labels) and
``tastes.json`` (what users may like). A fixed seed decides which user gets which text, so that
``users.jsonl`` is the same on every run, byte for byte. Users come in couples of two tastes that
disagree about the same two answers to the same prompt: no feature of an answer alone, its length
included, tells which of the two is chosen.

    python datasets/build.py explain
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SEED = 20260611
DRAWN_KINDS = (  # beside the one preference that every user has
    *("persona", "interaction", "interaction", "preference", "preference"),
    *("edit", "rating", "rating", "dialogue"),
)
LOST_REPLY = 0.25  # share of dialogues that end with what the person asks for

Signal = dict[str, Any]


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

    `couples` of users share a pair prompt. A user has between `signals` signals. A share of users,
    `changed`, had the taste of the other user of the couple in the first half of their signals.
    """

    name: str
    bank: tuple[Prompt, ...]
    tastes: tuple[Taste, ...]
    couples: int
    signals: tuple[int, int]
    changed: float


class Deck:
    """Hands out items in random order and reshuffles only when all have been used."""

    def __init__(self, items: Sequence[str], rng: random.Random) -> None:
        self._items = list(items)
        self._rng = rng
        self._left: list[str] = []

    def draw(self) -> str:
        """Return the next item."""
        if not self._left:
            self._left = list(self._items)
            self._rng.shuffle(self._left)
        return self._left.pop()


def load_family(folder: Path) -> Family:
    """Read the bank and the tastes of a family; prompts and texts must be distinct."""
    lines = (folder / "bank.jsonl").read_text(encoding="utf-8").splitlines()
    bank = tuple(_prompt(json.loads(line)) for line in lines)
    _refuse_repeats(folder, [prompt.prompt for prompt in bank])
    _refuse_repeats(folder, [answer.text for prompt in bank for answer in prompt.answers])
    plan = json.loads((folder / "tastes.json").read_text(encoding="utf-8"))
    tastes = tuple(_taste(name, taste) for name, taste in plan["tastes"].items())
    low, high = plan["signals"]
    return Family(folder.name, bank, tastes, plan["couples"], (low, high), plan["changed"])


def _prompt(line: dict[str, Any]) -> Prompt:
    answers = tuple(Answer(answer["text"], answer["labels"]) for answer in line["answers"])
    return Prompt(line["prompt"], line["topic"], answers)


def _taste(name: str, taste: dict[str, Any]) -> Taste:
    texts = {key: tuple(taste.get(key, ())) for key in ("personas", "requests", "comments")}
    return Taste(name, taste["likes"], taste["gold"], **texts)


def _refuse_repeats(folder: Path, texts: Sequence[str]) -> None:
    for text, count in Counter(texts).items():
        if count > 1:
            raise ValueError(f"{folder / 'bank.jsonl'}: {text!r} occurs {count} times")


def halves(bank: Sequence[Prompt], rng: random.Random) -> tuple[list[Prompt], list[Prompt]]:
    """Prompts for pairs and prompts for signals, half of either for each set of attributes."""
    by_attributes: defaultdict[tuple[str, ...], list[Prompt]] = defaultdict(list)
    for prompt in bank:
        by_attributes[tuple(sorted(prompt.attributes))].append(prompt)
    turn = 0
    parts: tuple[list[Prompt], list[Prompt]] = ([], [])
    for prompts in by_attributes.values():
        for prompt in rng.sample(prompts, len(prompts)):
            parts[turn].append(prompt)
            turn = 1 - turn
    return parts


class Matchmaker:
    """Finds couples of tastes that disagree on a prompt, the least used ones first."""

    def __init__(self, tastes: Sequence[Taste], rng: random.Random) -> None:
        self._tastes = tastes
        self._rng = rng
        self._used: Counter[str] = Counter()

    def couples(self, prompt: Prompt, count: int) -> Iterator[tuple[Taste, Taste]]:
        """Yield `count` couples; a couple comes twice only where the prompt has too few."""
        every = list(combinations(self._tastes, 2))
        possible = [
            (one, other)
            for one, other in every
            if _rivals(prompt, one, other) and _rivals(prompt, other, one)
        ]
        if not possible:
            raise ValueError(f"no two tastes disagree on the answers to {prompt.prompt!r}")
        all_meet = len(possible) == len(every)
        here: Counter[str] = Counter()
        for _ in range(count):
            one, other = min(possible, key=lambda c: (here[_key(c)], *self._rank(c, all_meet)))
            here[_key((one, other))] += 1
            self._used.update((one.name, other.name, _key((one, other))))
            yield one, other

    def _rank(self, couple: tuple[Taste, Taste], all_meet: bool) -> tuple[int, int, float]:
        tastes, couples = sum(self._used[one.name] for one in couple), self._used[_key(couple)]
        # Where few tastes meet, new couples first would leave those with few rivals behind.
        first, second = (couples, tastes) if all_meet else (tastes, couples)
        return first, second, self._rng.random()


def _key(couple: tuple[Taste, Taste]) -> str:
    return f"{couple[0].name} {couple[1].name}"


def _rivals(prompt: Prompt, liked_by: Taste, disliked_by: Taste) -> list[Answer]:
    """The answers that one taste likes in full and that the other would have otherwise."""
    return [answer for answer in liked_by.right(prompt) if answer in disliked_by.wrong(prompt)]


def _alike(answer: Answer, others: Sequence[Answer]) -> list[Answer]:
    """Those of the others that speak to the same attributes as the answer."""
    return [other for other in others if other.labels.keys() == answer.labels.keys()]


class Composer:
    """Makes users of the prompts for signals."""

    def __init__(self, family: Family, prompts: Sequence[Prompt], rng: random.Random) -> None:
        self._family = family
        self._prompts = prompts
        self._rng = rng
        self._personas = {taste.name: Deck(taste.personas, rng) for taste in family.tastes}
        self._requests = {taste.name: Deck(taste.requests, rng) for taste in family.tastes}
        self._comments = {taste.name: Deck(taste.comments, rng) for taste in family.tastes}
        self._makers: dict[str, Callable[[Taste, Prompt], Signal]] = {
            "interaction": self._interaction,
            "preference": self._preference,
            "edit": self._edit,
            "rating": self._rating,
            "dialogue": self._dialogue,
        }

    def couple(self, prompt: Prompt, tastes: tuple[Taste, Taste]) -> list[dict[str, Any]]:
        """Two users who choose the opposite on a prompt, with signals of the same kinds."""
        one, other = tastes
        ours = self._rng.choice(_rivals(prompt, one, other))
        theirs = self._rng.choice(_alike(ours, _rivals(prompt, other, one)))
        kinds = self._kinds(bool(one.comments and other.comments))
        before = len(kinds) // 2 if self._rng.random() < self._family.changed else 0
        contested = frozenset(ours.labels)
        return [
            self._user(one, other, kinds, before, contested) | _pair(prompt, ours, theirs),
            self._user(other, one, kinds, before, contested) | _pair(prompt, theirs, ours),
        ]

    def _kinds(self, comments: bool) -> list[str]:
        count = self._rng.randint(*self._family.signals)
        drawn = [*DRAWN_KINDS, "comment"] if comments else DRAWN_KINDS
        return ["preference", *self._rng.sample(drawn, count - 1)]

    def _user(
        self,
        taste: Taste,
        former: Taste,
        kinds: Sequence[str],
        before: int,
        contested: frozenset[str],
    ) -> dict[str, Any]:
        free = self._rng.sample(self._prompts, len(self._prompts))
        shuffled = self._rng.sample(kinds, len(kinds))
        signals = [
            *self._signals(former, shuffled[:before], free, contested),
            *self._signals(taste, shuffled[before:], free, contested),
        ]
        group = "changed" if before else taste.name
        return {"group": group, "gold": taste.gold, "public": True, "signals": signals}

    def _signals(
        self, taste: Taste, kinds: Sequence[str], free: list[Prompt], contested: frozenset[str]
    ) -> Iterator[Signal]:
        """Signals in turn about what the couple disagrees on and about what else the user likes."""
        subjects = cycle((contested, frozenset(taste.likes) - contested))
        for kind in kinds:
            if kind == "persona":
                yield {"kind": "persona", "text": self._personas[taste.name].draw()}
            elif kind == "comment":
                yield {"kind": "persona", "text": self._comments[taste.name].draw()}
            else:
                prompt = _take(free, taste, next(subjects))
                yield {"kind": kind} | self._makers[kind](taste, prompt)

    def _two(self, taste: Taste, prompt: Prompt) -> tuple[Answer, Answer]:
        right = self._rng.choice(taste.right(prompt))
        return right, self._rng.choice(_alike(right, taste.wrong(prompt)))

    def _interaction(self, taste: Taste, prompt: Prompt) -> Signal:
        answer = self._rng.choice(self._two(taste, prompt))
        feedback = "liked" if taste.fit(answer) == 1 else "disliked"
        return {"prompt": prompt.prompt, "response": answer.text, "feedback": feedback}

    def _preference(self, taste: Taste, prompt: Prompt) -> Signal:
        right, wrong = self._two(taste, prompt)
        return {"prompt": prompt.prompt, "chosen": right.text, "rejected": wrong.text}

    def _edit(self, taste: Taste, prompt: Prompt) -> Signal:
        right, wrong = self._two(taste, prompt)
        return {"draft": wrong.text, "edited": right.text}

    def _rating(self, taste: Taste, prompt: Prompt) -> Signal:
        answer = self._rng.choice(self._two(taste, prompt))
        fit = taste.fit(answer)
        rating = self._rng.choice((4, 5) if fit == 1 else (1, 2)) if fit in (0, 1) else 3
        return {"item": answer.text, "rating": rating, "scale": [1, 5]}

    def _dialogue(self, taste: Taste, prompt: Prompt) -> Signal:
        right, wrong = self._two(taste, prompt)
        contents = [prompt.prompt, wrong.text, self._requests[taste.name].draw(), right.text]
        if self._rng.random() < LOST_REPLY:
            contents.pop()
        roles = ("user", "assistant") * 2
        messages = [
            {"role": role, "content": content}
            for role, content in zip(roles, contents, strict=False)
        ]
        return {"messages": messages}


def _take(free: list[Prompt], taste: Taste, subject: frozenset[str]) -> Prompt:
    """Remove and return a prompt that shows the taste, one about the subject if there is one."""
    fitting = [at for at, one in enumerate(free) if taste.right(one) and taste.wrong(one)]
    if not fitting:
        raise ValueError(f"too few prompts for the signals of taste {taste.name!r}")
    return free.pop(next((at for at in fitting if subject & free[at].attributes), fitting[0]))


def _pair(prompt: Prompt, chosen: Answer, rejected: Answer) -> dict[str, Any]:
    texts = {"chosen": chosen.text, "rejected": rejected.text}
    return {"pairs": [{"prompt": prompt.prompt, **texts}]}


def compose(family: Family, seed: int = SEED) -> list[dict[str, Any]]:
    """Return all users, in an order and under ids that tell nothing about their taste."""
    rng = random.Random(seed)
    for_pairs, for_signals = halves(family.bank, rng)
    matchmaker = Matchmaker(family.tastes, rng)
    composer = Composer(family, for_signals, rng)
    users: list[dict[str, Any]] = []
    for prompt in for_pairs:
        for tastes in matchmaker.couples(prompt, family.couples):
            users += composer.couple(prompt, tastes)
    rng.shuffle(users)
    return [
        {"user_id": f"{family.name}-{number:03d}"} | user for number, user in enumerate(users, 1)
    ]


def write_jsonl(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write one JSON object a line, replacing ``path`` only once all is written."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the users of one family."""
    names = sorted(path.parent.name for path in HERE.glob("*/bank.jsonl"))
    parser = argparse.ArgumentParser(description="Make the users of a family from its bank.")
    parser.add_argument("family", choices=names)
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: users.jsonl)")
    args = parser.parse_args(argv)
    output = args.output or HERE / args.family / "users.jsonl"
    users = compose(load_family(HERE / args.family))
    write_jsonl(users, output)
    print(f"wrote {len(users)} users to {output}")


if __name__ == "__main__":
    main()
