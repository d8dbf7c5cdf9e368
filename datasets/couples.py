"""Couples of tastes that disagree about the same two answers to the same prompt."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from family import Answer, Prompt, Taste


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
            if rivals(prompt, one, other) and rivals(prompt, other, one)
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


def rivals(prompt: Prompt, liked_by: Taste, disliked_by: Taste) -> list[Answer]:
    """The answers that one taste likes in full and that the other would have otherwise."""
    return [answer for answer in liked_by.right(prompt) if answer in disliked_by.wrong(prompt)]


def alike(answer: Answer, others: Sequence[Answer]) -> list[Answer]:
    """Those of the others that speak to the same attributes as the answer."""
    return [other for other in others if other.labels.keys() == answer.labels.keys()]
