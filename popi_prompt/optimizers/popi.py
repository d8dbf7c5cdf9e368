"""The POPI optimizer: instruction x demonstrations x view x conditioning x length target.

1. Candidate summaries are scored on a few training users; a handful that together serve them best
   is scored on more, under the conditioning that brings the most.
2. Demonstration sets are drawn from users whose best summary is clear, rehearsed on others and
   varied until the inference model leans to no summary; the proposer writes instructions.
3. Combinations are scored on validation users, block by block, and stopped once unlikely to beat
   the best one: first the best sets, then in turn an instruction by reflection, a crossover of good
   ones, the best one shortened, and a pick of Optuna's TPE sampler.

An effort may do this in growing rounds, and try ready-made starting points before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Result, evaluate, failed, mean_tokens, outcomes
from popi_prompt.events import PhaseStarted, TrialFinished
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.allowance import Allowance
from popi_prompt.optimizers.construction import build_space
from popi_prompt.optimizers.crossover import Grown, crossed
from popi_prompt.optimizers.effort import Round
from popi_prompt.optimizers.openings import openings
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.racing import better, hopeless
from popi_prompt.optimizers.reflection import USERS as REFLECTED_USERS
from popi_prompt.optimizers.reflection import reflect
from popi_prompt.optimizers.sampling import Sampler
from popi_prompt.optimizers.shortening import reading, shortened
from popi_prompt.optimizers.space import Choice, Space

BLOCK = 4  # users, after which a race is looked at

Move = Callable[[], Grown | None]
_Key = tuple[Candidate, int]  # a candidate before it is calibrated, and its menu


class PopiOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "popi"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps."""
        task.keep(UNTUNED_CANDIDATE, None)
        return _Search(task).run()


class _Search:
    def __init__(self, task: Task):
        self._task = task
        self._space = Space()
        self._users = task.validation()
        self._rng = np.random.default_rng(task.seed)
        self._sampler = Sampler(self._space.sizes, task.seed)
        self._allowance = Allowance(task)
        self._best: Found | None = None
        self._results: list[Result] = []  # the best one's
        self._rewards: dict[_Key, float | None] = {}  # None where it was stopped
        self._standing: list[tuple[float, Choice]] = []
        self._leading: Choice | None = None  # the best one's
        self._number = self._reflections = 0
        self._reason = "every combination is too long for the context"

    def run(self) -> Found:
        """Try the starting points, then run the rounds."""
        starts = self._task.starts()
        self._task.observer(PhaseStarted("trying starting points", len(starts)))
        for start in starts:
            self._space, choice = self._space.started(start)
            self._try([choice], 1)
        for scope in self._task.effort.with_trials(self._task.trials).rounds:
            first: list[Choice] = []
            if self._affords(scope.calls):
                first = self._grow(scope)
            self._task.observer(PhaseStarted("searching", scope.trials))
            self._try(first, scope.trials)
        if self._best is None:
            raise OptimizationError(f"no validation user could be scored; {self._reason}")
        return replace(self._best, trials=self._number)

    def _grow(self, scope: Round) -> list[Choice]:
        """Build a space; what earlier rounds found stays in it. What to try of it first."""
        fresh = build_space(self._task, scope)
        before = len(self._space.sets)
        self._space = self._space.joined(fresh)
        self._sampler = Sampler(self._space.sizes, self._task.seed)
        return openings(self._space, fresh, before, scope.trials)

    def _try(self, first: Sequence[Choice], trials: int) -> None:
        for choice in first:
            if self._affords():
                self._trial("opening", choice)
        moves = cycle(self._moves().items())
        done = len(first)
        while done < trials and self._affords():
            name, move = next(moves)
            found = move()
            if found is not None:
                self._space, choice = found
                self._trial(name, choice)
                done += 1

    def _affords(self, more: int = 0) -> bool:
        """Whether the effort allows a trial and so much `more`; a first one always."""
        return self._best is None or self._allowance.affords(more)

    def _moves(self) -> dict[str, Move]:
        return {
            "reflection": self._reflected,
            "crossover": self._crossed,
            "shortening": self._shortened,
            "sampled": lambda: (self._space, self._sampler.pick()),
        }

    def _reflected(self) -> Grown | None:
        best = self._leading
        if best is None or not self._affords(3 * REFLECTED_USERS + 1):
            return None
        self._reflections += 1
        instruction = self._space.instructions[best["instruction"]]
        candidate = self._space.calibrated(best, self._task.door)
        text = reflect(self._task, candidate, instruction, self._reflections)
        if text is None or text in self._space.instructions:
            return None
        grown = self._space.joined(Space(instructions=(text,)))
        return grown, {**best, "instruction": grown.instructions.index(text)}

    def _crossed(self) -> Grown | None:
        ranked = sorted(self._standing, key=lambda each: each[0], reverse=True)
        best = self._leading
        good = [choice for _, choice in ranked if choice != best]
        return crossed(self._space, [best, *good], self._is_new, self._rng) if best else None

    def _shortened(self) -> Grown | None:
        best = self._leading
        return shortened(self._space, best, self._is_new, self._task.door) if best else None

    def _is_new(self, grown: Grown) -> bool:
        space, choice = grown
        allowed = space.allows(choice, self._task.door)
        return allowed and _key(space, choice) not in self._rewards

    def _trial(self, move: str, choice: Choice) -> None:
        key = _key(self._space, choice)
        results: list[Result] = []
        known = self._rewards.get(key) is not None
        if not known and self._space.allows(choice, self._task.door):
            with attributed(candidate=f"trial {self._number}"):
                candidate = self._space.calibrated(choice, self._task.door)
                self._rewards[key] = self._score(candidate, results, move == "opening")
            self._standing.append((self._gap(results), choice))
            if self._best is not None and self._best.candidate == candidate:
                self._leading = choice
        reward = self._rewards.get(key)
        self._sampler.tell(choice, reward)
        self._tell(move, choice, reward, mean_tokens(results))
        self._number += 1

    def _score(self, candidate: Candidate, results: list[Result], opening: bool) -> float | None:
        """Mean reward over validation users, whose `results` are added; None if it cannot win.

        Failing on fewer users counts before the reward: a candidate must not win by failing where
        it is bad.
        """
        summarize = summarizer(candidate, self._task.door)
        metric = self._task.metric(candidate.conditioning)
        for start in range(0, len(self._users), BLOCK):
            results += evaluate(self._users[start : start + BLOCK], summarize, metric)
            if self._best is not None and self._hopeless(results):
                return None
        if not _rewards(results):
            self._reason = next(each.reason for each in results if isinstance(each, Failure))
            return None
        reward = float(np.mean(list(_rewards(results).values())))
        if self._wins(candidate, reward, results, opening):
            self._best = Found(candidate, reward, self._number + 1)
            self._results = results
            self._task.keep(candidate, reward)
        return reward

    def _wins(
        self, candidate: Candidate, reward: float, results: Sequence[Result], opening: bool
    ) -> bool:
        """Against the best so far; of a draw, the untuned program, else what reads less.

        Of all that comes after the openings some would be ahead by luck on so few users; it must be
        better by the paired test.
        """
        best = self._best
        if best is None:
            return True
        if failed(results) != failed(self._results):
            return failed(results) < failed(self._results)
        if reward != best.reward:
            return reward > best.reward and (opening or better(self._gaps(results)))
        if UNTUNED_CANDIDATE in (candidate, best.candidate):
            return candidate == UNTUNED_CANDIDATE
        door = self._task.door
        return reading(candidate, door) < reading(best.candidate, door)

    def _hopeless(self, results: Sequence[Result]) -> bool:
        """Whether it fails on more users than the best, or pays less by the paired test."""
        if failed(results) > failed(self._results):
            return True
        if failed(results) < failed(self._results[: len(results)]):
            return False
        return hopeless(self._gaps(results))

    def _gaps(self, results: Sequence[Result]) -> list[float]:
        """Rewards less those of the best, on users who could be scored under both."""
        mine, best = _rewards(results), _rewards(self._results)
        return [mine[user] - best[user] for user in mine if user in best]

    def _gap(self, results: Sequence[Result]) -> float:
        gaps = self._gaps(results)
        return float(np.mean(gaps)) if gaps else float("-inf")

    def _tell(self, move: str, choice: Choice, reward: float | None, tokens: float | None) -> None:
        best = self._best.reward if self._best is not None else float("-inf")
        params = self._space.described(choice)
        what = ", ".join(f"{name} {value}" for name, value in params.items())
        self._task.observer(
            TrialFinished(
                self._number,
                f"{move}: {what}",
                reward,
                best,
                params={"move": move, **params},
                tokens=tokens,
            )
        )


def _key(space: Space, choice: Choice) -> _Key:
    return space.candidate(choice), choice["menu"]


def _rewards(results: Sequence[Result]) -> dict[str, float]:
    return {user: each.reward for user, each in outcomes(results).items()}
