"""What an optimizer of somebody else's has tried: results by candidate, the best one kept."""

from __future__ import annotations

import threading

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Result, evaluate, mean_tokens, outcomes
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.optimizer import Found, Task


class Trials:
    """Results as they come, in any order and from any thread.

    A candidate counts once every validation user was scored under it. Failing on fewer users comes
    before the mean reward of the others, so that none wins by failing where it is bad; the earlier
    one wins a draw, and the untuned one is the first.
    """

    def __init__(self, task: Task):
        self._task = task
        self._users = {user.user_id for user in task.validation()}
        self._results: dict[Candidate, dict[str, Result]] = {}
        self._instructions: dict[str, int] = {}
        self._scored = 0
        self._best: Found | None = None
        self._failures = 0
        self._lock = threading.RLock()

    def begin(self) -> None:
        """Keep the untuned candidate and score it.

        Raises `OptimizationError` where no validation user can be scored under it.
        """
        task = self._task
        task.keep(UNTUNED_CANDIDATE, None)
        users = task.validation()
        task.observer(PhaseStarted("scoring the untuned program", len(users)))
        summarize = summarizer(UNTUNED_CANDIDATE, task.door)
        metric = task.metric(UNTUNED_CANDIDATE.conditioning)
        with attributed(candidate=self.label(UNTUNED_CANDIDATE)):
            results = evaluate(users, summarize, metric, task.observer)
        for each in results:
            self.note(UNTUNED_CANDIDATE, each)
        if self._best is None:
            reason = next(each.reason for each in results if isinstance(each, Failure))
            raise OptimizationError(f"no validation user could be scored; {reason}")

    def label(self, candidate: Candidate) -> str:
        """A short name, by the order in which candidates were first seen."""
        with self._lock:
            self._results.setdefault(candidate, {})
            return f"candidate {list(self._results).index(candidate)}"

    def note(self, candidate: Candidate, result: Result) -> None:
        """One user under a candidate; users that are not for validation change nothing."""
        with self._lock:
            results = self._results.setdefault(candidate, {})
            if result.user_id not in self._users or result.user_id in results:
                return
            results[result.user_id] = result
            if len(results) == len(self._users):
                self._finish(candidate, list(results.values()))

    def found(self) -> Found:
        """The best one so far, after `begin`."""
        with self._lock:
            assert self._best is not None
            return Found(self._best.candidate, self._best.reward, self._scored)

    def _finish(self, candidate: Candidate, results: list[Result]) -> None:
        self._scored += 1
        rewards = {user: each.reward for user, each in outcomes(results).items()}
        failures = len(results) - len(rewards)
        # In the order of users, not of threads: a mean of floats depends on it.
        reward = float(np.mean([rewards[name] for name in sorted(rewards)])) if rewards else None
        best = self._best
        if reward is not None and (
            best is None or (-failures, reward) > (-self._failures, best.reward)
        ):
            best = self._best = Found(candidate, reward, self._scored)
            self._failures = failures
            self._task.keep(candidate, reward)
        shown = f"{len(candidate.demonstrations)} demonstrations, {_shortened(candidate)}"
        highest = best.reward if best is not None else float("-inf")
        self._task.observer(
            TrialFinished(
                self._scored - 1,
                shown,
                reward,
                highest,
                params=self._params(candidate),
                tokens=mean_tokens(results),
            )
        )

    def _params(self, candidate: Candidate) -> dict[str, str | int | float]:
        """Instructions are numbered as they come, like the candidates."""
        number = self._instructions.setdefault(candidate.instruction, len(self._instructions))
        return {"instruction": number, "demonstrations": len(candidate.demonstrations)}


def _shortened(candidate: Candidate) -> str:
    text = " ".join(candidate.instruction.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
