"""The main job on one page: users in, compiled program and report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.comparison import Scoring, compare
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample as sample
from popi_prompt.errors import BudgetExceeded, CallError
from popi_prompt.evaluation import Failure, in_parallel
from popi_prompt.events import Advanced, Improved, Noted, Observer, PhaseStarted, ignore
from popi_prompt.generator import Generator
from popi_prompt.inference import summarizer
from popi_prompt.models.access import Access
from popi_prompt.models.door import Door
from popi_prompt.models.meter import Spent
from popi_prompt.models.roles import RECORDED
from popi_prompt.optimizers import Optimizer, PopiOptimizer, Task
from popi_prompt.program import Origin, Program
from popi_prompt.provenance import versions, with_scores
from popi_prompt.report import Report
from popi_prompt.rewards import PopiReward, Reward
from popi_prompt.rows import COMPILED, UNTUNED
from popi_prompt.schema import User
from popi_prompt.scorers import Scorer, make_scorer
from popi_prompt.split import Split, split_users
from popi_prompt.summaries import Summary

DEFAULT_MODEL = "local/smollm2-135m"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `optimize` can be told.

    None means: for `proposer` the inference model, for `judge` the generator, for
    `embedding_model` the generator if it is an embedded one, for `scorer` the best one the
    generator allows, for `max_users` everyone, for `held_out` the whole test part in the report.
    `scorer` is a name, a "module:function" or a `Scorer`. `force` ships a program that is not
    proven to be better than the untuned one. `access` says how models are reached, what the run
    may cost and what it keeps.
    """

    generator: str = DEFAULT_MODEL
    inference_model: str = DEFAULT_MODEL
    proposer: str | None = None
    judge: str | None = None
    embedding_model: str | None = None
    scorer: str | Scorer | None = None
    reward: Reward = field(default_factory=PopiReward)
    trials: int = 8
    max_users: int | None = None
    held_out: int | None = None
    seed: int = 0
    force: bool = False
    access: Access = field(default_factory=Access)

    def names(self) -> dict[str, str]:
        """Models by role."""
        return {
            "generator": self.generator,
            "inference": self.inference_model,
            "proposer": self.proposer or self.inference_model,
            **self.access.scoring_names(
                self.generator, judge=self.judge, embedding=self.embedding_model
            ),
        }

    def door(self, observer: Observer = ignore) -> Door:
        """The door to these models."""
        return self.access.door(self.names(), observer)


@dataclass(frozen=True, slots=True)
class Optimized:
    """The program, and the report on held-out users it never saw.

    `found` is the search's best candidate. It is the program's where the interval of its gain in D
    excludes 0 upward, or by `force`; else the program is the untuned one.

    `stopped` says which cap ended the run early: the program is then the best one so far, and the
    report has no rows. `spent` is by role.
    """

    program: Program
    report: Report
    split: Split
    found: Candidate
    spent: Mapping[str, Spent] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def shipped(self) -> str:
        """The program's row in the report: "compiled" or "untuned"."""
        return UNTUNED if self.program.candidate == UNTUNED_CANDIDATE else COMPILED

    @property
    def kept_baseline(self) -> bool:
        """Whether the untuned program is shipped in place of what the search found."""
        return self.program.candidate != self.found


def optimize(
    users: Sequence[User],
    settings: Settings = Settings(),
    *,
    observer: Observer = ignore,
    optimizer: Optimizer | None = None,
    door: Door | None = None,
) -> Optimized:
    """Split, search on train and validation users, compare with the untuned program on the rest.

    `door` is used in place of the one that `settings` open, and is closed at the end as well.

    A program that is not proven to be better than the untuned one is not shipped, and at a cap it
    ends with the best program so far: see `Optimized`. Raises `OptimizationError` where the data
    leave nothing to split or to score, `UsageError` for a scorer the generator cannot serve,
    `ModelError` for models that cannot be opened.
    """
    users = sample(users, settings.max_users, settings.seed)
    split = split_users(users, seed=settings.seed)
    observer(Noted(_described(split)))
    with door if door is not None else settings.door(observer) as door:
        scoring = _scoring(settings, door, observer)
        origin = _origin(settings, scoring.scorer, users)
        best: list[Candidate] = []

        def keep(candidate: Candidate) -> None:
            best.append(candidate)
            observer(Improved(_program(candidate, door, origin)))

        report, stopped = Report((), scoring.scorer.name, scoring.scorer.prefers_label), None
        try:
            task = _task(split, scoring, settings, observer, keep)
            best.append((optimizer or PopiOptimizer()).run(task).candidate)
            test = sample(split.test, settings.held_out, settings.seed)
            report = compare(best[-1], test, scoring, observer=observer)
        except BudgetExceeded as stop:
            if not best:
                raise
            stopped = str(stop)
        shipped = best[-1] if settings.force or stopped or _proven(report) else UNTUNED_CANDIDATE
        program = _program(shipped, door, with_scores(origin, report, shipped))
        return Optimized(program, report, split, best[-1], door.spent(), stopped)


def _scoring(settings: Settings, door: Door, observer: Observer) -> Scoring:
    """Open the models, and choose the scorer."""
    for role in RECORDED:
        door.model(role)
    scorer = make_scorer(settings.scorer, door)
    if settings.scorer is None:
        observer(Noted(f"scorer {door.capability('generator').reason}"))
    return Scoring(door, scorer, settings.reward)


def _task(
    split: Split,
    scoring: Scoring,
    settings: Settings,
    observer: Observer,
    keep: Callable[[Candidate], None],
) -> Task:
    return Task(
        train=split.train,
        val=split.val,
        door=scoring.door,
        scorer=scoring.scorer,
        reward=scoring.reward,
        trials=settings.trials,
        seed=settings.seed,
        observer=observer,
        keep=keep,
    )


def _proven(report: Report) -> bool:
    """Whether the compiled program moved users it never saw further than the untuned one did."""
    gain = report.gain()
    return gain is not None and gain.above_zero


def _program(candidate: Candidate, door: Door, origin: Origin) -> Program:
    return Program(candidate, {role: door.names[role] for role in RECORDED}, origin)


def _origin(settings: Settings, scorer: Scorer, users: Sequence[User]) -> Origin:
    return Origin(
        scorer=scorer.name,
        reward=settings.reward.name,
        seed=settings.seed,
        dataset=fingerprint(users),
        users=len(users),
        trials=settings.trials,
        versions=versions(),
    )


def untuned(settings: Settings, users: Sequence[User]) -> Program:
    """The program as it is before optimizing, for comparison."""
    with settings.door() as door:
        origin = _origin(settings, make_scorer(settings.scorer, door), users)
        return _program(UNTUNED_CANDIDATE, door, replace(origin, trials=0))


def infer_all(
    program: Program, users: Sequence[User], observer: Observer = ignore
) -> tuple[tuple[Summary, ...], tuple[Failure, ...]]:
    """Summaries of all users, in their order, and the users that failed."""
    door = program.door
    summarize = summarizer(program.candidate, door)
    generator = Generator(door, program.candidate.conditioning)

    def one(user: User) -> Summary | Failure:
        try:
            text = summarize(user)
            return Summary(user.user_id, text, generator.overhead(text))
        except CallError as error:
            return Failure(user.user_id, str(error))
        finally:
            observer(Advanced())

    observer(PhaseStarted("inferring summaries", len(users)))
    results = in_parallel(one, users, door.model("inference").concurrency)
    summaries = tuple(each for each in results if isinstance(each, Summary))
    return summaries, tuple(each for each in results if isinstance(each, Failure))


def held_out(program: Program, users: Sequence[User]) -> tuple[User, ...]:
    """The users a program never saw: the test part of its own data, all users of other data."""
    with_pairs = tuple(user for user in users if user.pairs)
    for count in (None, program.origin.users):
        own = sample(users, count, program.origin.seed)
        if fingerprint(own) == program.origin.dataset:
            return split_users(own, seed=program.origin.seed).test
    return with_pairs


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
