"""Rehearsal: what demonstration sets would make of training users who are in none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from popi_prompt.candidate import Candidate
from popi_prompt.errors import ModelError
from popi_prompt.evaluation import in_parallel
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.demonstrations import DemonstrationSet
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.prompts import UNTUNED_INSTRUCTION, View, inference_messages, render_signals
from popi_prompt.schema import User

_VIEW: View = "liked"
_KEPT = 0.4  # the share of sets that goes on after each block of users


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Sets are compared by the expected reward of the summary the inference model would write.

    Where its route gives log-probabilities, the expectation is over its own distribution on
    `texts`, the summaries that the demonstrations show: rewards that are known already, weighted.
    That sees a lean towards one of them long before a greedy answer flips, and it costs no call of
    the generator. Elsewhere the summary is written and scored.
    """

    task: Task
    table: RewardTable
    texts: tuple[str, ...]

    def best(
        self, sets: Sequence[DemonstrationSet], users: Sequence[User], *, count: int, block: int
    ) -> tuple[DemonstrationSet, ...]:
        """The `count` best sets, best first: all on a block of users, the better ones on more."""
        rewards: dict[DemonstrationSet, list[float]] = {each: [] for each in sets}
        running = list(sets)
        for start in range(0, len(users), block):
            some = users[start : start + block]
            self.task.observer(PhaseStarted("rehearsing demonstrations", len(running) * len(some)))
            for each, found in zip(running, self._rewards(running, some), strict=True):
                rewards[each] += found
            running.sort(key=lambda each: -_mean(rewards[each]))
            running = running[: max(count, round(len(running) * _KEPT))]
        return tuple(each for each in running[:count] if np.isfinite(_mean(rewards[each])))

    def _rewards(
        self, sets: Sequence[DemonstrationSet], users: Sequence[User]
    ) -> tuple[list[float], ...]:
        """Rewards of each set on the users that could be scored.

        One set stays on one thread, and threads are fewer than usual: demonstrations are a prefix
        that a model keeps, as long as not too many others come between.
        """
        weighs = self.task.door.scores_responses("inference")
        work = partial(self._weighted if weighs else self._written, users)
        workers = max(1, self.task.door.model("inference").concurrency // 2)
        return in_parallel(work, sets, workers)

    def _weighted(self, users: Sequence[User], examples: DemonstrationSet) -> list[float]:
        """Expected rewards by the inference model's distribution over the texts."""
        shown = [(demo.signals, demo.summary) for demo in examples.rendered(_VIEW)]
        quoted = [user.user_id for user, _ in examples.examples]
        rewards: list[float] = []
        for user in users:
            signals = render_signals(user.signals, _VIEW)
            messages = inference_messages(UNTUNED_INSTRUCTION, shown, signals)
            try:
                with attributed(user_id=user.user_id, quoted=quoted):
                    logs = np.array(self.task.door.logprobs("inference", messages, self.texts))
            except ModelError:
                continue
            finally:
                self.task.observer(Advanced())
            weights = np.exp(logs - logs.max())
            known = np.array(self.table.rewards(user, self.texts))
            rewards.append(float(known @ weights / weights.sum()))
        return rewards

    def _written(self, users: Sequence[User], examples: DemonstrationSet) -> list[float]:
        """Rewards of the summaries as written."""
        summarize = summarizer(
            Candidate(demonstrations=examples.rendered(_VIEW), view=_VIEW), self.task.door
        )
        rewards: list[float] = []
        for user in users:
            try:
                rewards.append(self.table.metric.outcome(user, summarize(user)).reward)
            except ModelError:
                continue
            finally:
                self.task.observer(Advanced())
        return rewards


def _mean(rewards: Sequence[float]) -> float:
    return float(np.mean(rewards)) if rewards else -np.inf
