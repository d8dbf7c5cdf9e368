"""A shortlist: a few candidates, each scored on every validation user, and the untuned program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, evaluate, failed, mean_tokens, outcomes
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.optimizer import Found, Task


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate, how a trial of it is described, and how many statements it may tell."""

    candidate: Candidate
    description: str
    statements: int = 0


def best_of(task: Task, choices: Sequence[Choice]) -> Found:
    """By mean reward over validation users; failing on fewer of them counts first.

    The untuned program is the first trial, and of the choices as many are tried as the task has
    trials left, the first at least. Raises `OptimizationError` where nobody could be scored.
    """
    users = task.validation()
    tried = [Choice(UNTUNED_CANDIDATE, "untuned"), *choices][: max(task.trials, 2)]
    task.observer(PhaseStarted("searching", len(tried)))
    best: Found | None = None
    fewest, reason = len(users), ""
    for number, choice in enumerate(tried):
        candidate = choice.candidate
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
                choice.description,
                reward,
                best.reward if best is not None else float("-inf"),
                params={"instruction": 0, "demonstrations": 0, "statements": choice.statements},
                tokens=mean_tokens(results),
            )
        )
    if best is None:
        raise OptimizationError(f"no validation user could be scored; {reason}")
    return best
