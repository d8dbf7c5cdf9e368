"""Train, validation and test parts that share neither users nor prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from popi_prompt.errors import OptimizationError
from popi_prompt.schema import User, prompts_in_signals

FRACTIONS = (0.4, 0.25, 0.35)
_LEARNT = -1  # the part of those who are in no test part
MOST_HELD_OUT = 152  # more users narrow the interval little and cost as much as the search


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts with these promises, prompts compared without case and spacing:

    - no user is in two parts;
    - no pair prompt of `test` occurs in `train` or `val`, in pairs or in signals;
    - no pair prompt of `val` occurs in `train`, in pairs or in signals.

    `dropped_users` and `dropped_pairs` count what had to go to keep them: users with pairs who are
    in no part, and all pairs that are in no part, those of dropped users included.
    """

    train: tuple[User, ...]
    val: tuple[User, ...]
    test: tuple[User, ...]
    dropped_users: int = 0
    dropped_pairs: int = 0

    @property
    def parts(self) -> dict[str, tuple[User, ...]]:
        """The three by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def split_users(
    users: Sequence[User], *, seed: int = 0, fractions: tuple[float, float, float] = FRACTIONS
) -> Split:
    """Split users into train, val and test.

    Users who share a pair prompt stay together. Where too many do (everybody answered the same
    prompts), users are split first, the prompts too, and pairs on the wrong side are dropped.
    Val and test hold at most `MOST_HELD_OUT` users each; train takes the rest. The order in which
    users are given does not matter. Raises `OptimizationError` if a part would be empty.
    """
    with_pairs = _with_pairs(users)
    seen = {normal(prompt) for user in with_pairs for prompt in prompts_in_signals(user)}
    blocks = _blocks(with_pairs)
    if len(blocks) < 3 or max(map(len, blocks)) > max(fractions[0] * len(with_pairs), 1):
        parts = _by_user_and_prompt(with_pairs, seed, fractions)
    else:
        parts = _by_block(blocks, seen, seed, fractions)
        if not all(parts):
            parts = _by_user_and_prompt(with_pairs, seed, fractions)
    return _made(with_pairs, parts)


def _with_pairs(users: Iterable[User]) -> list[User]:
    """By id, so that a file says the same in any order of its lines."""
    return sorted((user for user in users if user.pairs), key=attrgetter("user_id"))


def _made(with_pairs: Sequence[User], parts: list[list[User]]) -> Split:
    """The promises kept and counted. Raises `OptimizationError` if a part is empty."""
    train, val, test = _without_seen_prompts(parts)
    if not (train and val and test):
        raise OptimizationError(
            f"{len(with_pairs)} users with pairs are too few, or share too many prompts, for "
            "three parts without common users and prompts; add users with prompts of their own"
        )
    kept = (*train, *val, *test)
    return Split(
        train,
        val,
        test,
        dropped_users=len(with_pairs) - len(kept),
        dropped_pairs=_count_pairs(with_pairs) - _count_pairs(kept),
    )


def split_folds(users: Sequence[User], folds: int, *, seed: int = 0) -> tuple[Split, ...]:
    """As many splits, with the same promises; nobody is in the test part of two.

    Users are dealt into `folds` parts, those who share a pair prompt into the same. Each part is
    `test` once, the next one is then `val`; whoever has a pair prompt that occurs in signals is
    learnt from in every split. Where too many users share prompts, the prompts are
    dealt, too, and pairs on the wrong side are dropped. The order in which users are given does not
    matter. Raises `OptimizationError` if a part of a split would be empty.
    """
    with_pairs = _with_pairs(users)
    seen = _signal_prompts(with_pairs)
    blocks = [block for block in _blocks(with_pairs) if seen.isdisjoint(_pair_prompts(block))]
    rng = np.random.default_rng(seed)
    apart = len(blocks) >= folds and max(map(len, blocks)) <= len(with_pairs) / folds
    if not apart:
        blocks = [[user] for user in with_pairs]
    part = {user.user_id: i for i, dealt in enumerate(_deal(blocks, folds, rng)) for user in dealt}
    prompts = sorted(_pair_prompts(with_pairs) - seen)
    side = dict(zip(prompts, rng.permutation(len(prompts)) % folds, strict=True))
    splits = []
    for fold in range(folds):
        parts: list[list[User]] = [[], [], []]
        for user in with_pairs:
            role = _role(part.get(user.user_id, _LEARNT), fold, folds)
            pairs = tuple(
                pair
                for pair in user.pairs
                if apart or _role(side.get(normal(pair.prompt), _LEARNT), fold, folds) == role
            )
            if pairs:
                parts[role].append(replace(user, pairs=pairs))
        try:
            splits.append(_made(with_pairs, parts))
        except OptimizationError as error:
            raise OptimizationError(f"{folds} folds are too many: {error}") from None
    return tuple(splits)


def _role(part: int, fold: int, folds: int) -> int:
    """0 train, 1 val, 2 test."""
    return {fold: 2, (fold + 1) % folds: 1}.get(part, 0)


def _deal(blocks: list[list[User]], folds: int, rng: np.random.Generator) -> list[list[User]]:
    """Blocks in random order, each to the part with fewest users."""
    dealt: list[list[User]] = [[] for _ in range(folds)]
    for i in rng.permutation(len(blocks)):
        min(dealt, key=len).extend(blocks[i])
    return dealt


def normal(prompt: str) -> str:
    """What two prompts must share to count as one: the words, not case or spacing."""
    return " ".join(prompt.casefold().split())


def _count_pairs(users: Iterable[User]) -> int:
    return sum(len(user.pairs) for user in users)


def _pair_prompts(users: Iterable[User]) -> set[str]:
    return {normal(pair.prompt) for user in users for pair in user.pairs}


def _signal_prompts(users: Iterable[User]) -> set[str]:
    return {normal(prompt) for user in users for prompt in prompts_in_signals(user)}


def _blocks(users: Sequence[User]) -> list[list[User]]:
    """Connected components of users over shared pair prompts, in order of first appearance."""
    parent = list(range(len(users)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    owner: dict[str, int] = {}
    for i, user in enumerate(users):
        for pair in user.pairs:
            j = root(owner.setdefault(normal(pair.prompt), i))
            parent[max(root(i), j)] = min(root(i), j)
    blocks: dict[int, list[User]] = {}
    for i, user in enumerate(users):
        blocks.setdefault(root(i), []).append(user)
    return list(blocks.values())


def _by_block(
    blocks: list[list[User]], seen: set[str], seed: int, fractions: tuple[float, float, float]
) -> list[list[User]]:
    """Fill test, then val, with blocks whose prompts occur in no signals; train takes the rest."""
    total = sum(map(len, blocks))
    order = np.random.default_rng(seed).permutation(len(blocks))
    shuffled = [blocks[i] for i in order]
    shuffled.sort(key=lambda block: not seen.isdisjoint(_pair_prompts(block)))
    parts: dict[str, list[list[User]]] = {"test": [], "val": [], "train": []}
    room = {
        "test": min(fractions[2] * total + 0.5, MOST_HELD_OUT),
        "val": min(fractions[1] * total + 0.5, MOST_HELD_OUT),
        "train": float(total),
    }
    for block in shuffled:
        name = next(n for n in parts if n == "train" or len(block) <= room[n])
        room[name] -= len(block)
        parts[name].append(block)
    for name in ("test", "val"):
        if not parts[name]:
            _give_the_smallest(parts["train"], parts[name], seen)
    return [[user for block in parts[name] for user in block] for name in ("train", "val", "test")]


def _give_the_smallest(train: list[list[User]], part: list[list[User]], seen: set[str]) -> None:
    """Where every block is larger than its share, a part has a larger share, not nobody."""
    sizes = {
        i: len(block)
        for i, block in enumerate(train)
        if len(block) <= MOST_HELD_OUT and seen.isdisjoint(_pair_prompts(block))
    }
    if sizes and len(train) > 1:
        part.append(train.pop(min(sizes, key=sizes.__getitem__)))


def _by_user_and_prompt(
    users: Sequence[User], seed: int, fractions: tuple[float, float, float]
) -> list[list[User]]:
    """Cut the users and the prompts independently; keep the pairs where both agree."""
    rng = np.random.default_rng(seed)
    prompts = list(dict.fromkeys(normal(pair.prompt) for user in users for pair in user.pairs))
    most = MOST_HELD_OUT / max(len(users), 1)
    user_part = _cut(rng, len(users), min(fractions[1], most), min(fractions[2], most))
    prompt_part = dict(
        zip(prompts, _cut(rng, len(prompts), fractions[1], fractions[2]), strict=True)
    )
    parts: list[list[User]] = [[], [], []]
    for user, part in zip(users, user_part, strict=True):
        pairs = tuple(pair for pair in user.pairs if prompt_part[normal(pair.prompt)] == part)
        if pairs:
            parts[part].append(replace(user, pairs=pairs))
    return parts


def _cut(rng: np.random.Generator, count: int, val: float, test: float) -> list[int]:
    """The part of each of `count` things, in random order: 0 train, 1 val, 2 test."""
    place = (rng.permutation(count) + 0.5) / max(count, 1)
    return [int(part) for part in np.searchsorted((1 - val - test, 1 - test), place)]


def _without_seen_prompts(
    parts: list[list[User]],
) -> tuple[tuple[User, ...], tuple[User, ...], tuple[User, ...]]:
    """Drop users of an earlier part whose pairs or signals hold a later part's pair prompt."""
    train, val, test = parts
    val = _disjoint(val, _pair_prompts(test))
    train = _disjoint(train, _pair_prompts(test) | _pair_prompts(val))
    return tuple(train), tuple(val), tuple(test)


def _disjoint(users: list[User], forbidden: set[str]) -> list[User]:
    return [
        user
        for user in users
        if forbidden.isdisjoint(_pair_prompts([user]) | _signal_prompts([user]))
    ]
