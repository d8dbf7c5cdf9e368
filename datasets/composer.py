"""Users of two tastes, with signals and a pair out of a family's texts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

from couples import alike, rivals
from deck import Deck
from family import Answer, Family, Prompt, Taste

DRAWN_KINDS = (  # beside the one preference that every user has
    *("persona", "interaction", "interaction", "preference", "preference"),
    *("edit", "rating", "rating", "dialogue"),
)
LOST_REPLY = 0.25  # share of dialogues that end with what the person asks for

Signal = dict[str, Any]


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
        ours = self._rng.choice(rivals(prompt, one, other))
        theirs = self._rng.choice(alike(ours, rivals(prompt, other, one)))
        kinds = self._kinds(bool(one.comments and other.comments))
        before = len(kinds) // 2 if self._rng.random() < self._family.changed else 0
        contested = frozenset(ours.labels)
        return [
            self._user(one, other, kinds, before, contested) | _pair(prompt, ours, theirs),
            self._user(other, one, kinds, before, contested) | _pair(prompt, theirs, ours),
        ]

    def _kinds(self, comments: bool) -> list[str]:
        count = self._rng.randint(*self._family.signals)
        always = ("preference", *self._family.always)
        every = [*DRAWN_KINDS, "comment"] if comments else DRAWN_KINDS
        drawn = [kind for kind in every if kind not in self._family.always]
        return [*always, *self._rng.sample(drawn, count - len(always))]

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
        return right, self._rng.choice(alike(right, taste.wrong(prompt)))

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
