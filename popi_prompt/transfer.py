"""One program's summaries in front of several frozen generators: do they carry over?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.comparison import Scoring, measure
from popi_prompt.contexts import Context, context
from popi_prompt.errors import (
    BudgetExceeded,
    ModelError,
    OptimizationError,
    PopiError,
    UnknownModel,
    UsageError,
)
from popi_prompt.evaluation import Summarize, in_parallel
from popi_prompt.events import Advanced, Noted, Observer, PhaseStarted, ignore
from popi_prompt.inference import note_written, summarizer
from popi_prompt.matrix import Cell, Line, Transfer, Unscored
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.models.route import Route
from popi_prompt.report import Report
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import COMPILED, NO_CONTEXT, UNTUNED
from popi_prompt.schema import User
from popi_prompt.scorers import Scorer, make_scorer

_BY_ROUTE = ("likelihood", "choice")


@dataclass(frozen=True, slots=True)
class _Subject:
    """One generator behind a door of its own, and what it is told of the users, row by row."""

    users: Sequence[User]
    told: Mapping[str, Context]
    door: Door
    observer: Observer


def transfer(
    candidate: Candidate,
    users: Sequence[User],
    door: Door,
    generators: Sequence[str | Route],
    scorers: Sequence[str | Scorer] = (),
    observer: Observer = ignore,
) -> Transfer:
    """Score the same summaries, inferred once, on every generator.

    `door` leads to the inference model and to what scorers ask beside the generator, such as the
    judge. Without `scorers`, `likelihood` where a generator's route gives it, and `choice`.

    A generator that cannot be opened or scored, or that a cap leaves no calls for, is a failure of
    its line. Raises `UsageError` for model and scorer names that are none, before anything is
    inferred, and `OptimizationError` where no user has a summary of the program's own or no
    generator could be scored; `BudgetExceeded` where that is for a cap alone. That the untuned
    program has none for anybody is noted: the program is then compared with no context alone.
    """
    wanted = _shared(scorers, door)
    doors = [door.elsewhere({"generator": each}) for each in generators]
    failed = [_unopened(each) for each in doors]
    told = _told(candidate, users, door, observer)
    lines: list[Line] = []
    for each, failure in zip(doors, failed, strict=True):
        observer(Noted(f"generator {each.names['generator']}"))
        lines.append(_line(_Subject(users, told, each, observer), wanted, failure))
    if all(line.verdict == "failed" for line in lines):
        reason = lines[0].says() if lines else "there are none"
        only_caps = all(line.kind == BudgetExceeded.__name__ for line in lines)
        error = BudgetExceeded if lines and only_caps else OptimizationError
        raise error(f"no generator could be scored; the first {reason}")
    return Transfer(tuple(lines), len(users))


def _shared(scorers: Sequence[str | Scorer], door: Door) -> tuple[str | Scorer, ...]:
    """Scorers by name only where each generator must be asked whether it can serve them."""
    return tuple(
        each if each == "likelihood" else make_scorer(each, door) for each in dict.fromkeys(scorers)
    )


def _unopened(door: Door) -> Unscored | None:
    """Open the generator; why it cannot be, if it is one at all."""
    try:
        door.model("generator")
    except UnknownModel as error:
        raise UsageError(str(error)) from None
    except ModelError as error:
        return _unscored(error)
    return None


def _told(
    candidate: Candidate, users: Sequence[User], door: Door, observer: Observer
) -> dict[str, Context]:
    """What each row tells, by its name, the program's own last; the texts are there already.

    Raises `OptimizationError` where its own row has none.
    """
    own = UNTUNED if candidate == UNTUNED_CANDIDATE else COMPILED
    contexts = {NO_CONTEXT: context(NO_CONTEXT, candidate, users, door)}
    for name, each in {UNTUNED: UNTUNED_CANDIDATE, COMPILED: candidate}.items():
        if name == COMPILED != own:
            continue
        observer(PhaseStarted(f"inferring summaries: {name}", len(users)))
        with attributed(candidate=name):
            found = _inferred(each, users, door, observer)
        if not any(isinstance(text, str) for text in found.values()):
            reason = next(map(str, found.values()), "there are no users")
            missing = f"no user has a summary; the first: {reason}"
            if name == own:
                raise OptimizationError(missing)
            observer(Noted(f"{name}: {missing}"))
        contexts[name] = Context(each, _looked_up(found))
    return {name: told for name, told in contexts.items() if told is not None}


def _inferred(
    candidate: Candidate, users: Sequence[User], door: Door, observer: Observer
) -> dict[str, str | ModelError]:
    """The summary of each user, or why there is none, by id."""
    note_written(candidate, users, door, observer)
    summarize = summarizer(candidate, door)

    def one(user: User) -> str | ModelError:
        try:
            return summarize(user)
        except ModelError as error:
            return error
        finally:
            observer(Advanced())

    found = in_parallel(one, users, door.model("inference").concurrency)
    return dict(zip((user.user_id for user in users), found, strict=True))


def _looked_up(found: Mapping[str, str | ModelError]) -> Summarize:
    """Whose summary failed has none on any generator."""

    def told(user: User) -> str:
        text = found[user.user_id]
        if isinstance(text, ModelError):
            raise text
        return text

    return told


def _line(subject: _Subject, wanted: Sequence[str | Scorer], failure: Unscored | None) -> Line:
    """By every scorer; a route that cannot even say what it allows is a failure as a whole."""
    name = subject.door.names["generator"]
    if failure is not None:
        return Line(name, failed=failure)
    try:
        if not wanted:
            wanted = _BY_ROUTE[0 if subject.door.scores_responses("generator") else 1 :]
    except (ModelError, BudgetExceeded, UsageError) as error:
        return Line(name, failed=_unscored(error))
    return Line(name, tuple(_cell(subject, each) for each in wanted))


def _cell(subject: _Subject, scorer: str | Scorer) -> Cell:
    name = scorer if isinstance(scorer, str) else scorer.name
    try:
        return Cell(name, _report(subject, make_scorer(scorer, subject.door)))
    except (ModelError, BudgetExceeded, UsageError, OptimizationError) as error:
        return Cell(name, _unscored(error))


def _report(subject: _Subject, scorer: Scorer) -> Report:
    """Raises `OptimizationError` where nobody can be scored without a text or under the program."""
    scoring = Scoring(subject.door, scorer, PopiReward())
    own = list(subject.told)[-1]
    rows = []
    for name, each in subject.told.items():
        rows.append(measure(name, each, subject.users, scoring, subject.observer))
        if name in (NO_CONTEXT, own):
            _ = rows[-1].outcomes
    return Report(tuple(rows), scorer.name, scorer.prefers_label, scorer.unit)


def _unscored(error: PopiError) -> Unscored:
    return Unscored(type(error).__name__, str(error))
