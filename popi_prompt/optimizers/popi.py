"""The POPI optimizer: instruction x demonstrations x view x conditioning, searched by Optuna.

1. Candidate summaries are scored on a few training users; a handful that together serve them best
   is scored on more, under the conditioning that brings the most.
2. Demonstration sets are drawn from users whose best summary is clear and rehearsed on others; the
   proposer writes instructions.
3. Optuna's TPE sampler picks combinations; each is scored on validation users, block by block,
   and stopped once it is unlikely to beat the best one, compared on the same users.
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
from popi_prompt.optimizers.space import Space, build_space
from popi_prompt.prompts import VIEWS

_VALIDATION_USERS = 20
_BLOCK = 5
_HOPELESS = 1.0  # standard errors below the best on the same users


class PopiOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "popi"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps."""
        task.keep(UNTUNED_CANDIDATE)
        space = build_space(task)
        return _Search(task, space).run()


class _Search:
    def __init__(self, task: Task, space: Space):
        self._task = task
        self._space = space
        order = np.random.default_rng(task.seed).permutation(len(task.val))
        self._users = [task.val[i] for i in order[:_VALIDATION_USERS]]
        self._best: Found | None = None
        self._rewards: dict[Candidate, float] = {}
        self._standard: dict[str, float] = {}
        self._failures = 0

    def run(self) -> Found:
        """Run the trials, the untuned candidate first."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=self._task.seed, n_startup_trials=6)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for first in self._openings():
            study.enqueue_trial(first)
        self._task.observer(PhaseStarted("searching", self._task.trials))
        study.optimize(self._trial, n_trials=self._task.trials, catch=())
        if self._best is None:
            raise OptimizationError("no candidate could be scored on any validation user")
        return self._best

    def _openings(self) -> list[dict[str, int]]:
        """The untuned program, then every set of demonstrations in the cheaper view.

        Later trials are the sampler's.
        """
        untuned = {
            "instruction": 0,
            "demonstrations": 0,
            "view": VIEWS.index("full"),
            "conditioning": 0,
        }
        best = min(1, len(self._space.conditionings) - 1)
        sets = range(1, len(self._space.sets))
        return [
            untuned,
            *(
                {**untuned, "demonstrations": i, "view": VIEWS.index("liked"), "conditioning": best}
                for i in sets
            ),
        ]

    def _trial(self, trial: optuna.Trial) -> float:
        chosen = {
            name: trial.suggest_categorical(name, range(size))
            for name, size in self._space.sizes.items()
        }
        candidate = self._space.candidate(chosen)
        try:
            if not self._space.allows(chosen, self._task.door):
                raise optuna.TrialPruned
            if candidate not in self._rewards:
                with attributed(candidate=f"trial {trial.number}"):
                    self._rewards[candidate] = self._score(candidate)
        except optuna.TrialPruned:
            self._tell(trial, candidate, None)
            raise
        reward = self._rewards[candidate]
        self._tell(trial, candidate, reward)
        return reward

    def _score(self, candidate: Candidate) -> float:
        """Mean reward over validation users. Raises `TrialPruned` where it cannot win."""
        results: list[Result] = []
        summarize = summarizer(candidate, self._task.door)
        metric = self._task.metric(candidate.conditioning)
        for start in range(0, len(self._users), _BLOCK):
            results += evaluate(self._users[start : start + _BLOCK], summarize, metric)
            if self._best is not None and self._hopeless(results):
                raise optuna.TrialPruned
        mean = self._mean(results)
        if self._best is None or mean > self._best.reward:
            self._standard = _rewards(results)
        return mean

    def _hopeless(self, results: Sequence[Result]) -> bool:
        """Whether the mean paired difference to the best is a standard error or more below 0."""
        rewards = _rewards(results)
        gaps = [rewards[user] - self._standard[user] for user in rewards if user in self._standard]
        if len(gaps) < 2:
            return False
        error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
        return bool(np.mean(gaps) + _HOPELESS * error < 0)

    def _mean(self, results: Sequence[Result]) -> float:
        """The mean, for a candidate that fails on no more users than the untuned one did.

        Otherwise it could win by failing where it is bad; it is pruned.
        """
        rewards = list(_rewards(results).values())
        failures = [result for result in results if isinstance(result, Failure)]
        if self._best is None and not rewards:
            raise OptimizationError(f"no validation user could be scored; {failures[0].reason}")
        if self._best is None:
            self._failures = len(failures)
        if len(failures) > self._failures:
            raise optuna.TrialPruned
        return float(np.mean(rewards))

    def _tell(self, trial: optuna.Trial, candidate: Candidate, reward: float | None) -> None:
        if reward is not None and (self._best is None or reward > self._best.reward):
            self._best = Found(candidate, reward, self._task.trials)
            self._task.keep(candidate)
        best = self._best.reward if self._best is not None else float("-inf")
        self._task.observer(TrialFinished(trial.number, _described(trial), reward, best))


def _rewards(results: Sequence[Result]) -> dict[str, float]:
    return {each.user_id: each.reward for each in results if isinstance(each, Outcome)}


def _described(trial: optuna.Trial) -> str:
    shown = {**trial.params, "view": VIEWS[trial.params["view"]]}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
