"""How much a search looks at: light stays within its calls, a cap gets a search that grows."""

from __future__ import annotations

import pytest
from learnable_tastes import learns
from toy_tastes import person

from popi_prompt.candidate import DEMOS, UNTUNED_CANDIDATE, Demos
from popi_prompt.errors import UsageError
from popi_prompt.events import Event, TrialFinished
from popi_prompt.models.access import Access
from popi_prompt.models.door import Door
from popi_prompt.models.meter import Caps, total
from popi_prompt.optimizers.effort import EFFORTS, GROWING, MEDIUM, Auto
from popi_prompt.schema import User
from popi_prompt.settings import Settings
from popi_prompt.testing import FakeModel, fake_door
from popi_prompt.workflow import optimize

HUNDRED = tuple(person(i) for i in range(100))


def door(caps: Caps | None = None) -> Door:
    models = {"inference": FakeModel(learns), "proposer": FakeModel("Say how to answer.")}
    return fake_door(models, caps)


@pytest.mark.parametrize("demos", DEMOS)
@pytest.mark.parametrize("seed", range(3))
def test_light_takes_at_most_600_calls_on_100_users(demos: Demos, seed: int) -> None:
    reached = door()
    done = optimize(HUNDRED, Settings(auto="light", seed=seed, demos=demos), door=reached)
    assert done.report.rows
    print(demos, seed, total(reached.spent().values()).calls, [k.spent.calls for k in done.curve])
    assert total(reached.spent().values()).calls <= 600
