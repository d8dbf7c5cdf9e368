"""Leaks: held-out pairs whose prompt or answers an earlier part holds, word for word or nearly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise

from popi_prompt.ngrams import words
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Preference,
    User,
    prompts_in_signals,
)
from popi_prompt.split import normal

NEAR = 0.8
_MOST_WORDS = 200  # of a text; copies agree from the start

Shingles = frozenset[int]


@dataclass(frozen=True, slots=True)
class Leaks:
    """Of `pairs`, how many were seen before; each counts once, under the first that applies.

    `same_prompts`: the prompt, without case and spacing. `near_prompts`: a prompt of nearly the
    same words. `near_answers`: another prompt, but both answers are the same or nearly so.
    """

    pairs: int
    same_prompts: int = 0
    near_prompts: int = 0
    near_answers: int = 0

    @property
    def seen(self) -> int:
        """Pairs that were seen in any of the three ways."""
        return self.same_prompts + self.near_prompts + self.near_answers


def leaks(earlier: Sequence[User], later: Sequence[User], near: float = NEAR) -> Leaks:
    """Pairs of `later` that were seen in pairs or signals of `earlier`.

    Nearly the same: the pairs of neighbouring words of the two texts have a Jaccard similarity of
    `near` or more.
    """
    prompts = [pair.prompt for user in earlier for pair in user.pairs]
    prompts += [prompt for user in earlier for prompt in prompts_in_signals(user)]
    answers = [text for user in earlier for p in user.pairs for text in (p.chosen, p.rejected)]
    answers += [text for user in earlier for text in _answers_in_signals(user)]
    seen = _Seen(prompts, answers, near)
    return seen.among(pair for user in later for pair in user.pairs)


def leaks_within(users: Sequence[User], near: float = NEAR) -> Leaks:
    """Pairs that were seen in the signals of the very user whose summary they measure."""
    total = Leaks(0)
    for user in users:
        found = leaks((replace(user, pairs=()),), (user,), near)
        total = Leaks(
            total.pairs + found.pairs,
            total.same_prompts + found.same_prompts,
            total.near_prompts + found.near_prompts,
            total.near_answers + found.near_answers,
        )
    return total


def _answers_in_signals(user: User) -> Iterable[str]:
    for signal in user.signals:
        if isinstance(signal, Preference):
            yield from (signal.chosen, signal.rejected)
        elif isinstance(signal, Edit):
            yield from (signal.edited, signal.draft)
        elif isinstance(signal, Interaction):
            yield signal.response
        elif isinstance(signal, Dialogue):
            yield from (turn.content for turn in signal.messages if turn.role == "assistant")


class _Seen:
    """What an earlier part holds."""

    def __init__(self, prompts: Iterable[str], answers: Iterable[str], near: float):
        self._prompts = {normal(prompt) for prompt in prompts}
        self._near_prompts = near_any((shingles(prompt) for prompt in self._prompts), near)
        self._near_answers = near_any((shingles(answer) for answer in set(answers)), near)

    def among(self, pairs: Iterable[Pair]) -> Leaks:
        counts: Counter[str] = Counter()
        for pair in pairs:
            counts["pairs"] += 1
            how = self._how(pair)
            if how is not None:
                counts[how] += 1
        return Leaks(counts.pop("pairs", 0), **counts)

    def _how(self, pair: Pair) -> str | None:
        if normal(pair.prompt) in self._prompts:
            return "same_prompts"
        if self._near_prompts.holds(shingles(pair.prompt)):
            return "near_prompts"
        if all(self._near_answers.holds(shingles(text)) for text in (pair.chosen, pair.rejected)):
            return "near_answers"
        return None


def shingles(text: str, most: int | None = _MOST_WORDS) -> Shingles:
    """Pairs of neighbouring words, with both ends, without case and punctuation.

    Of the first `most` words, None for all.
    """
    inner = words(text)[:most] or [normal(text)]
    return frozenset(hash(both) for both in pairwise(["", *inner, ""]))


class Near:
    """Finds which of many sets have a Jaccard similarity of `near` or more with another one.

    Two such sets share one of the few rarest members of each, so only sets that do are compared
    (prefix filtering: S. Chaudhuri, V. Ganti, R. Kaushik, A primitive operator for similarity joins
    in data cleaning, ICDE 2006). Nothing is missed. What is rare is counted in `population`, all
    sets that may be added; it holds none of them yet.
    """

    def __init__(self, population: Iterable[Shingles], near: float):
        self._near = near
        self._frequency = Counter(member for each in population for member in each)
        self._by_rare: dict[int, list[Shingles]] = defaultdict(list)
        self._all: list[Shingles] = []

    def add(self, each: Shingles) -> None:
        """Hold one more set."""
        self._all.append(each)
        for member in self._rarest(each):
            self._by_rare[member].append(each)

    def holds(self, wanted: Shingles) -> bool:
        """Whether there is such a set."""
        return any(self.alike(wanted, each) for each in self.candidates(wanted))

    def candidates(self, wanted: Shingles) -> Iterator[Shingles]:
        """Once each, all sets that can be alike; others, too, where rare members are common."""
        rare = self._rarest(wanted)
        sharing = [self._by_rare[member] for member in rare if member in self._by_rare]
        most = 2 * len(self._all)
        rest = self._all if sum(map(len, sharing)) > most else ()
        seen: set[int] = set()
        for each in chain(islice(chain.from_iterable(sharing), most), rest):
            if id(each) not in seen:
                seen.add(id(each))
                yield each

    def _rarest(self, members: Shingles) -> list[int]:
        shared = math.ceil(self._near * len(members) - 1e-9)
        ordered = sorted(members, key=lambda member: (self._frequency[member], member))
        return ordered[: len(members) - shared + 1]

    def alike(self, one: Shingles, other: Shingles) -> bool:
        """Whether two sets are."""
        least, most = sorted((len(one), len(other)))
        if least < self._near * most - 1e-9:
            return False
        both = len(one & other)
        return both >= self._near * (least + most - both) - 1e-9


def near_any(sets: Iterable[Shingles], near: float) -> Near:
    """Holds all of these sets."""
    distinct = set(sets)
    found = Near(distinct, near)
    for each in distinct:
        found.add(each)
    return found
