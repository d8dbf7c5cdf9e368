"""A shortlist: a few candidates, each scored on every user who chooses, and the untuned program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, evaluate, failed, mean_tokens, outcomes
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.schema import User


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate, how a trial of it is described, and the sizes by which it differs."""

    candidate: Candidate
    description: str
    sizes: Mapping[str, int] = field(default_factory=dict)


def best_of(task: Task, users: Sequence[User], entries: Sequence[Entry]) -> Found:
    """By mean reward over `users`; failing on fewer of them counts first.

    The untuned program is the first trial, and of the entries as many are tried as the task has
    trials left, the first at least. Raises `OptimizationError` where nobody could be scored.
    """
    tried = [Entry(UNTUNED_CANDIDATE, "untuned"), *entries][: max(task.trials, 2)]
    task.observer(PhaseStarted("searching", len(tried)))
    best: Found | None = None
    fewest, reason = len(users), ""
    for number, entry in enumerate(tried):
        candidate = entry.candidate
        with attributed(candidate=f"trial {number}"):
            summarize = summarizer(candidate, task.door)
            results = evaluate(users, summarize, task.metric(candidate.conditioning))
        reason = next((each.reason for each in results if isinstance(each, Failure)), reason)
        rewards = [each.reward for each in outcomes(results).values()]
        reward = float(np.mean(rewards)) if rewards else None
        if reward is not None and (
            best is None or (-failed(results), reward) > (-fewest, best.reward)
        ):
            best, fewest = Found(candidate, reward, len(tried)), failed(results)
            task.keep(candidate, reward)
        task.observer(
            TrialFinished(
                number,
                entry.description,
                reward,
                best.reward if best is not None else float("-inf"),
                params={"instruction": 0, "demonstrations": 0, **entry.sizes},
                tokens=mean_tokens(results),
            )
        )
    if best is None:
        raise OptimizationError(f"no validation user could be scored; {reason}")
    return best
