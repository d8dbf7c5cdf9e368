"""What a set of users holds, counted; no model is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from popi_prompt.dataset import fingerprint
from popi_prompt.schema import Signal, User, texts_in
from popi_prompt.split import normal


@dataclass(frozen=True, slots=True)
class Spread:
    """The fewest, the median and the most."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over users.

    `prompts` are distinct ones of pairs, without case and spacing; `shared_prompts` those that
    several users have. `longer_chosen` is the share of pairs whose chosen answer is the longer one,
    ties half: far from 50%, length alone tells what is chosen. Lengths are in characters, those of
    signals by the user. Groups are counted, largest first.
    """

    users: int
    without_signals: int
    without_pairs: int
    with_gold: int
    groups: Mapping[str, int]
    signals: Mapping[str, int]
    signals_per_user: Spread
    signal_characters: Spread
    pairs: int
    pairs_per_user: Spread
    answer_characters: Spread | None
    prompts: int
    shared_prompts: int
    longer_chosen: float | None
    fingerprint: str

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def statistics(users: Sequence[User]) -> Statistics:
    """Count what these users hold; there must be at least one."""
    pairs = [pair for user in users for pair in user.pairs]
    asked = Counter(
        prompt for user in users for prompt in {normal(pair.prompt) for pair in user.pairs}
    )
    groups = Counter(user.group for user in users if user.group is not None)
    kinds = Counter(signal.kind for user in users for signal in user.signals)
    answers = [len(text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    return Statistics(
        users=len(users),
        without_signals=sum(not user.signals for user in users),
        without_pairs=sum(not user.pairs for user in users),
        with_gold=sum(user.gold is not None for user in users),
        groups=dict(groups.most_common()),
        signals=dict(kinds.most_common()),
        signals_per_user=_spread([len(user.signals) for user in users]),
        signal_characters=_spread([sum(map(_length, user.signals)) for user in users]),
        pairs=len(pairs),
        pairs_per_user=_spread([len(user.pairs) for user in users]),
        answer_characters=_spread(answers) if answers else None,
        prompts=len(asked),
        shared_prompts=sum(count > 1 for count in asked.values()),
        longer_chosen=_mean([_longer(len(p.chosen), len(p.rejected)) for p in pairs]),
        fingerprint=fingerprint(users),
    )


def _spread(values: Sequence[int]) -> Spread:
    return Spread(min(values), median(values), max(values))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _longer(chosen: int, rejected: int) -> float:
    return 0.5 if chosen == rejected else float(chosen > rejected)


def _length(signal: Signal) -> int:
    return sum(map(len, texts_in(signal)))
