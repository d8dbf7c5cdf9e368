"""Duplicates: users and pairs that occur again, word for word or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal, NamedTuple

from popi_prompt.leaks import NEAR, Near, Shingles, shingles
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Preference,
    Rating,
    Signal,
    User,
)
from popi_prompt.split import normal

How = Literal["same", "near"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A user who was left out, because an earlier one, `first`, is the same or nearly."""

    user_id: str
    first: str
    how: How


@dataclass(frozen=True, slots=True)
class Deduped:
    """What is left, and what went.

    `same_pairs` and `near_pairs` count pairs that were left out beside another of the same user.
    """

    users: tuple[User, ...]
    repeats: tuple[Repeat, ...]
    same_pairs: int
    near_pairs: int


def dedupe(users: Sequence[User], near: float = NEAR) -> Deduped:
    """Leave out users who say what an earlier one says, and a user's pairs that occur again.

    The same: all but the id is equal. Nearly: the pairs of neighbouring words, each with the place
    it is in (chosen, rejected, ...), have a Jaccard similarity of `near` or more, and nothing that
    both were asked is decided otherwise, however little its words are of all. What was chosen and
    what was rejected must each share `near` of the longer one's pairs of words with the other's. So
    two people who choose the other way round are not alike. The same pair of two people is no
    duplicate.
    """
    kept, repeats = _users(users, near)
    found = [_pairs(user.pairs, near) for user in kept]
    return Deduped(
        users=tuple(
            user if len(pairs) == len(user.pairs) else replace(user, pairs=pairs)
            for user, (pairs, _, _) in zip(kept, found, strict=True)
        ),
        repeats=repeats,
        same_pairs=sum(same for _, same, _ in found),
        near_pairs=sum(alike for _, _, alike in found),
    )


class _Choice(NamedTuple):
    """What somebody is for and what against, at one question; a tuple, as many are compared."""

    question: str
    chosen: str
    rejected: str


_Choices = dict[str, list[_Choice]]  # by question


class _Earlier:
    """What was kept, by name."""

    def __init__(self, population: Sequence[Shingles], near: float):
        self._near = near
        self._index = Near(population, near)
        self._by_words: dict[Shingles, list[tuple[str, _Choices]]] = defaultdict(list)
        self._agree = lru_cache(maxsize=2**14)(partial(_agree, near=near))

    def add(self, name: str, words: Shingles, choices: _Choices) -> None:
        if words not in self._by_words:
            self._index.add(words)
        self._by_words[words].append((name, choices))

    def like(self, words: Shingles, choices: _Choices) -> str | None:
        """The name of what is nearly the same, if there is any."""
        for each in self._index.candidates(words):
            for name, others in self._by_words[each]:
                # First what costs least: many may have been asked the same.
                if (
                    not self._at_odds(choices, others)
                    and self._index.alike(words, each)
                    and not self._at_odds(choices, self._rephrased(others, choices))
                ):
                    return name
        return None

    def _at_odds(self, some: _Choices, others: _Choices) -> bool:
        """Whether a question of both is decided otherwise."""
        for question, own in some.items():
            theirs = others.get(question)
            if theirs and own != theirs:
                for one in own:
                    if not any(self._agree(one, other) for other in theirs):
                        return True
        return False

    def _rephrased(self, choices: _Choices, questions: Iterable[str]) -> _Choices:
        """What was chosen at nearly those of the questions that were not asked just so."""
        return {
            question: [
                each
                for other, made in choices.items()
                if _share(question, other) >= self._near - 1e-9
                for each in made
            ]
            for question in questions
            if question not in choices
        }


def _users(users: Sequence[User], near: float) -> tuple[list[User], tuple[Repeat, ...]]:
    said = [frozenset(_said(user)) for user in users]
    earlier = _Earlier(said, near)
    whole: dict[User, str] = {}
    kept: list[User] = []
    repeats: list[Repeat] = []
    for user, words in zip(users, said, strict=True):
        content = replace(user, user_id="")
        if content in whole:
            repeats.append(Repeat(user.user_id, whole[content], "same"))
            continue
        choices = _choices((*user.signals, *user.pairs))
        like = earlier.like(words, choices)
        if like is not None:
            repeats.append(Repeat(user.user_id, like, "near"))
            continue
        earlier.add(user.user_id, words, choices)
        whole[content] = user.user_id
        kept.append(user)
    return kept, tuple(repeats)


def _pairs(pairs: Sequence[Pair], near: float) -> tuple[tuple[Pair, ...], int, int]:
    """The pairs that are left, and how many were the same as one of them or nearly."""
    said = [frozenset(_placed("pair", _texts(pair))) for pair in pairs]
    earlier = _Earlier(said, near)
    seen: set[tuple[str, ...]] = set()
    kept: list[Pair] = []
    same = 0
    for pair, words in zip(pairs, said, strict=True):
        texts = tuple(normal(text) for text in _texts(pair).values())
        choices = _choices((pair,))
        if texts in seen:
            same += 1
        elif earlier.like(words, choices) is None:
            earlier.add(pair.prompt, words, choices)
            kept.append(pair)
        seen.add(texts)
    return tuple(kept), same, len(pairs) - same - len(kept)


def _choices(said: Iterable[Signal | Pair]) -> _Choices:
    found: _Choices = defaultdict(list)
    for of in said:
        choice = _choice(of)
        if choice is not None:
            found[choice.question].append(choice)
    return dict(found)


def _choice(of: Signal | Pair) -> _Choice | None:
    match of:
        case Preference(prompt, chosen, rejected) | Pair(prompt, chosen, rejected):
            return _Choice(normal(prompt), chosen, rejected)
        case Interaction(prompt, response, "liked"):
            return _Choice(normal(prompt), response, "")
        case Interaction(prompt, response, "disliked"):
            return _Choice(normal(prompt), "", response)
        case Edit(draft, edited):
            return _Choice(normal(" ".join(sorted((draft, edited)))), edited, draft)
        case Rating(item, rating, scale) if 2 * rating != sum(scale):
            high = 2 * rating > sum(scale)
            return _Choice(normal(item), item if high else "", "" if high else item)
    return None


def _agree(one: _Choice, other: _Choice, near: float) -> bool:
    if (one.chosen, one.rejected) == (other.rejected, other.chosen):
        return False  # words may be the same where marks are not
    straight = (_share(one.chosen, other.chosen), _share(one.rejected, other.rejected))
    turned = (_share(one.chosen, other.rejected), _share(one.rejected, other.chosen))
    return min(straight) >= near - 1e-9 and sum(straight) >= sum(turned)


def _share(one: str, other: str) -> float:
    """Of the longer text's pairs of words, the share that the other one has as well."""
    if one == other:
        return 1.0
    words, more = shingles(one, None), shingles(other, None)
    return len(words & more) / max(len(words), len(more))


def _said(user: User) -> Iterator[int]:
    """Everything a user says, each pair of words with the place it is in."""
    for signal in user.signals:
        yield from _placed(signal.kind, _texts(signal))
    for pair in user.pairs:
        yield from _placed("pair", _texts(pair))
    if user.gold is not None:
        yield from _placed("user", {"gold": user.gold})


def _placed(kind: str, texts: dict[str, str]) -> Iterator[int]:
    for name, text in texts.items():
        yield from (hash((kind, name, both)) for both in shingles(text, None))


def _texts(of: Signal | Pair) -> dict[str, str]:
    """By place; a rating or a feedback is part of it, as it turns what is said around."""
    if isinstance(of, Dialogue):
        return {f"{i} {turn.role}": turn.content for i, turn in enumerate(of.messages)}
    if isinstance(of, Rating):
        return {f"{of.rating} on {of.scale}": of.item}
    fields = {name: getattr(of, name) for name in type(of).__dataclass_fields__ if name != "kind"}
    feedback = fields.pop("feedback", None)
    fields.pop("weight", None)
    return {f"{name} {feedback}": text for name, text in fields.items()}
