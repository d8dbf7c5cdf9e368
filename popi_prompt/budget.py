"""A budget too small to find a gain of five points, said before it is spent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from popi_prompt.drawing import at_most
from popi_prompt.errors import BudgetExceeded, CacheError, PopiError
from popi_prompt.events import Event, Observer, TrialFinished, ignore
from popi_prompt.guard import Guard
from popi_prompt.models.books import Books
from popi_prompt.models.cache_reader import open_reader
from popi_prompt.models.door import Door
from popi_prompt.models.dry_model import DryHosted, DryModel, Speed
from popi_prompt.models.litellm_model import LiteLLMModel
from popi_prompt.models.meter import Meter
from popi_prompt.models.model import Model
from popi_prompt.models.roles import Role
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps, Spent, shown, total
from popi_prompt.power import GAIN, POWER, fewest_users, smallest_gain
from popi_prompt.schema import User
from popi_prompt.scorers import uncalled
from popi_prompt.search import open_scoring, search
from popi_prompt.settings import Settings
from popi_prompt.split import Split

_PACKAGE = __name__.partition(".")[0]


def shortfalls(split: Split, settings: Settings, guard: Guard, door: Door) -> Iterator[str]:
    """What is too small for the run on this door, a sentence each; nothing is sent.

    Where the door has caps, the search is run on imagined answers up to its first comparison: about
    a second. An optimizer or a scorer of one's own is not run unasked.
    """
    caps = door.meter.caps
    if caps != Caps():
        needed = _first_compared(split, settings, guard, door)
        before = total(door.spent().values())  # of a run that goes on: what it asked is not needed
        yield from short_caps(caps, None if needed is None else before.plus(needed))
    yield from few_users(split, settings)


def short_caps(caps: Caps, needed: Spent | None) -> Iterator[str]:
    """The caps that end a search before a first comparison, which takes `needed`, if known."""
    if needed is None:
        return
    for name, amount, cap in caps.amounts(needed, 0.0):
        if amount > cap:
            yield (
                f"the cap of {shown(name, cap)} ends the search before a first candidate is "
                f"compared with the untuned program: that takes about {shown(name, amount)}"
            )


def few_users(split: Split, settings: Settings) -> Iterator[str]:
    """Whether the held-out users could not show five points however well they are gained."""
    users = at_most(split.test, settings.held_out, settings.seed)
    step = _step(users)
    needed = fewest_users(GAIN, step)
    if len(users) >= needed:
        return
    points = math.ceil(100 * smallest_gain(len(users), step))
    yield (
        f"{len(users)} held-out users are too few to show a gain of {100 * GAIN:.0f} points of "
        f"reward accuracy: that takes {needed}, and {len(users)} show {points} points or more "
        f"({POWER:.0%} power where nobody loses by it, less where some do)"
    )


class FirstCompared:
    """An observer that reads the meter when two candidates were tried, one of them the untuned one.

    `spent` is what it took until then; until the first one where there is no second.
    """

    def __init__(self, door: Door, observer: Observer = ignore, *, stop: bool = False):
        self.spent: Spent | None = None
        self._door = door
        self._observer = observer
        self._stop = stop
        self._told = 0

    def __call__(self, event: Event) -> None:
        """With `stop`, the search ends there as at a cap."""
        self._observer(event)
        if not isinstance(event, TrialFinished):
            return
        self._told += 1
        if self._told <= 2:
            self.spent = total(self._door.spent().values())
        if self._told == 2 and self._stop:
            raise BudgetExceeded("a first candidate was compared")


def _first_compared(split: Split, settings: Settings, guard: Guard, door: Door) -> Spent | None:
    """What the search takes until then; None where it cannot be told."""
    scorer = uncalled(settings.scorer)
    if not (_ours(settings.optimizer) and _ours(scorer)):
        return None
    settings = replace(settings, scorer=scorer)
    with Door(door.routes, open_model=partial(_dry, door), books=_books(settings)) as dry:
        first = FirstCompared(dry, stop=True)
        try:
            search(split, open_scoring(settings, dry, ignore), settings, first, guard=guard)
        except PopiError:
            return None  # what is wrong is for the run itself to say
        return first.spent


def _books(settings: Settings) -> Books:
    """With the answers on disk, as far as they can be read: a run goes on without them, too."""
    try:
        cache = open_reader(settings.access.cache)
    except CacheError:
        cache = None
    return Books(Meter(), cache=cache)


def _ours(part: object) -> bool:
    """Whether it is named, or an object of this package."""
    return part is None or isinstance(part, str) or type(part).__module__.startswith(_PACKAGE)


def _dry(door: Door, route: Route) -> Model:
    """In place of the model that the door has open."""
    role = next(role for role, each in door.routes.items() if each == route)
    real = door.model(cast(Role, role))
    return DryHosted(real, Speed()) if isinstance(real, LiteLLMModel) else DryModel(real)


def _step(users: Sequence[User]) -> float:
    """What one pair changes in a user's figure, on average."""
    return sum(1 / len(user.pairs) for user in users) / len(users)
