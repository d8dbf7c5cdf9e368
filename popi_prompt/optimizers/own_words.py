"""Rejection sampling: training users shown with the summary, of several, that pays most for them.

Statements that fit many serve a few kinds of taste. Where there are many kinds, what fits one user
is seldom in a bank: it is sampled from the user's own signals, and scored on the user's own pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from popi_prompt.evaluation import in_parallel
from popi_prompt.events import PhaseStarted
from popi_prompt.inference import SUMMARY_SAMPLING
from popi_prompt.models.attribution import attributed
from popi_prompt.ngrams import words
from popi_prompt.optimizers.demonstrations import DemonstrationSet, Example, fits
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.rehearsal import VIEW
from popi_prompt.optimizers.statements import RewardTable, sampled
from popi_prompt.prompts import render_signals
from popi_prompt.proposals import summary_request
from popi_prompt.schema import User

_SAMPLES = 3
_MOST = 5  # examples of a set


def own_sets(task: Task, table: RewardTable, users: Sequence[User]) -> tuple[DemonstrationSet, ...]:
    """At most one set: users who gain by their best own summary, as different as may be.

    Left out is who gains nothing, and who may not be shown. As many are shown as fit.
    """
    may = [user for user in users if task.guard.allows_user(user)]
    task.observer(PhaseStarted("sampling summaries of their own", len(may) * _SAMPLES))
    workers = task.door.model("proposer").concurrency
    found = in_parallel(lambda user: _samples(task, user), may, workers)
    own = dict(zip(may, found, strict=True))
    cells = [(user, text) for user, texts in own.items() for text in texts]
    table.fill_cells(cells, "scoring what was sampled for each")
    gaining = []
    for user, texts in own.items():
        reward, text = max(zip(table.rewards(user, texts), texts, strict=True), default=(-inf, ""))
        gain = reward - task.unaided(user)
        if gain > 0:
            gaining.append((gain, (user, text)))
    ranked = [each for _, each in sorted(gaining, key=lambda each: each[0], reverse=True)]
    chosen = _different(ranked)
    for count in range(len(chosen), 1, -1):
        shown = DemonstrationSet(tuple(chosen[:count]))
        if fits(shown, VIEW, task.door):
            return (shown,)
    return ()


def _samples(task: Task, user: User) -> tuple[str, ...]:
    """Different summaries of one user, none of them in the words of others or of the signals."""
    signals = render_signals(user.signals)
    texts: list[str] = []
    with attributed(user_id=user.user_id):
        for i in range(_SAMPLES):
            sampling = replace(SUMMARY_SAMPLING, temperature=0.7, seed=task.seed + i)
            texts += sampled(task, signals, "proposer", summary_request(signals), sampling)
    return tuple(text for text in dict.fromkeys(texts) if task.guard.allows(text))


def _different(ranked: Sequence[Example]) -> list[Example]:
    """The first, then in turn whose summary has least in common with those before."""
    chosen = list(ranked[:1])
    rest = list(ranked[1:])
    while rest and len(chosen) < _MOST:
        least = min(rest, key=lambda each: max(_common(each[1], text) for _, text in chosen))
        chosen.append(least)
        rest.remove(least)
    return chosen


def _common(text: str, other: str) -> float:
    """The share of their words that both have."""
    mine, others = set(words(text)), set(words(other))
    return len(mine & others) / len(mine | others)
