"""An optimizer as a user may write one: it tries a single instruction."""

from __future__ import annotations

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Outcome, evaluate
from popi_prompt.inference import summarizer
from popi_prompt.optimizers import Found, Task

NUMBER = 3


class OneTry:
    """Keeps the better one of two candidates."""

    name = "one try"

    def run(self, task: Task) -> Found:
        task.keep(UNTUNED_CANDIDATE, None)
        best = Found(UNTUNED_CANDIDATE, self.reward(UNTUNED_CANDIDATE, task), 1)
        task.keep(best.candidate, best.reward)
        tried = Candidate("Look closely.")
        reward = self.reward(tried, task)
        if reward > best.reward:
            best = Found(tried, reward, 2)
            task.keep(tried, reward)
        return best

    def reward(self, candidate: Candidate, task: Task) -> float:
        metric = task.metric(candidate.conditioning)
        results = evaluate(task.validation(), summarizer(candidate, task.door), metric)
        rewards = [each.reward for each in results if isinstance(each, Outcome)]
        if not rewards:
            reason = next(each.reason for each in results if isinstance(each, Failure))
            raise OptimizationError(f"no validation user could be scored; {reason}")
        return sum(rewards) / len(rewards) - len(results) + len(rewards)


class Picky:
    """Cannot be made without an argument."""

    def __init__(self, what: str):
        self.what = what


class Nothing:
    """Has no name and does not run."""
