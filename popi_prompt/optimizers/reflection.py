"""Reflection: the proposer reads where the best candidate failed, and writes an instruction.

It is shown training users only: nothing of those who measure candidates reaches an instruction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from popi_prompt.candidate import Candidate
from popi_prompt.evaluation import Outcome, evaluate
from popi_prompt.events import PhaseStarted
from popi_prompt.inference import summarizer
from popi_prompt.models.attribution import attributed
from popi_prompt.optimizers.instructions import written
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.prompts import render_signals
from popi_prompt.proposals import reflection_messages, summary_feedback
from popi_prompt.schema import User

USERS = 8
_FAILED = 3
_WORKED = 2
_PAIRS = 2  # of a user, the worst


def reflect(task: Task, candidate: Candidate, instruction: str, number: int) -> str | None:
    """A new instruction for the `number`th time; None where none came that can be used.

    `candidate` is tried on some training users whom it does not show, others each time. The
    proposer reads signals, summary and what it did for the worst, and what suited the best.
    """
    users = _drawn(task, candidate, number)
    task.observer(PhaseStarted("reflecting on the best so far", len(users) + 1))
    summarize = summarizer(candidate, task.door)
    metric = task.metric(candidate.conditioning)
    with attributed(candidate=f"reflection {number}"):
        results = evaluate(users, summarize, metric, task.observer)
    outcomes = sorted(
        (each for each in results if isinstance(each, Outcome)), key=lambda each: each.reward
    )
    failed = outcomes[:_FAILED]
    worked = [each for each in outcomes[_FAILED:][::-1] if each.margin > 0][:_WORKED]
    if not failed:
        return None
    by_id = {user.user_id: user for user in users}
    messages = reflection_messages(
        instruction,
        [
            (_signals(by_id[each.user_id], candidate), each.summary or "", _done(task, each, by_id))
            for each in failed
        ],
        [(_signals(by_id[each.user_id], candidate), each.summary or "") for each in worked],
    )
    shown = [by_id[each.user_id] for each in (*failed, *worked)]
    return written(task, messages, shown, task.seed + number)


def _drawn(task: Task, candidate: Candidate, number: int) -> Sequence[User]:
    order = np.random.default_rng((task.seed, number)).permutation(len(task.train))
    others = [task.train[i] for i in order if task.train[i].user_id not in candidate.quoted]
    return others[:USERS]


def _signals(user: User, candidate: Candidate) -> str:
    return render_signals(user.signals, candidate.view)


def _done(task: Task, outcome: Outcome, by_id: dict[str, User]) -> str:
    pairs = by_id[outcome.user_id].pairs
    moved = [(pair, score.margin) for pair, score in zip(pairs, outcome.scores, strict=True)]
    worst = sorted(moved, key=lambda each: each[1])[:_PAIRS]
    return summary_feedback(worst, task.scorer.unit, outcome.tokens)
