"""The POPI optimizer: instruction x demonstrations x view x conditioning, searched by Optuna.

1. Candidate summaries are scored on a few training users; a handful that together serve them best
   is scored on more, under the conditioning that brings the most.
2. Demonstration sets are drawn from users whose best summary is clear; the proposer writes
   instructions.
3. Optuna's TPE sampler picks combinations; each is scored on validation users, block by block,
   and stopped once it is unlikely to beat the best (Wilcoxon signed-rank test on the same users).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Outcome, Result, evaluate
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.optimizers.demonstrations import DemonstrationSet, draw_sets, fits
from popi_prompt.optimizers.instructions import propose
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.statements import RewardTable, candidate_summaries
from popi_prompt.prompts import CONDITIONINGS, UNTUNED_CONDITIONING, VIEWS, Conditioning
from popi_prompt.schema import User

_SCREENING_USERS = 8
_TRAINING_USERS = 26
_VALIDATION_USERS = 24
_BLOCK = 8
_SHORTLIST = 6
_CONDITIONINGS = 2
_SETS = 8
_PROPOSALS = 3


@dataclass(frozen=True, slots=True)
class _Space:
    """The choices of the search; index 0 of each is the untuned program's."""

    instructions: tuple[str, ...]
    sets: tuple[DemonstrationSet, ...]
    conditionings: tuple[Conditioning, ...]

    def candidate(self, trial: optuna.Trial) -> Candidate:
        """The combination that a trial asks for."""
        instruction = trial.suggest_categorical("instruction", range(len(self.instructions)))
        examples = self.sets[trial.suggest_categorical("demonstrations", range(len(self.sets)))]
        view = trial.suggest_categorical("view", VIEWS)
        conditioning = trial.suggest_categorical("conditioning", range(len(self.conditionings)))
        return Candidate(
            instruction=self.instructions[instruction],
            demonstrations=examples.rendered(view),
            view=view,
            conditioning=self.conditionings[conditioning],
        )


class PopiOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "popi"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps."""
        task.keep(UNTUNED_CANDIDATE)
        space = _build_space(task)
        return _Search(task, space).run()


def _build_space(task: Task) -> _Space:
    rng = np.random.default_rng(task.seed)
    users = [task.train[i] for i in rng.permutation(len(task.train))[:_TRAINING_USERS]]
    few = users[:_SCREENING_USERS]
    texts = candidate_summaries(task, few)
    tables = {conditioning: RewardTable(task, conditioning) for conditioning in CONDITIONINGS}
    probe = tables[CONDITIONINGS[-1]]
    probe.fill(few, texts, "screening summaries")
    shortlist = probe.cover(few, texts, _SHORTLIST)
    for conditioning, table in tables.items():
        title = f"trying the conditioning {conditioning.place!r} {conditioning.wording!r}"
        table.fill(few, shortlist[:_CONDITIONINGS], title)
    ranked = sorted(
        CONDITIONINGS,
        key=lambda c: tables[c].best_of(few, shortlist[:_CONDITIONINGS]),
        reverse=True,
    )
    table = tables[ranked[0]]
    table.fill(users, shortlist, "scoring the best summaries on more users")
    ordered = table.cover(users, shortlist, len(shortlist))
    sets = draw_sets(table, users, ordered, count=_SETS, rng=rng)
    sets = tuple(drawn for drawn in sets if all(fits(drawn, v, task.door) for v in VIEWS))
    none = DemonstrationSet(())
    instructions = propose(task, sets[0] if sets else none, _PROPOSALS)
    best = [c for c in ranked[:_CONDITIONINGS] if c != UNTUNED_CONDITIONING]
    return _Space(instructions, (none, *sets), (UNTUNED_CONDITIONING, *best))


class _Search:
    def __init__(self, task: Task, space: _Space):
        self._task = task
        self._space = space
        order = np.random.default_rng(task.seed).permutation(len(task.val))
        self._users = [task.val[i] for i in order[:_VALIDATION_USERS]]
        self._best: Found | None = None
        self._rewards: dict[Candidate, float] = {}
        self._failures = 0

    def run(self) -> Found:
        """Run the trials, the untuned candidate first."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=self._task.seed, n_startup_trials=6),
                pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=_BLOCK),
            )
        for first in self._openings():
            study.enqueue_trial(first)
        self._task.observer(PhaseStarted("searching", self._task.trials))
        study.optimize(self._trial, n_trials=self._task.trials, catch=())
        if self._best is None:
            raise OptimizationError("no candidate could be scored on any validation user")
        return self._best

    def _openings(self) -> list[dict[str, object]]:
        """The untuned program, then each view with the first demonstrations and best conditioning."""
        untuned = {"instruction": 0, "demonstrations": 0, "view": "full", "conditioning": 0}
        best = {"conditioning": min(1, len(self._space.conditionings) - 1)}
        first = {"demonstrations": min(1, len(self._space.sets) - 1)}
        return [untuned, *({**untuned, **best, **first, "view": view} for view in VIEWS)]

    def _trial(self, trial: optuna.Trial) -> float:
        candidate = self._space.candidate(trial)
        try:
            if candidate not in self._rewards:
                self._rewards[candidate] = self._score(candidate, trial)
        except optuna.TrialPruned:
            self._tell(trial, candidate, None)
            raise
        reward = self._rewards[candidate]
        self._tell(trial, candidate, reward)
        return reward

    def _score(self, candidate: Candidate, trial: optuna.Trial) -> float:
        """Mean reward over validation users. Raises `TrialPruned` where it cannot win."""
        results: list[Result] = []
        summarize = summarizer(candidate, self._task.door)
        metric = self._task.metric(candidate.conditioning)
        for start in range(0, len(self._users), _BLOCK):
            block: Sequence[User] = self._users[start : start + _BLOCK]
            results += evaluate(block, summarize, metric)
            for step, result in enumerate(results[start:], start):
                if isinstance(result, Outcome):
                    trial.report(result.reward, step)
            if self._best is not None and trial.should_prune():
                raise optuna.TrialPruned
        return self._mean(results)

    def _mean(self, results: Sequence[Result]) -> float:
        """The mean, for a candidate that fails on no more users than the untuned one did.

        Otherwise it could win by failing where it is bad; it is pruned.
        """
        rewards = [result.reward for result in results if isinstance(result, Outcome)]
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


def _described(trial: optuna.Trial) -> str:
    return ", ".join(f"{name} {value}" for name, value in trial.params.items())
