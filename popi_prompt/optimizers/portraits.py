"""Portraits: statements that are told to whom they pay, as what people chose says.

1. The bank's statements are scored on a few training users; of every dimension it is known then
   what it brings those who are told the better of its ends. The best dimensions stay.
2. They are scored on more users, and the inference model weighs each user's own choices under
   each statement. A line through both says what evidence is worth, for every statement.
3. Portraits of one, two and three statements are scored on validation users, and the untuned
   program.

Nothing is written by a model, nobody is shown: a program holds statements of ours and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from popi_prompt.bank import BANK, Statement
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import ModelError, OptimizationError, UsageError
from popi_prompt.evaluation import evaluate, failed, in_parallel, mean_tokens, outcomes
from popi_prompt.events import Advanced, PhaseStarted, TrialFinished
from popi_prompt.evidence import TELLING, acts, evidence
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.calibration import FEWEST
from popi_prompt.optimizers.couples import asking, in_couples
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.portrait import Line, Portrait, levels
from popi_prompt.schema import User

_DIMENSIONS = 8  # that stay after the first scoring
_USERS = 24  # at least, if there are so many, to say what evidence is worth
_SHRINKAGE = 8.0  # users without any effect, added to those that are there
_CLEARLY = 1.0  # standard errors, by which evidence must point the right way
_MOST = (2, 1, 3)  # statements of a summary, in the order in which they are tried


class PortraitOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "portrait"

    def run(self, task: Task) -> Found:
        """See the module's docstring for the steps.

        Raises `UsageError` where the inference model gives no log-probabilities.
        """
        task.keep(UNTUNED_CANDIDATE, None)
        if not task.door.scores_responses("inference"):
            raise UsageError(
                f"inference model {task.door.names['inference']!r} gives no log-probabilities of "
                "given answers, by which portraits are made; choose another --optimizer"
            )
        lines = _lines(task)
        candidates = [UNTUNED_CANDIDATE]
        if lines:
            model = task.door.names["inference"]
            portraits = [Portrait(model, lines, most) for most in _MOST if most <= len(lines)]
            candidates += [Candidate(conditioning=TELLING, menu=each) for each in portraits]
        return _best(task, candidates[: max(task.trials, 2)])


def _lines(task: Task) -> tuple[Line, ...]:
    """The statements of which people chose what says whom they pay."""
    rng = np.random.default_rng(task.seed)
    drawn = in_couples([task.train[i] for i in rng.permutation(len(task.train))])
    scope = task.effort.rounds[-1]
    users = drawn[: max(scope.training_users, _USERS)]
    bank = [each for each in BANK if task.guard.allows(each.text)]
    if not bank:
        raise OptimizationError("every statement of the bank repeats texts of users word for word")
    table = RewardTable(task, TELLING)
    few = asking(users, scope.screening[0][0])
    table.fill(few, [each.text for each in bank], "scoring statements")
    bank = _paying(table, few, bank)
    table.fill(users, [each.text for each in bank], "scoring the better ones on more users")
    weighed = _weighed(task, users, bank)
    known = [user for user in users if user.user_id in weighed]
    lines = []
    for i, statement in enumerate(bank):
        gains = [table.mean([user], statement.text) - task.unaided(user) for user in known]
        found = [weighed[user.user_id][i] for user in known]
        lines.append(_fitted(statement, np.array(found), np.array(gains)))
    return tuple(line for line in lines if line is not None)


def _paying(
    table: RewardTable, users: Sequence[User], bank: Sequence[Statement]
) -> list[Statement]:
    """Those of the dimensions that bring most, if everybody is told the better end."""
    dimensions = dict.fromkeys(each.dimension for each in bank)
    worth = {
        name: table.best_of(users, [each.text for each in bank if each.dimension == name])
        for name in dimensions
    }
    kept = sorted(dimensions, key=worth.__getitem__, reverse=True)[:_DIMENSIONS]
    return [each for each in bank if each.dimension in kept]


def _weighed(
    task: Task, users: Sequence[User], bank: Sequence[Statement]
) -> Mapping[str, NDArray[np.float64]]:
    """The level of each statement, by user id; without users who chose nothing, or failed."""
    texts = [each.text for each in bank]
    dimensions = [each.dimension for each in bank]
    ask = partial(task.door.logprobs, "inference")
    asked = [user for user in users if acts(user.signals)]
    task.observer(PhaseStarted("weighing what training users chose", len(asked)))

    def one(user: User) -> list[float] | None:
        try:
            with attributed(user_id=user.user_id):
                found = evidence(texts, user.signals, ask)
        except ModelError:
            return None
        finally:
            task.observer(Advanced())
        return None if found is None else levels(dimensions, found)

    found = in_parallel(one, asked, task.door.model("inference").concurrency)
    return {
        user.user_id: np.array(each)
        for user, each in zip(asked, found, strict=True)
        if each is not None
    }


def _fitted(
    statement: Statement, found: NDArray[np.float64], gains: NDArray[np.float64]
) -> Line | None:
    """By least squares, drawn to no effect; None where evidence does not clearly tell who gains."""
    scored = np.isfinite(gains)
    found, gains = found[scored], gains[scored]
    count = len(gains)
    if count < FEWEST or not found.std():
        return None
    x, y = found - found.mean(), gains - gains.mean()
    slope = float(x @ y / (x @ x))
    error = float(np.sqrt(((y - slope * x) ** 2).sum() / (count - 2) / (x @ x)))
    if slope <= 0 or slope < _CLEARLY * error:
        return None
    kept = count / (count + _SHRINKAGE)
    return Line(
        statement.dimension,
        statement.text,
        usual=float(found.mean()),
        slope=slope * kept,
        base=float(gains.mean()) * kept,
    )


def _best(task: Task, candidates: Sequence[Candidate]) -> Found:
    """By mean reward over validation users; failing on fewer of them counts first."""
    users = task.validation()
    task.observer(PhaseStarted("searching", len(candidates)))
    best: Found | None = None
    fewest = len(users)
    for number, candidate in enumerate(candidates):
        with attributed(candidate=f"trial {number}"):
            summarize = summarizer(candidate, task.door)
            results = evaluate(users, summarize, task.metric(candidate.conditioning))
        rewards = [each.reward for each in outcomes(results).values()]
        reward = float(np.mean(rewards)) if rewards else None
        if reward is not None and (
            best is None or (-failed(results), reward) > (-fewest, best.reward)
        ):
            best, fewest = Found(candidate, reward, len(candidates)), failed(results)
            task.keep(candidate, reward)
        leading = best.reward if best is not None else float("-inf")
        task.observer(
            TrialFinished(
                number,
                _described(candidate),
                reward,
                leading,
                params={"instruction": 0, "demonstrations": 0, "statements": _told(candidate)},
                tokens=mean_tokens(results),
            )
        )
    if best is None:
        raise OptimizationError("no validation user could be scored")
    return best


def _told(candidate: Candidate) -> int:
    return candidate.menu.most if isinstance(candidate.menu, Portrait) else 0


def _described(candidate: Candidate) -> str:
    told = _told(candidate)
    return f"portrait: at most {told} statement{'s' if told > 1 else ''}" if told else "untuned"
