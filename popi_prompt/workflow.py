"""The main job on one page: users in, compiled program and report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from popi_prompt.budget import shortfalls
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.comparison import Scoring, compare
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import at_most, sample
from popi_prompt.errors import BudgetExceeded
from popi_prompt.events import Event, Improved, Noted, Observer, TrialFinished, ignore
from popi_prompt.folds import Folds, cross_validate
from popi_prompt.front import members
from popi_prompt.guard import demos_of, make_guard
from popi_prompt.models.door import Door
from popi_prompt.models.roles import RECORDED
from popi_prompt.optimized import Optimized
from popi_prompt.optimizers import Kept, make_optimizer
from popi_prompt.program import Origin, Program
from popi_prompt.provenance import versions, with_demos, with_scores
from popi_prompt.report import Report
from popi_prompt.runs import Run, RunFolder, Unrecorded, open_run, resolve
from popi_prompt.schema import User
from popi_prompt.scorers import Scorer, make_scorer
from popi_prompt.search import Searched, open_scoring, search
from popi_prompt.settings import Settings
from popi_prompt.split import Split, split_folds, split_users


def optimize(
    users: Sequence[User],
    settings: Settings = Settings(),
    *,
    observer: Observer = ignore,
    door: Door | None = None,
    run: RunFolder | None = None,
) -> Optimized:
    """Split, search on train and validation users, compare with the untuned program on the rest.

    `door` is used in place of the one that `settings` open, and is closed at the end as well.
    `run` is a folder in which an interrupted run goes on; the program is the same without one. A
    call that failed fails for the whole run: who asks when must not decide anything.

    A program that is not proven to be better than the untuned one is not shipped, and at a cap it
    ends with the best program so far: see `Optimized`. Raises `OptimizationError` where the data
    leave nothing to split or to score, `UsageError` for a scorer the generator cannot serve, an
    optimizer that is none or a folder that holds another run, `ModelError` for models that cannot
    be opened, `PrivacyError` where a program without text of users is not to be had.
    """
    settings = replace(settings, optimizer=make_optimizer(settings.optimizer))
    everyone = users
    users = sample(users, settings.max_users, settings.seed)
    split = split_users(users, seed=settings.seed)
    guard = make_guard(settings.demos, everyone, split)
    observer(Noted(_described(split)))
    with (
        door if door is not None else settings.door(observer) as door,
        _opened(run, everyone, settings, door, observer) as running,
    ):
        door = running.door(door)
        for text in shortfalls(split, settings, guard, door):
            observer(Noted(text))
        scoring = open_scoring(settings, door, observer)
        folds = _folds(everyone, users, scoring, settings, running.observer)
        origin = with_demos(_origin(settings, scoring.scorer, users), guard)
        tried = _Tried(running.observer())

        curve: list[Kept] = []

        def keep(kept: Kept) -> None:
            better = _program(kept.candidate, door, tried.until_now(origin))
            curve.append(running.keep(kept, better))
            observer(Improved(better))

        searched = search(split, scoring, settings, tried.tell, keep, guard)
        made = tried.until_now(origin)
        found = searched.found
        report = _measured(searched, split, scoring, settings, observer)
        shipped = found if settings.force or _ships(report) else UNTUNED_CANDIDATE
        guard.prove(shipped)
        program = _program(shipped, door, with_scores(made, report, shipped))
        front = members(searched.front, lambda each: _program(each, door, made))
        spent = door.spent()
        done = Optimized(program, report, split, found, spent, tuple(curve), folds, front)
        running.finish(program, done.as_record())
        return done


@dataclass(frozen=True, slots=True)
class _Tried:
    """Passes on what a search tells, and knows its trials, those of an interrupted run as well."""

    observer: Observer
    trials: list[TrialFinished] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        if isinstance(event, TrialFinished):
            self.trials.append(event)
        self.observer(event)

    def until_now(self, origin: Origin) -> Origin:
        return replace(origin, trials=len(self.trials))


def _opened(
    run: RunFolder | None, users: Sequence[User], settings: Settings, door: Door, observer: Observer
) -> Run:
    if run is None:
        return Unrecorded(observer)
    config = resolve(settings, users, door.routes)
    return open_run(run, config, observer, keeps_answers=door.keeps_answers)


def _folds(
    everyone: Sequence[User],
    users: Sequence[User],
    scoring: Scoring,
    settings: Settings,
    observer_of: Callable[[int | None], Observer],
) -> Folds | None:
    """The search on other splits; what it finds is measured, and kept nowhere."""
    if settings.folds is None:
        return None
    splits = split_folds(users, settings.folds, seed=settings.seed)

    def run(split: Split) -> Report:
        number = splits.index(split) + 1
        observer = observer_of(number)
        observer(Noted(f"fold {number} of {len(splits)}: {_described(split)}"))
        guard = make_guard(settings.demos, everyone, split)
        searched = search(split, scoring, settings, observer, guard=guard)
        if searched.stopped is not None:
            raise BudgetExceeded(searched.stopped)
        return _reported(searched.found, split, scoring, settings, observer)

    return cross_validate(splits, run)


def _measured(
    searched: Searched, split: Split, scoring: Scoring, settings: Settings, observer: Observer
) -> Report:
    """The report, without rows if a cap has ended the search or ends this before they say much."""
    stopped = searched.stopped
    if stopped is None:
        try:
            return _reported(searched.found, split, scoring, settings, observer)
        except BudgetExceeded as stop:
            stopped = str(stop)
    scorer = scoring.scorer
    return Report((), scorer.name, scorer.prefers_label, scorer.unit, stopped=stopped)


def _reported(
    found: Candidate, split: Split, scoring: Scoring, settings: Settings, observer: Observer
) -> Report:
    """The report on held-out users, as many as are wanted."""
    test = at_most(split.test, settings.held_out, settings.seed)
    return compare(found, test, scoring, observer=observer)


def _ships(report: Report) -> bool:
    """Whether what was found moved users it never saw further than the untuned program did.

    So it does where a cap has kept the two from being compared: it is the best one so far.
    """
    if report.stopped is not None and not report.rows:
        return True
    gain = report.gain()
    return gain is not None and gain.above_zero


def _program(candidate: Candidate, door: Door, origin: Origin) -> Program:
    return Program(candidate, {role: door.names[role] for role in RECORDED}, origin)


def _origin(settings: Settings, scorer: Scorer, users: Sequence[User]) -> Origin:
    return Origin(
        optimizer=make_optimizer(settings.optimizer).name,
        scorer=scorer.name,
        reward=settings.reward.name,
        seed=settings.seed,
        dataset=fingerprint(users),
        users=len(users),
        trials=0,
        versions=versions(),
    )


def embeddable(users: Sequence[User], settings: Settings) -> tuple[str, ...]:
    """Ids of the users whose signals `optimize` may write into the program; none if synthetic."""
    if demos_of(settings.demos, users) == "synthetic":
        return ()
    users = sample(users, settings.max_users, settings.seed)
    return tuple(user.user_id for user in split_users(users, seed=settings.seed).train)


def untuned(settings: Settings, users: Sequence[User]) -> Program:
    """The program as it is before optimizing, for comparison."""
    users = sample(users, settings.max_users, settings.seed)
    with settings.door() as door:
        origin = _origin(settings, make_scorer(settings.scorer, door), users)
        return _program(UNTUNED_CANDIDATE, door, origin)


def _described(split: Split) -> str:
    dropped = (
        f"; left out to keep prompts apart: {split.dropped_users} users, "
        f"{split.dropped_pairs} pairs"
        if split.dropped_users or split.dropped_pairs
        else ""
    )
    return (
        f"{len(split.train)} users to learn from, {len(split.val)} to choose by, "
        f"{len(split.test)} held out{dropped}"
    )
