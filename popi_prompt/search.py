"""The search alone: an optimizer on training and validation users, and what it kept on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from popi_prompt.candidate import Candidate
from popi_prompt.comparison import Scoring
from popi_prompt.errors import BudgetExceeded
from popi_prompt.events import Noted, Observer, ignore
from popi_prompt.guard import Guard
from popi_prompt.models.door import Door
from popi_prompt.models.roles import RECORDED
from popi_prompt.models.spent import total
from popi_prompt.optimizers import Kept, Point, Task, make_optimizer, undominated
from popi_prompt.scorers import make_scorer
from popi_prompt.settings import Settings
from popi_prompt.split import Split


@dataclass(frozen=True, slots=True)
class Searched:
    """The best candidate, all that were kept on the way, and the cap that ended it, if one did.

    `front` is that of reward against tokens, so far as it was found; empty where the optimizer has
    one objective.
    """

    found: Candidate
    curve: tuple[Kept, ...]
    stopped: str | None = None
    front: tuple[Point, ...] = ()


def search(
    split: Split,
    scoring: Scoring,
    settings: Settings,
    observer: Observer = ignore,
    keep: Callable[[Kept], None] = lambda kept: None,
    guard: Guard = Guard(),
) -> Searched:
    """The search alone: `keep` is told of every candidate that is better than all before.

    Held-out users take no part. Raises `BudgetExceeded` only where nothing was kept before.
    """
    curve: list[Kept] = []
    points: list[Point] = []

    def kept(candidate: Candidate, reward: float | None) -> None:
        screened = guard.screened(candidate)
        guard.prove(screened)
        curve.append(Kept(screened, reward, total(scoring.door.spent().values())))
        keep(curve[-1])

    try:
        task = _task(split, scoring, settings, observer, kept, guard)
        found = make_optimizer(settings.optimizer).run(replace(task, point=points.append))
        front = _front(points, guard)
        return Searched(guard.screened(found.candidate), tuple(curve), None, front)
    except BudgetExceeded as stop:
        if not curve:
            raise
        return Searched(curve[-1].candidate, tuple(curve), str(stop), _front(points, guard))


def _front(points: Sequence[Point], guard: Guard) -> tuple[Point, ...]:
    """Without candidates that the guard changes: they are not what was measured."""
    front = undominated(each for each in points if guard.screened(each.candidate) == each.candidate)
    for each in front:
        guard.prove(each.candidate)
    return front


def open_scoring(settings: Settings, door: Door, observer: Observer) -> Scoring:
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
    keep: Callable[[Candidate, float | None], None],
    guard: Guard,
) -> Task:
    effort = settings.effort()
    return Task(
        train=split.train,
        val=split.val,
        door=scoring.door,
        scorer=scoring.scorer,
        reward=scoring.reward,
        trials=effort.trials,
        seed=settings.seed,
        observer=observer,
        keep=keep,
        guard=guard,
        effort=effort,
    )
