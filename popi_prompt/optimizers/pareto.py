"""The POPI optimizer with two objectives: as much reward, and as few tokens inserted, as can be.

The space and the first combinations are those of `popi`. A candidate is scored on validation users
block by block, and stopped once a program on the front, compared on the same users, is clearly
better and inserts no more tokens.

Optuna's multi-objective TPE sampler picks the others: NSGA-II is random until it has a population,
more candidates than a run can pay for. Optuna prunes no study of two objectives, so the race is
run here; the sampler is told what a stopped candidate had reached.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Outcome, Result, evaluate
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.points import Point, undominated
from popi_prompt.optimizers.popi import described, openings
from popi_prompt.optimizers.space import Space, build_space

_BLOCK = 4
_CLEARLY = 1.0  # standard errors of the paired difference in reward


class ParetoOptimizer:
    """Its best candidate has the highest reward; `Task.point` is told of all on the way."""

    name = "pareto"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps."""
        task.keep(UNTUNED_CANDIDATE, None)
        return _Search(task, build_space(task)).run()


class _Search:
    def __init__(self, task: Task, space: Space):
        self._task = task
        self._space = space
        self._users = task.validation()
        self._tried: dict[Candidate, tuple[Result, ...]] = {}
        self._points: dict[Candidate, Point] = {}
        self._front: tuple[Point, ...] = ()
        self._reason = "every combination is too long for the context"

    def run(self) -> Found:
        """Run the trials."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=self._task.seed, n_startup_trials=6, multivariate=True
        )
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        for first in openings(self._space, self._task.trials):
            study.enqueue_trial(first)
        self._task.observer(PhaseStarted("searching", self._task.trials))
        for _ in range(self._task.trials):
            self._trial(study)
        if not self._front:
            raise OptimizationError(f"no validation user could be scored; {self._reason}")
        best = self._front[0]
        return Found(best.candidate, best.reward, self._task.trials)

    def _trial(self, study: optuna.Study) -> None:
        trial = study.ask()
        chosen = {
            name: trial.suggest_categorical(name, range(size))
            for name, size in self._space.sizes.items()
        }
        candidate = self._space.candidate(chosen)
        if candidate not in self._tried and self._space.allows(chosen, self._task.door):
            with attributed(candidate=f"trial {trial.number}"):
                self._tried[candidate] = self._score(candidate)
            self._note(candidate)
        values = self._values(candidate)
        if values is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, values)
        point = self._points.get(candidate)
        best = self._front[0].reward if self._front else float("-inf")
        reward = None if point is None else point.reward
        self._task.observer(TrialFinished(trial.number, described(trial), reward, best))

    def _score(self, candidate: Candidate) -> tuple[Result, ...]:
        """Results on validation users: on all of them, or those after which it was stopped."""
        results: tuple[Result, ...] = ()
        summarize = summarizer(candidate, self._task.door)
        metric = self._task.metric(candidate.conditioning)
        for start in range(0, len(self._users), _BLOCK):
            if self._hopeless(results):
                break
            results += evaluate(self._users[start : start + _BLOCK], summarize, metric)
        return results

    def _note(self, candidate: Candidate) -> None:
        """A candidate that was scored to the end is a point; the best one is kept."""
        results = self._tried[candidate]
        outcomes = _outcomes(results)
        if not outcomes:
            self._reason = next(each.reason for each in results if isinstance(each, Failure))
        if not outcomes or len(results) < len(self._users):
            return
        point = self._points[candidate] = Point(
            candidate,
            reward=_mean([each.reward for each in outcomes.values()]),
            tokens=_mean([each.tokens for each in outcomes.values()]),
            margin=_mean([each.margin for each in outcomes.values()]),
            users=len(outcomes),
            failed=_failures(results),
        )
        self._front = undominated(self._points.values())
        self._task.point(point)
        if self._front[0] is point:
            self._task.keep(candidate, point.reward)

    def _values(self, candidate: Candidate) -> tuple[float, float] | None:
        """What the sampler learns from: nothing of candidates that fail more than others."""
        results = self._tried.get(candidate, ())
        outcomes = _outcomes(results).values()
        if not outcomes or (self._front and _failures(results) > self._front[0].failed):
            return None
        return _mean([each.reward for each in outcomes]), _mean([each.tokens for each in outcomes])

    def _hopeless(self, results: Sequence[Result]) -> bool:
        """Whether it fails on more users than the front, or one of the front clearly beats it."""
        if not self._front or not results:
            return False
        if _failures(results) > self._front[0].failed:
            return True
        return any(_beaten(results, self._tried[each.candidate]) for each in self._front)


def _beaten(results: Sequence[Result], other: Sequence[Result]) -> bool:
    """Whether the other pays a standard error or more above it, for no more tokens.

    Compared in pairs, on the users of `results`. One that fails on fewer of them is not beaten.
    """
    mine, theirs = _outcomes(results), _outcomes(other)
    both = [user for user in mine if user in theirs]
    if len(both) < 2 or _failures(results) < _failures(other[: len(results)]):
        return False
    if _mean([mine[user].tokens - theirs[user].tokens for user in both]) < 0:
        return False
    gaps = [mine[user].reward - theirs[user].reward for user in both]
    error = float(np.std(gaps, ddof=1) / np.sqrt(len(gaps)))
    return _mean(gaps) + _CLEARLY * error < 0


def _outcomes(results: Sequence[Result]) -> dict[str, Outcome]:
    return {each.user_id: each for each in results if isinstance(each, Outcome)}


def _failures(results: Sequence[Result]) -> int:
    return sum(isinstance(each, Failure) for each in results)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
