"""The POPI optimizer with two objectives: as much reward, and as few tokens inserted, as can be.

The space, its rounds and the first combinations are those of `popi`. A candidate is scored on
validation users block by block, and stopped once a program on the front, compared on the same
users, is clearly better and inserts no more tokens.

Optuna's multi-objective TPE sampler picks the others: NSGA-II is random until it has a population,
more candidates than a run can pay for. Optuna prunes no study of two objectives, so the race is
run here; the sampler is told what a stopped candidate had reached.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Result, evaluate, failed, outcomes
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.allowance import Allowance
from popi_prompt.optimizers.construction import build_space
from popi_prompt.optimizers.openings import openings
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.points import Point, undominated
from popi_prompt.optimizers.popi import BLOCK
from popi_prompt.optimizers.racing import hopeless
from popi_prompt.optimizers.sampling import Sampler
from popi_prompt.optimizers.space import Choice, Space


class ParetoOptimizer:
    """Its best candidate has the highest reward; `Task.point` is told of all on the way."""

    name = "pareto"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps."""
        task.keep(UNTUNED_CANDIDATE, None)
        return _Search(task).run()


class _Search:
    def __init__(self, task: Task):
        self._task = task
        self._space = Space()
        self._users = task.validation()
        self._allowance = Allowance(task)
        self._tried: dict[Candidate, tuple[Result, ...]] = {}
        self._points: dict[Candidate, Point] = {}
        self._front: tuple[Point, ...] = ()
        self._number = 0
        self._reason = "every combination is too long for the context"

    def run(self) -> Found:
        """Try the starting points, then run the rounds."""
        sampler = self._sampler()
        starts = self._task.starts()
        self._task.observer(PhaseStarted("trying starting points", len(starts)))
        for start in starts:
            self._space, choice = self._space.started(start)
            if self._affords():
                self._trial(choice, sampler)
        for scope in self._task.effort.with_trials(self._task.trials).rounds:
            first: list[Choice] = []
            if self._affords(scope.calls):
                fresh, before = build_space(self._task, scope), len(self._space.sets)
                self._space = self._space.joined(fresh)
                sampler = self._sampler()
                first = openings(self._space, fresh, before, scope.trials)
            self._task.observer(PhaseStarted("searching", scope.trials))
            for number in range(scope.trials):
                if self._affords():
                    self._trial(first[number] if number < len(first) else sampler.pick(), sampler)
        if not self._front:
            raise OptimizationError(f"no validation user could be scored; {self._reason}")
        best = self._front[0]
        return Found(best.candidate, best.reward, self._number)

    def _sampler(self) -> Sampler:
        return Sampler(self._space.sizes, self._task.seed, ("maximize", "minimize"))

    def _affords(self, more: int = 0) -> bool:
        """Whether the effort allows one more trial and so much `more`; a first one always."""
        return not self._front or self._allowance.affords(more)

    def _trial(self, choice: Choice, sampler: Sampler) -> None:
        space, door = self._space, self._task.door
        allowed = space.allows(choice, door)
        candidate = space.calibrated(choice, door) if allowed else space.candidate(choice)
        if allowed and candidate not in self._tried:
            with attributed(candidate=f"trial {self._number}"):
                self._tried[candidate] = self._score(candidate)
            self._note(candidate)
        values = self._values(candidate)
        sampler.tell(choice, values)
        point = self._points.get(candidate)
        params = self._space.described(choice)
        self._task.observer(
            TrialFinished(
                self._number,
                ", ".join(f"{name} {value}" for name, value in params.items()),
                None if point is None else point.reward,
                self._front[0].reward if self._front else float("-inf"),
                params=params,
                tokens=None if values is None else values[1],
            )
        )
        self._number += 1

    def _score(self, candidate: Candidate) -> tuple[Result, ...]:
        """Results on validation users: on all of them, or those after which it was stopped."""
        results: tuple[Result, ...] = ()
        summarize = summarizer(candidate, self._task.door)
        metric = self._task.metric(candidate.conditioning)
        for start in range(0, len(self._users), BLOCK):
            if self._hopeless(results):
                break
            results += evaluate(self._users[start : start + BLOCK], summarize, metric)
        return results

    def _note(self, candidate: Candidate) -> None:
        """A candidate that was scored to the end is a point; the best one is kept."""
        results = self._tried[candidate]
        scored = outcomes(results)
        if not scored:
            self._reason = next(each.reason for each in results if isinstance(each, Failure))
        if not scored or len(results) < len(self._users):
            return
        point = self._points[candidate] = Point(
            candidate,
            reward=_mean([each.reward for each in scored.values()]),
            tokens=_mean([each.tokens for each in scored.values()]),
            margin=_mean([each.margin for each in scored.values()]),
            users=len(scored),
            failed=failed(results),
        )
        self._front = undominated(self._points.values())
        self._task.point(point)
        if self._front[0] is point:
            self._task.keep(candidate, point.reward)

    def _values(self, candidate: Candidate) -> tuple[float, float] | None:
        """What the sampler learns from: nothing of candidates that fail more than others."""
        results = self._tried.get(candidate, ())
        scored = outcomes(results).values()
        if not scored or (self._front and failed(results) > self._front[0].failed):
            return None
        return _mean([each.reward for each in scored]), _mean([each.tokens for each in scored])

    def _hopeless(self, results: Sequence[Result]) -> bool:
        """Whether it fails on more users than the front, or one of the front clearly beats it."""
        if not self._front or not results:
            return False
        if failed(results) > self._front[0].failed:
            return True
        return any(_beaten(results, self._tried[each.candidate]) for each in self._front)


def _beaten(results: Sequence[Result], other: Sequence[Result]) -> bool:
    """Whether the other pays more by the paired test of `racing`, for no more tokens.

    Compared on the users of `results`. One that fails on fewer of them is not beaten.
    """
    mine, theirs = outcomes(results), outcomes(other)
    both = [user for user in mine if user in theirs]
    if not both or failed(results) < failed(other[: len(results)]):
        return False
    if _mean([mine[user].tokens - theirs[user].tokens for user in both]) < 0:
        return False
    return hopeless([mine[user].reward - theirs[user].reward for user in both])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
