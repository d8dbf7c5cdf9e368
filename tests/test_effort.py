"""How much a search looks at: light stays within its calls, a cap gets a search that grows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from learnable_tastes import learns, liked
from toy_tastes import person

from popi_prompt.candidate import DEMOS, Demos
from popi_prompt.errors import UsageError
from popi_prompt.events import Event, PhaseStarted, TrialFinished
from popi_prompt.models.access import Access
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.models.spent import Caps, total
from popi_prompt.optimizers.effort import EFFORTS, GROWING, MEDIUM, Auto, Effort
from popi_prompt.prompts import Messages
from popi_prompt.schema import Persona
from popi_prompt.settings import Settings
from popi_prompt.starting_points import STARTING_POINTS
from popi_prompt.testing import FakeModel, fake_door
from popi_prompt.workflow import optimize

HUNDRED = tuple(person(i) for i in range(100))
SMALL = Access(caps=Caps(calls=1000))


def door(caps: Caps | None = None) -> Door:
    models = {"inference": FakeModel(learns), "proposer": FakeModel("Say how to answer.")}
    return fake_door(models, caps)


@pytest.mark.parametrize("demos", DEMOS)
@pytest.mark.parametrize("seed", range(3))
def test_light_takes_at_most_600_calls_on_100_users(demos: Demos, seed: int) -> None:
    reached = door()
    done = optimize(HUNDRED, Settings(auto="light", seed=seed, demos=demos), door=reached)
    assert done.report.rows
    assert total(reached.spent().values()).calls <= 600


@pytest.mark.parametrize("cap", [60, 250, 400])
def test_a_cap_too_small_for_medium_is_used_from_small_to_large(cap: int) -> None:
    """At 250 calls medium would not have scored anything yet."""
    access = Access(caps=Caps(calls=cap))
    settings = Settings(access=access, demos="real", trials=8)
    done = optimize(HUNDRED, settings, door=door(access.caps))
    assert done.stopped is not None
    scored = [each for each in done.curve if each.reward is not None]
    assert bool(scored) == (cap >= 250)


def test_medium_is_the_default_and_a_named_effort_says_how_many_trials() -> None:
    assert Settings().effort() == MEDIUM
    assert Settings(auto="medium").effort() == MEDIUM
    assert Settings(trials=3).effort() == MEDIUM.with_trials(3)
    assert Settings(trials=3).effort().trials == 3
    assert Settings(auto="light").effort().trials < Settings(auto="heavy").effort().trials
    few = Access(caps=Caps(calls=450))
    assert Settings(access=few).effort().rounds[0] == GROWING.rounds[0]
    assert Settings(auto="heavy", access=few).effort() == EFFORTS["heavy"]
    assert Settings(access=Access(caps=Caps(calls=5000))).effort() == MEDIUM


@pytest.mark.parametrize(
    ("trials", "by_round"),
    [(1, (1,)), (2, (2,)), (4, (2, 2)), (10, (2, 8)), (11, (2, 8, 1)), (30, (2, 8, 20))],
)
@pytest.mark.parametrize("optimizer", ["popi", "pareto"])
def test_a_search_that_grows_hands_out_the_trials_that_were_asked_for(
    trials: int, by_round: tuple[int, ...], optimizer: str
) -> None:
    settings = Settings(trials=trials, access=SMALL, demos="real", optimizer=optimizer)
    assert settings.effort().trials == trials
    told: list[Event] = []
    optimize(HUNDRED[:24], settings, observer=told.append, door=door())
    phases = [each for each in told if isinstance(each, PhaseStarted)]
    assert tuple(each.total for each in phases if each.title == "searching") == by_round
    assert sum(isinstance(each, TrialFinished) for each in told) == trials


def test_a_search_that_grows_has_its_own_number_of_trials_where_none_is_asked_for() -> None:
    assert Settings(access=SMALL).effort() == GROWING
    assert [each.trials for each in GROWING.rounds] == [2, 8, 1]


@pytest.mark.parametrize("effort", [*EFFORTS.values(), GROWING])
def test_a_round_is_left_beside_starting_points_whatever_is_asked_for(effort: Effort) -> None:
    assert [each.trials for each in effort.with_trials(1).rounds] == [1]
    assert effort.with_trials(effort.trials) == effort


@pytest.mark.slow
def test_who_portraits_are_learned_from_does_not_depend_on_rounds() -> None:
    def weighed(access: Access) -> PhaseStarted:
        told: list[Event] = []
        settings = Settings(trials=4, access=access, optimizer="portrait")
        optimize(HUNDRED, settings, observer=told.append, door=door())
        title = "weighing what training users chose"
        return next(each for each in told if isinstance(each, PhaseStarted) and each.title == title)

    assert weighed(SMALL) == weighed(Access())


def test_an_effort_beside_trials_or_none_that_is_known_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="drop one"):
        Settings(auto="light", trials=4)
    with pytest.raises(UsageError, match="unknown auto 'huge'; known: light, medium, heavy"):
        Settings(auto="huge")  # type: ignore[arg-type]


def test_the_program_says_how_many_trials_its_effort_has() -> None:
    done = optimize(HUNDRED[:40], Settings(auto="light", force=True, demos="real"), door=door())
    assert done.program.origin.trials == EFFORTS["light"].trials


def test_a_growing_search_pays_nothing_twice() -> None:
    models = {"generator": FakeModel(), "inference": FakeModel(learns)}
    optimize(HUNDRED, Settings(auto="light", demos="real"), door=fake_door(models))
    for model in models.values():
        assert len(model.calls) == len(set(model.calls)) or model is models["generator"]


@pytest.mark.parametrize("optimizer", ["popi", "pareto"])
@pytest.mark.parametrize("auto", ["light", "medium"])
def test_light_begins_with_ready_made_instructions(auto: Auto, optimizer: str) -> None:
    models = {"generator": FakeModel(), "inference": FakeModel(learns)}
    settings = Settings(auto=auto, demos="real", optimizer=optimizer)
    told: list[Event] = []
    optimize(HUNDRED, settings, door=fake_door(models), observer=told.append)
    title, count = "trying starting points", len(EFFORTS[auto].starts)
    assert PhaseStarted(title, count) in told
    asked = [messages[0].content for _, messages in models["inference"].calls]
    assert (asked[0] == STARTING_POINTS[0].instruction) == (auto == "light")
    tried = [each for each in STARTING_POINTS if each.instruction in asked]
    assert tried == list(EFFORTS[auto].starts)


def adjectives(messages: Messages, _: Sampling) -> str:
    """Finds the taste when asked by the first starting point alone."""
    asked = messages[0].content == STARTING_POINTS[0].instruction
    return liked(messages[-1].content) if asked else "be nice"


def test_a_starting_point_that_pays_is_kept_with_the_wording_that_goes_with_it() -> None:
    reached = fake_door({"inference": FakeModel(adjectives)})
    done = optimize(HUNDRED, Settings(auto="light", demos="synthetic", force=True), door=reached)
    assert done.curve[1].candidate == STARTING_POINTS[0]
    assert done.curve[1].spent.calls <= 36


@pytest.mark.slow
def test_a_starting_point_in_the_words_of_a_user_is_not_tried() -> None:
    wording = STARTING_POINTS[0].conditioning.wording.format(summary="easy to read")
    quoting = replace(HUNDRED[0], signals=(*HUNDRED[0].signals, Persona(wording)))
    model = FakeModel(learns)
    settings = Settings(auto="heavy", demos="synthetic")
    optimize((quoting, *HUNDRED[1:]), settings, door=fake_door({"inference": model}))
    asked = {messages[0].content for _, messages in model.calls}
    assert STARTING_POINTS[0].instruction not in asked
    assert STARTING_POINTS[1].instruction in asked
