"""The POPI optimizer: instruction x demonstrations x view x conditioning, searched by Optuna.

1. Candidate summaries are scored on a few training users; a handful that together serve them best
   is scored on more, under the conditioning that brings the most.
2. Demonstration sets are drawn from users whose best summary is clear, rehearsed on others and
   varied until the inference model leans to no summary; the proposer writes instructions.
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

_BLOCK = 4
_HOPELESS = 1.0  # standard errors below the best on the same users


class PopiOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "popi"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps."""
        task.keep(UNTUNED_CANDIDATE, None)
        space = build_space(task)
        return _Search(task, space).run()


class _Search:
    def __init__(self, task: Task, space: Space):
        self._task = task
        self._space = space
        self._users = task.validation()
        self._best: Found | None = None
        self._results: list[Result] = []  # the best one's
        self._rewards: dict[Candidate, float] = {}
        self._reason = "every combination is too long for the context"

    def run(self) -> Found:
        """Run the trials."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=self._task.seed, n_startup_trials=6)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for first in openings(self._space, self._task.trials):
            study.enqueue_trial(first)
        self._task.observer(PhaseStarted("searching", self._task.trials))
        study.optimize(self._trial, n_trials=self._task.trials, catch=())
        if self._best is None:
            raise OptimizationError(f"no validation user could be scored; {self._reason}")
        return self._best

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
            self._tell(trial, None)
            raise
        self._tell(trial, self._rewards[candidate])
        return self._rewards[candidate]

    def _score(self, candidate: Candidate) -> float:
        """Mean reward over validation users. Raises `TrialPruned` where it cannot win.

        Failing on fewer users counts before the reward: a candidate must not win by failing where
        it is bad.
        """
        results: list[Result] = []
        summarize = summarizer(candidate, self._task.door)
        metric = self._task.metric(candidate.conditioning)
        for start in range(0, len(self._users), _BLOCK):
            results += evaluate(self._users[start : start + _BLOCK], summarize, metric)
            if self._best is not None and self._hopeless(results):
                raise optuna.TrialPruned
        if not _rewards(results):
            self._reason = next(each.reason for each in results if isinstance(each, Failure))
            raise optuna.TrialPruned
        reward = float(np.mean(list(_rewards(results).values())))
        if self._wins(candidate, reward, results):
            self._best = Found(candidate, reward, self._task.trials)
            self._results = results
            self._task.keep(candidate, reward)
        return reward

    def _wins(self, candidate: Candidate, reward: float, results: Sequence[Result]) -> bool:
        """Against the best so far; the untuned program wins a draw."""
        if self._best is None:
            return True
        gained = _failures(self._results) - _failures(results)
        draw = reward == self._best.reward and candidate == UNTUNED_CANDIDATE
        return gained > 0 or (gained == 0 and (reward > self._best.reward or draw))

    def _hopeless(self, results: Sequence[Result]) -> bool:
        """Whether it fails on more users than the best, or pays a standard error or more less.

        Rewards are compared in pairs, on the users of `results`.
        """
        if _failures(results) > _failures(self._results):
            return True
        mine, best = _rewards(results), _rewards(self._results)
        gaps = [mine[user] - best[user] for user in mine if user in best]
        if len(gaps) < 2 or _failures(results) < _failures(self._results[: len(results)]):
            return False
        error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
        return bool(np.mean(gaps) + _HOPELESS * error < 0)

    def _tell(self, trial: optuna.Trial, reward: float | None) -> None:
        best = self._best.reward if self._best is not None else float("-inf")
        self._task.observer(TrialFinished(trial.number, described(trial), reward, best))


def openings(space: Space, trials: int) -> list[dict[str, int]]:
    """The best set of demonstrations in the cheaper view, the untuned program, other sets.

    The untuned program reads and writes the most: it comes when there is something that it can be
    compared with, so that a few users decide. Later trials are the sampler's.
    """
    untuned = {
        "instruction": 0,
        "demonstrations": 0,
        "view": VIEWS.index("full"),
        "conditioning": 0,
    }
    best = min(1, len(space.conditionings) - 1)
    shown = [
        {**untuned, "demonstrations": i, "view": VIEWS.index("liked"), "conditioning": best}
        for i in range(1, len(space.sets))
    ]
    return [*shown[:1], untuned, *shown[1:]] if trials > 1 else [untuned]


def _rewards(results: Sequence[Result]) -> dict[str, float]:
    return {each.user_id: each.reward for each in results if isinstance(each, Outcome)}


def _failures(results: Sequence[Result]) -> int:
    return sum(isinstance(each, Failure) for each in results)


def described(trial: optuna.Trial) -> str:
    """What the trial chose, for people."""
    shown = {**trial.params, "view": VIEWS[trial.params["view"]]}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
