"""Duplicates: users and pairs that occur again, word for word or nearly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from popi_prompt.leaks import NEAR, Near, Shingles, shingles
from popi_prompt.schema import Dialogue, Pair, Rating, Signal, User
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
    it is in (chosen, rejected, ...), have a Jaccard similarity of `near` or more. So two people who
    choose the other way round are not alike. The same pair of two people is no duplicate.
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


def _users(users: Sequence[User], near: float) -> tuple[list[User], tuple[Repeat, ...]]:
    said = [frozenset(_said(user)) for user in users]
    earlier = Near(said, near)
    whole: dict[User, str] = {}
    by_words: dict[Shingles, str] = {}
    kept: list[User] = []
    repeats: list[Repeat] = []
    for user, words in zip(users, said, strict=True):
        content = replace(user, user_id="")
        if content in whole:
            repeats.append(Repeat(user.user_id, whole[content], "same"))
            continue
        like = earlier.like(words)
        if like is not None:
            repeats.append(Repeat(user.user_id, by_words[like], "near"))
            continue
        earlier.add(words)
        whole[content] = by_words[words] = user.user_id
        kept.append(user)
    return kept, tuple(repeats)


def _pairs(pairs: Sequence[Pair], near: float) -> tuple[tuple[Pair, ...], int, int]:
    """The pairs that are left, and how many were the same as one of them or nearly."""
    said = [frozenset(_placed("pair", _texts(pair))) for pair in pairs]
    earlier = Near(said, near)
    seen: set[tuple[str, ...]] = set()
    kept: list[Pair] = []
    same = 0
    for pair, words in zip(pairs, said, strict=True):
        texts = tuple(normal(text) for text in _texts(pair).values())
        if texts in seen:
            same += 1
        elif not earlier.holds(words):
            earlier.add(words)
            kept.append(pair)
        seen.add(texts)
    return tuple(kept), same, len(pairs) - same - len(kept)


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
        yield from (hash((kind, name, both)) for both in shingles(text))


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
