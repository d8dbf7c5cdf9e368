"""A program beside no context, raw signals, other texts and baselines, on the same users."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.contexts import Context, context, longest_answers
from popi_prompt.errors import BudgetExceeded
from popi_prompt.evaluation import Metric, Result, evaluate
from popi_prompt.events import Noted, Observer, PhaseStarted, ignore
from popi_prompt.generator import Generator
from popi_prompt.inference import note_written
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.models.spent import Spent
from popi_prompt.report import Report
from popi_prompt.rewards import Reward
from popi_prompt.rows import (
    ALL_ROWS,
    COMPILED,
    CORE_ROWS,
    GOLD,
    LONGEST,
    NO_CONTEXT,
    OPPOSITE,
    UNTUNED,
    Row,
)
from popi_prompt.schema import User
from popi_prompt.scorers.scorer import Scorer

_CHOOSES = ("preference accuracy", "choice accuracy")


@dataclass(frozen=True, slots=True)
class Scoring:
    """How rows are measured: `scorer` gives D, each of `also` only what its generator prefers."""

    door: Door
    scorer: Scorer
    reward: Reward
    also: tuple[Scorer, ...] = ()


def compare(
    candidate: Candidate,
    users: Sequence[User],
    scoring: Scoring,
    rows: Collection[str] = CORE_ROWS,
    observer: Observer = ignore,
) -> Report:
    """The report's rows on these users; the program's own row is always among them.

    A row whose texts these users do not have is left out. At a cap the report has the rows that
    were measured by then, where the program's own is one of them: those that it is compared with
    come first. Raises `OptimizationError` where no user can be scored without a text, or under the
    program's own summary, and `BudgetExceeded` at a cap before that row.
    """
    own = UNTUNED if candidate == UNTUNED_CANDIDATE else COMPILED
    measured: dict[str, Row] = {}
    stopped: str | None = None
    wanted = [name for name in ALL_ROWS if name in rows or name == own]
    for name in sorted(wanted, key=lambda name: name not in CORE_ROWS):
        if stopped is not None and name != LONGEST:  # which asks no model
            continue
        try:
            row = measure_row(name, candidate, users, scoring, measured.get(own), observer)
        except BudgetExceeded as stop:
            if own not in measured:
                raise
            stopped = str(stop)
            continue
        if row is None:
            continue
        measured[name] = row
        if name in (NO_CONTEXT, own):
            _ = row.outcomes
    return Report(
        rows=tuple(measured[name] for name in wanted if name in measured),
        scorer=scoring.scorer.name,
        prefers_label=scoring.scorer.prefers_label,
        unit=scoring.scorer.unit,
        also=tuple(scorer.prefers_label for scorer in scoring.also),
        groups=_groups(users),
        stopped=stopped,
    )


def measure_row(
    name: str,
    candidate: Candidate,
    users: Sequence[User],
    scoring: Scoring,
    own: Row | None = None,
    observer: Observer = ignore,
) -> Row | None:
    """The row of a name; None, and the observer is told, where these users do not have its texts.

    `own` is the program's row, which "shuffled" needs.
    """
    if name == LONGEST:
        return _longest(users, scoring)
    told = context(name, candidate, users, scoring.door, own)
    if told is not None:
        return measure(name, told, users, scoring, observer)
    if name != COMPILED:  # of the untuned program, whose row is another
        observer(Noted(f"{name}: left out, {_lacking(name, users)}"))
    return None


def _lacking(name: str, users: Sequence[User]) -> str:
    without = [user.user_id for user in users if user.gold is None]
    if name in (GOLD, OPPOSITE) and without:
        return f"{len(without)} of {len(users)} users have no gold, the first is {without[0]!r}"
    return "these users have no such text"


def measure(
    name: str, told: Context, users: Sequence[User], scoring: Scoring, observer: Observer = ignore
) -> Row:
    """One row: these users under what `told` tells of them, by all of the scorers."""
    scorers = (scoring.scorer, *scoring.also)
    if name == COMPILED:
        note_written(told.candidate, users, scoring.door, observer)
    observer(PhaseStarted(f"held-out users: {name}", len(users) * len(scorers)))
    generator = Generator(scoring.door, told.candidate.conditioning)
    before = scoring.door.spent()
    found: list[tuple[Result, ...]] = []
    with attributed(candidate=name):
        for scorer in scorers:
            metric = Metric(generator, scorer, scoring.reward)
            found.append(evaluate(users, told.summarize, metric, observer))
    also = {each.prefers_label: results for each, results in zip(scorers, found, strict=True)}
    also.pop(scoring.scorer.prefers_label)
    return Row(name, found[0], also, dict(_since(before, scoring.door.spent())))


def _longest(users: Sequence[User], scoring: Scoring) -> Row:
    results = longest_answers(users)
    labels = [scorer.prefers_label for scorer in scoring.also]
    return Row(LONGEST, results, {label: results for label in labels if label in _CHOOSES})


def _since(before: Mapping[str, Spent], now: Mapping[str, Spent]) -> Iterator[tuple[str, Spent]]:
    """What was sent in between, by role; roles that were not asked are not in it."""
    for role, after in now.items():
        earlier = before.get(role, Spent())
        if after.calls == earlier.calls:
            continue
        known = after.usd is not None and earlier.usd is not None
        yield (
            role,
            Spent(
                after.calls - earlier.calls,
                after.tokens_in - earlier.tokens_in,
                after.tokens_out - earlier.tokens_out,
                (after.usd or 0.0) - (earlier.usd or 0.0) if known else None,
                after.unconfirmed - earlier.unconfirmed,
            ),
        )


def _groups(users: Sequence[User]) -> dict[str, frozenset[str]]:
    names = sorted({user.group for user in users if user.group is not None})
    return {name: frozenset(user.user_id for user in users if user.group == name) for name in names}
