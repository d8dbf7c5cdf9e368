"""The number of trials that a program records: those that were made, whatever was allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from learnable_tastes import LEARNERS, learning_door

from popi_prompt.events import Event, Improved, TrialFinished
from popi_prompt.models.spent import Caps, total
from popi_prompt.optimizers import OPTIMIZERS, Found, Optimizer, Task, make_optimizer
from popi_prompt.schema import Persona
from popi_prompt.settings import Settings
from popi_prompt.starting_points import STARTING_POINTS
from popi_prompt.workflow import optimize

SETTINGS = Settings(trials=5, demos="real", force=True)


class Overheard:
    """An optimizer, and what it finds."""

    def __init__(self, optimizer: Optimizer):
        self.name = optimizer.name
        self.found: list[Found] = []
        self._optimizer = optimizer

    def run(self, task: Task) -> Found:
        self.found.append(self._optimizer.run(task))
        return self.found[0]


def finished(events: Sequence[Event]) -> int:
    return sum(isinstance(event, TrialFinished) for event in events)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_program_counts_the_trials_that_were_told(name: str) -> None:
    events: list[Event] = []
    overheard = Overheard(make_optimizer(name))
    settings = replace(SETTINGS, optimizer=overheard)
    done = optimize(LEARNERS, settings, observer=events.append, door=learning_door())
    assert overheard.found[0].trials == done.program.origin.trials == finished(events) > 1
    assert all(each.program.origin.trials == finished(events) for each in done.front)


@pytest.mark.parametrize("name", ["popi", "pareto"])
def test_a_starting_point_that_is_not_tried_is_not_counted(name: str) -> None:
    wording = STARTING_POINTS[0].conditioning.wording.format(summary="easy to read")
    quoting = replace(LEARNERS[0], signals=(*LEARNERS[0].signals, Persona(wording)))
    overheard = Overheard(make_optimizer(name))
    settings = Settings(auto="light", demos="synthetic", optimizer=overheard)
    optimize((quoting, *LEARNERS[1:]), settings, door=learning_door())
    assert overheard.found[0].trials == settings.effort().trials - 1


@pytest.mark.parametrize("name", ["popi", "mipro"])
def test_at_a_cap_a_program_counts_the_trials_before_it(name: str) -> None:
    settings = replace(SETTINGS, optimizer=name)
    free = optimize(LEARNERS, settings, door=learning_door())
    caps = Caps(calls=total(free.spent.values()).calls // 2)
    events: list[Event] = []
    done = optimize(LEARNERS, settings, observer=events.append, door=learning_door(caps=caps))
    assert done.stopped is not None
    assert done.program.origin.trials == finished(events) < free.program.origin.trials


def test_what_is_kept_on_the_way_counts_the_trials_until_then() -> None:
    events: list[Event] = []
    optimize(LEARNERS, SETTINGS, observer=events.append, door=learning_door())
    kept = [i for i, event in enumerate(events) if isinstance(event, Improved)]
    told = [event.program.origin.trials for event in events if isinstance(event, Improved)]
    assert told == [finished(events[:i]) for i in kept]
    assert told[0] == 0 < told[-1]
