"""Choosing a summary: what a model makes of a user beyond what it makes of anybody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from learnable_tastes import SPLIT
from menus import through_dspy_state
from toy_tastes import person

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Demonstration, Menu
from popi_prompt.cli.main import cli
from popi_prompt.errors import ModelError, PrivacyError, ProgramError, RateLimited
from popi_prompt.events import Event, Noted
from popi_prompt.guard import Guard
from popi_prompt.inference import (
    SUMMARY_SAMPLING,
    compile_module,
    summarizer,
)
from popi_prompt.inferring import infer_all
from popi_prompt.models.dspy_engine import door_lm
from popi_prompt.ngrams import Runs
from popi_prompt.optimizers.calibration import FEWEST, Calibration
from popi_prompt.optimizers.demonstrations import DemonstrationSet
from popi_prompt.optimizers.openings import openings
from popi_prompt.optimizers.space import Space
from popi_prompt.program import Origin, Program, load, program_from_record
from popi_prompt.prompts import CONDITIONINGS, Messages
from popi_prompt.schema import Persona, User
from popi_prompt.settings import Settings
from popi_prompt.testing import FakeModel, fake_door
from popi_prompt.workflow import optimize

BRIEF, WARM = "be brief and dry", "be kind and warm"
MENU = Menu("fake/inference", (BRIEF, WARM), (-2.0, -3.0))
CHOOSING = Candidate(menu=MENU)
USER = User("u", (Persona("I am kind."),))
PROGRAM = Program(
    replace(CHOOSING, demonstrations=(Demonstration("About the person: a nurse", WARM),)),
    {"generator": "fake/g", "inference": "fake/inference", "proposer": "fake/p"},
    Origin("likelihood", 0, "sha256:0", 3, 0),
)


class Leaning(FakeModel):
    """Finds one summary likelier, whoever is asked about, and a little what the user says."""

    def logprobs(self, messages: Messages, responses: Any) -> tuple[float, ...]:
        self.calls.append(("logprobs", messages))
        error = self._fails(messages)
        if error is not None:
            raise error
        said = messages[-1].content
        return tuple(
            (-2.0 if text == BRIEF else -6.0) + (0.5 if text.split()[1] in said else 0.0)
            for text in responses
        )


class Writer:
    """A model without log-probabilities of given answers."""

    concurrency = 1
    name = "writer"

    def __init__(self) -> None:
        self._fake = FakeModel("Be plain.")
        self.chat = self._fake.chat
        self.count_tokens = self._fake.count_tokens
        self.option_odds = self._fake.option_odds


def named(model: Any, name: str = "fake/inference") -> Any:
    """A door whose inference model has this name."""
    door = fake_door({"inference": model})
    door.names["inference"] = name
    return door


def test_the_summary_furthest_above_its_prior_is_chosen_of_equals_the_first() -> None:
    assert MENU.pick([-2.0, -2.5]) == WARM
    assert MENU.pick([-1.0, -2.5]) == BRIEF
    assert MENU.pick([-2.5, -3.5]) == BRIEF


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=2), st.floats(-20, 20))
def test_what_all_summaries_share_changes_no_choice(logs: list[float], shared: float) -> None:
    before = [log - prior for log, prior in zip(logs, MENU.priors, strict=True)]
    if abs(before[0] - before[1]) > 1e-6:
        assert MENU.pick(logs) == MENU.pick([log + shared for log in logs])


def test_a_model_chooses_against_its_lean_and_writes_nothing() -> None:
    model = Leaning()
    door = named(model)
    calibrated = Calibration((BRIEF, WARM), (USER, *people(4))).of(UNTUNED_CANDIDATE, door)
    model.calls.clear()
    assert summarizer(calibrated, door)(USER) == WARM
    assert summarizer(calibrated, door)(User("v", (Persona("I am brief."),))) == BRIEF
    assert {kind for kind, _ in model.calls} <= {"logprobs"}


def people(count: int) -> tuple[User, ...]:
    """Half of them kind, half brief."""
    return tuple(
        User(f"p{i}", (Persona(f"I am {'kind' if i % 2 else 'brief'}, number {i}."),))
        for i in range(count)
    )


def test_another_model_writes_and_so_does_one_without_log_probabilities() -> None:
    assert summarizer(CHOOSING, named(FakeModel("Be plain."), "fake/other"))(USER) == "Be plain."
    assert summarizer(CHOOSING, named(Writer()))(USER) == "Be plain."
    with dspy.context(lm=dspy.utils.DummyLM([{"summary": "Be plain."}])):
        assert compile_module(CHOOSING).menu == MENU
        assert compile_module(CHOOSING)._chosen("I am kind.") is None


def test_who_infers_with_another_model_is_told_that_it_writes() -> None:
    told: list[Event] = []
    infer_all(PROGRAM.through(named(FakeModel("Be plain."), "fake/other")), [USER], told.append)
    assert told[0] == Noted(
        "the program chooses summaries with 'fake/inference'; 'fake/other' writes them"
    )
    told.clear()
    infer_all(PROGRAM.through(named(Leaning())), [USER], told.append)
    assert not [event for event in told if isinstance(event, Noted)]


def test_a_failed_choice_is_a_typed_failure_of_the_user() -> None:
    door = named(Leaning(fails=lambda messages: RateLimited("too many")))
    with pytest.raises(RateLimited) as caught:
        summarizer(CHOOSING, door)(USER)
    assert caught.value.user_id == "u"


def test_priors_are_means_over_users_who_are_not_shown_and_could_be_asked() -> None:
    users = people(6)

    def fails(messages: Messages) -> ModelError | None:
        return RateLimited("too many") if "number 5" in messages[-1].content else None

    model = Leaning(fails=fails)
    shown = Candidate(demonstrations=(Demonstration("I am brief.", BRIEF, "p0"),))
    menu = Calibration((BRIEF, WARM), users).of(shown, named(model)).menu
    assert isinstance(menu, Menu)  # 1 and 3 are kind, 2 and 4 are brief
    assert menu.priors == (-2.0 + 2 * 0.5 / 4, -6.0 + 2 * 0.5 / 4)
    assert menu.model == "fake/inference"
    assert all("number 0" not in messages[-1].content for _, messages in model.calls)


def test_with_too_few_users_or_no_summaries_a_candidate_stays_as_it_is() -> None:
    few = people(FEWEST - 1)
    assert Calibration((BRIEF, WARM), few).of(UNTUNED_CANDIDATE, named(Leaning())).menu is None
    assert Calibration().of(UNTUNED_CANDIDATE, named(Leaning())) == UNTUNED_CANDIDATE


def test_the_best_set_chooses_first_then_the_instruction_alone_then_the_set_writes() -> None:
    a, b = SPLIT.train[:2]
    shown = DemonstrationSet(((a, BRIEF), (b, WARM)))
    own = DemonstrationSet(((a, "something else"),))
    fresh = Space(
        sets=(DemonstrationSet(()), shown, own),
        conditionings=CONDITIONINGS[:2],
        menus=(Calibration(), Calibration((BRIEF, WARM), people(4))),
    )
    found = openings(fresh, fresh, 1, 6)
    assert [(each["demonstrations"], each["menu"]) for each in found] == [
        (1, 1),
        (0, 0),
        (0, 1),
        (1, 0),
        (2, 0),
    ]


def test_the_search_finds_a_program_that_chooses() -> None:
    hundred = tuple(person(i) for i in range(100))
    models = {"inference": FakeModel("no idea")}
    done = optimize(hundred, Settings(trials=3, demos="real"), door=fake_door(models))
    menu = done.found.menu
    assert menu is not None
    assert set(menu.summaries) >= {demo.summary for demo in done.found.demonstrations}


def test_dspys_state_keeps_the_menu(tmp_path: Path) -> None:
    module = through_dspy_state(CHOOSING, tmp_path)
    assert module.menu == MENU
    with dspy.context(lm=door_lm(named(Leaning()), "inference", SUMMARY_SAMPLING)):
        assert module(signals=USER.signals).summary == BRIEF


def test_a_program_keeps_its_menu_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    PROGRAM.save(path)
    assert load(path) == PROGRAM
    assert PROGRAM.as_record()["popi_prompt_program"] == 2
    plain = replace(PROGRAM, candidate=UNTUNED_CANDIDATE).as_record()
    assert plain["popi_prompt_program"] == 1
    assert "menu" not in plain
    shown = CliRunner().invoke(cli, ["show", str(path)])
    assert shown.exit_code == 0
    assert f"{WARM} (prior -3.00)" in shown.output


@pytest.mark.parametrize(
    ("menu", "problem"),
    [
        ({"model": "m", "summaries": ["a", "b"]}, "no 'priors'"),
        ({"model": "m", "summaries": ["a"], "priors": [-1.0]}, "1 summaries and 1 priors"),
        ({"model": "m", "summaries": ["a", "b"], "priors": [-1.0]}, "2 summaries and 1 priors"),
        ({"model": "m", "summaries": ["a", " "], "priors": [-1.0, -2.0]}, "that is no text: ' '"),
        ({"model": "m", "summaries": ["a", "b"], "priors": [-1.0, True]}, "no number: True"),
        ({"model": "m", "summaries": ["a", "b"], "priors": [-1, float("nan")]}, "no number: nan"),
        ([], "a 'menu' of the wrong type"),
    ],
)
def test_a_damaged_menu_is_refused(menu: Any, problem: str) -> None:
    with pytest.raises(ProgramError, match=problem):
        program_from_record({**PROGRAM.as_record(), "menu": menu})


def test_a_menu_in_a_program_of_the_first_schema_is_refused() -> None:
    with pytest.raises(ProgramError, match="unknown key 'menu'"):
        program_from_record({**PROGRAM.as_record(), "popi_prompt_program": 1})


def test_nobodys_text_gets_into_a_program_by_its_menu() -> None:
    said = "the blue kettle whistles at seven every morning"
    guard = Guard("synthetic", Runs([said]), Runs([said]), Runs([said]), 1)
    copying = Candidate(menu=replace(MENU, summaries=(BRIEF, said)))
    assert guard.screened(copying).menu is None
    assert guard.screened(CHOOSING) == CHOOSING
    with pytest.raises(PrivacyError, match="summary 2 of the menu"):
        guard.prove(copying)


def test_a_menu_does_not_outlive_the_prompt_its_priors_are_of() -> None:
    said = "the blue kettle whistles at seven every morning"
    guard = Guard("real", Runs(), Runs([said]), Runs(), 1)
    shown = replace(CHOOSING, demonstrations=(Demonstration(said, BRIEF),))
    assert guard.screened(shown) == UNTUNED_CANDIDATE
