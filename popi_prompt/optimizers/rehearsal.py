"""Rehearsal: what demonstration sets would make of training users who are in none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from popi_prompt.candidate import Candidate
from popi_prompt.errors import ModelError
from popi_prompt.evaluation import in_parallel
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.inference import summarizer
from popi_prompt.optimizers.calibration import logs_of
from popi_prompt.optimizers.demonstrations import DemonstrationSet, Pool, fits
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.optimizers.variations import Lean, vary
from popi_prompt.prompts import View
from popi_prompt.schema import User

VIEW: View = "liked"
_BLOCK = 4
_CHILDREN = 2  # of each parent in a round
_PROMISING = 6  # sets that go on after a round
_REWARDED = 5  # sets that go on after a later block


@dataclass(frozen=True, slots=True)
class Take:
    """One user under one set: the expected `reward`, and how `fit` the set is for this user.

    `fit` is the log-probability of the best of the kept texts among them, and `logs` are those
    of all, whose `rewards` are known. Where there are no log-probabilities, `fit` is the reward.
    """

    reward: float
    fit: float
    best: int | None = None
    logs: NDArray[np.float64] | None = None
    rewards: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Looks for sets under which the inference model writes the summaries that pay.

    Where its route gives log-probabilities, a rehearsal is its own distribution on `texts`, the
    summaries that the demonstrations show: rewards that are known already, weighted. That sees a
    lean towards one of them long before a greedy answer flips, and costs no call of the generator.
    Elsewhere the summary is written and scored. After each of the first `variations` blocks of
    users, so many `parents` are varied; `sets` are found at most. Where summaries are chosen, not
    written, the distribution is `calibrated`: a lean costs nothing then.
    """

    task: Task
    table: RewardTable
    texts: tuple[str, ...]
    variations: int = 3
    parents: int = 3
    sets: int = 4
    calibrated: bool = False
    takes: dict[DemonstrationSet, list[Take]] = field(default_factory=dict)

    def best(
        self,
        sets: Sequence[DemonstrationSet],
        users: Sequence[User],
        pools: Sequence[Pool],
        rng: np.random.Generator,
    ) -> tuple[DemonstrationSet, ...]:
        """The few best sets by reward, best first, after all of `users`.

        A set is varied with people of the first pool that it could have been drawn from.
        Users come in blocks. While sets are varied, the most promising ones and their variations
        are kept: a set that leans a little can be varied into a good one, while one that always
        brings the most popular summary has a fair reward and no future.
        """
        running = list(sets)
        for turn, start in enumerate(range(0, len(users), _BLOCK)):
            end = min(start + _BLOCK, len(users))
            self._rehearse(running, users[start:end])
            if turn < self.variations and len(self.texts) > 1:
                running = sorted(running, key=self._promise, reverse=True)
                varied = self._varied(running[: self.parents], pools, rng)
                self._rehearse(varied, users[:end])
                running = sorted([*running, *varied], key=self._promise, reverse=True)[
                    : max(_PROMISING, self.sets)
                ]
            else:
                running = sorted(running, key=self.reward, reverse=True)[
                    : max(_REWARDED, self.sets)
                ]
        running = sorted(running, key=self.reward, reverse=True)[: self.sets]
        return tuple(each for each in running if np.isfinite(self.reward(each)))

    def _varied(
        self,
        parents: Sequence[DemonstrationSet],
        pools: Sequence[Pool],
        rng: np.random.Generator,
    ) -> list[DemonstrationSet]:
        """New sets of the parents' that fit a context."""
        varied = [
            vary(parent, _pool_of(parent, pools), self._lean(parent), rng)
            for parent in parents
            for _ in range(_CHILDREN)
        ]
        return [
            each
            for each in dict.fromkeys(varied)
            if each not in self.takes and fits(each, VIEW, self.task.door)
        ]

    def reward(self, examples: DemonstrationSet) -> float:
        """Mean expected reward so far; minus infinity for a set that nobody was scored under."""
        takes = self.takes.get(examples, [])
        if takes and self.calibrated and all(take.logs is not None for take in takes):
            known = np.array([take.rewards for take in takes])
            return _mean(list((known * np.exp(_level(takes))).sum(axis=-1)))
        return _mean([take.reward for take in takes])

    def _promise(self, examples: DemonstrationSet) -> float:
        """Mean fit as it is plus what it would be without a lean; calibrated the reward."""
        if self.calibrated:
            return self.reward(examples)
        takes = self.takes[examples]
        fit = _mean([take.fit for take in takes])
        if not any(take.logs is not None for take in takes):
            return fit
        best = [take.best for take in takes if take.best is not None]
        return fit + float(np.mean(_level(takes)[np.arange(len(best)), best]))

    def _lean(self, examples: DemonstrationSet) -> Lean:
        """From mean weights against how often each text is the best; unknown without logs."""
        balance = np.zeros(len(self.texts))
        for take in self.takes[examples]:
            if take.logs is not None:
                balance += np.exp(take.logs)
                balance[take.best] -= 1
        return Lean(self.texts[int(balance.argmax())], self.texts[int(balance.argmin())])

    def _rehearse(self, sets: Sequence[DemonstrationSet], users: Sequence[User]) -> None:
        """Every set on every user; who cannot be scored is left out.

        One set stays on one thread, and threads are fewer than usual: demonstrations are a prefix
        that a model keeps, as long as not too many others come between.
        """
        self.task.observer(PhaseStarted("rehearsing demonstrations", len(sets) * len(users)))
        weighs = self.task.door.scores_responses("inference")
        work = partial(self._weighted if weighs else self._written, users)
        workers = max(1, self.task.door.model("inference").concurrency // 2)
        for each, takes in zip(sets, in_parallel(work, sets, workers), strict=True):
            self.takes.setdefault(each, []).extend(takes)

    def _weighted(self, users: Sequence[User], examples: DemonstrationSet) -> list[Take]:
        """By the inference model's distribution over the texts."""
        candidate = _shown(examples)
        takes: list[Take] = []
        for user in users:
            found = logs_of(candidate, self.texts, self.task.door, user)
            self.task.observer(Advanced())
            if found is None:
                continue
            logs = np.array(found)
            known = np.array(self.table.rewards(user, self.texts))
            best = int(known.argmax())
            logs -= logs.max()
            logs -= np.log(np.exp(logs).sum())
            takes.append(Take(float(known @ np.exp(logs)), float(logs[best]), best, logs, known))
        return takes

    def _written(self, users: Sequence[User], examples: DemonstrationSet) -> list[Take]:
        """By the summaries as written."""
        summarize = summarizer(_shown(examples), self.task.door)
        takes: list[Take] = []
        for user in users:
            try:
                reward = self.table.metric.outcome(user, summarize(user)).reward
            except ModelError:
                continue
            finally:
                self.task.observer(Advanced())
            takes.append(Take(reward, reward))
        return takes


def _shown(examples: DemonstrationSet) -> Candidate:
    return Candidate(demonstrations=examples.rendered(VIEW), view=VIEW)


def _pool_of(examples: DemonstrationSet, pools: Sequence[Pool]) -> Pool:
    return next(
        (
            pool
            for pool in pools
            if all(user in pool.get(text, ()) for user, text in examples.examples)
        ),
        {},
    )


def _level(takes: Sequence[Take]) -> NDArray[np.float64]:
    """Log-probabilities by user and text without the lean to a text that all users share."""
    logs = np.array([take.logs for take in takes if take.logs is not None])
    level: NDArray[np.float64] = logs - logs.mean(axis=0)
    level -= np.log(np.exp(level).sum(axis=1, keepdims=True))
    return level


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else -np.inf
