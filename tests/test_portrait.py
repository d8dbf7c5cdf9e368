"""Portraits: statements told to those whose choices speak for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from learnable_tastes import LEARNERS, searched
from menus import refused_menu, through_dspy_state
from toy_tastes import EXPERT, PLAIN, person

from popi_prompt.bank import BANK
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.cli.main import cli
from popi_prompt.comparison import Scoring
from popi_prompt.dataset import load_users
from popi_prompt.errors import PrivacyError, ProgramError, UsageError
from popi_prompt.events import Event, Noted, ignore
from popi_prompt.evidence import acts, evidence
from popi_prompt.guard import Guard
from popi_prompt.inference import (
    SUMMARY_SAMPLING,
    compile_module,
    summarizer,
)
from popi_prompt.inferring import infer_all
from popi_prompt.models.dspy_engine import door_lm
from popi_prompt.ngrams import Runs
from popi_prompt.portrait import Line, Portrait, levels
from popi_prompt.program import Origin, Program, load, program_from_record
from popi_prompt.prompts import TELLING, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Persona,
    Preference,
    Rating,
    Signal,
    Turn,
    User,
)
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.search import search
from popi_prompt.settings import Settings
from popi_prompt.split import split_users
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door

LINES = (
    Line("level", PLAIN, usual=0.0, slope=1.0, base=0.0),
    Line("level", EXPERT, usual=0.0, slope=1.0, base=0.0),
    Line("mood", "be glad", usual=2.0, slope=0.5, base=0.5),
    Line("mood", "be sad", usual=-2.0, slope=0.5, base=-0.5),
)
PORTRAIT = Portrait("fake/inference", LINES, 2)
CANDIDATE = Candidate(conditioning=TELLING, menu=PORTRAIT)
PROGRAM = Program(
    CANDIDATE,
    {"generator": "fake/g", "inference": "fake/inference", "proposer": "fake/p"},
    Origin("likelihood", 0, "sha256:0", 3, 0),
)
finite = st.floats(-1e6, 1e6)


def named(model: Any, name: str = "fake/inference") -> Any:
    door = fake_door({"inference": model})
    door.names["inference"] = name
    return door


def talk(*turns: str) -> Dialogue:
    """The person's turn first, then the assistant's, and so on."""
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    return Dialogue(tuple(Turn(roles[i % 2], text) for i, text in enumerate(turns)))


def test_what_promises_most_is_told_one_of_a_dimension_in_the_portraits_order() -> None:
    assert PORTRAIT.compose([0, 3, 4, 0]) == f"{EXPERT} be glad"
    assert PORTRAIT.compose([9, 3, 0, 9]) == f"{PLAIN} be sad"
    assert replace(PORTRAIT, most=1).compose([0, 3, 4, 0]) == EXPERT
    assert replace(PORTRAIT, most=9).compose([0, 3, 4, 0]) == f"{EXPERT} be glad"


def test_what_promises_a_loss_is_not_told_unless_everything_does() -> None:
    assert PORTRAIT.compose([2, 0, 1, 0]) == PLAIN
    losing = tuple(replace(line, base=-9.0) for line in LINES)
    assert replace(PORTRAIT, lines=losing).compose([2, 0, 2, 0]) == PLAIN


def test_dimensions_of_which_next_to_nobody_is_told_anything_are_not_weighed() -> None:
    alike = [[4.0, -4.0, 0.0, 0.0], [-4.0, 4.0, 0.0, 0.0], [4.0, -4.0, 12.0, -12.0]]
    one = replace(PORTRAIT, most=1)
    people = [*alike[:2]] * 10
    assert one.without_the_rare(people, 0.5) == replace(one, lines=LINES[:2])
    assert one.without_the_rare([*people, alike[2]], 0.0) == one
    assert one.without_the_rare([*people, alike[2]], 0.05) == replace(one, lines=LINES[:2])
    assert one.without_the_rare(people, 1.0) == one, "something has to be told"
    assert one.without_the_rare([], 0.05) == one


@given(st.lists(finite, min_size=4, max_size=4), finite)
def test_what_all_statements_share_is_no_evidence(found: list[float], shared: float) -> None:
    dimensions = [line.dimension for line in LINES]
    more = [each + shared for each in found]
    assert levels(dimensions, more) == pytest.approx(levels(dimensions, found), abs=1e-6)
    assert sum(levels(dimensions, found)[:2]) == pytest.approx(0, abs=1e-6)


def test_a_statement_without_an_opposite_has_no_level() -> None:
    assert levels(["a", "b", "b"], [5, 1, 2]) == [0.0, -1, 1]


@pytest.mark.parametrize(
    ("signal", "chosen", "rejected"),
    [
        (Preference("p", "a", "b"), "a", "b"),
        (Edit("b", "a"), "a", "b"),
        (Interaction("p", "a", "liked"), "a", None),
        (Interaction("p", "b", "disliked"), None, "b"),
        (Rating("a", 4, (1, 5)), "a", None),
        (Rating("b", 1, (1, 5)), None, "b"),
        (
            Dialogue(
                (
                    Turn("user", "p"),
                    Turn("assistant", "b"),
                    Turn("user", "no"),
                    Turn("assistant", "a"),
                )
            ),
            "a",
            "b",
        ),
    ],
)
def test_what_people_do_is_evidence(
    signal: Signal, chosen: str | None, rejected: str | None
) -> None:
    (act,) = acts([signal])
    assert (act.chosen, act.rejected) == (chosen, rejected)


@pytest.mark.parametrize(
    "signal",
    [
        Persona("I am a nurse."),
        Interaction("p", "a"),
        Rating("a", 3, (1, 5)),
        Dialogue((Turn("user", "p"), Turn("assistant", "a"))),
        Dialogue(
            (Turn("user", "p"), Turn("assistant", "a"), Turn("user", "q"), Turn("assistant", "a"))
        ),
    ],
)
def test_what_takes_no_side_is_none(signal: Signal) -> None:
    assert acts([signal]) == ()


def test_the_latest_acts_count() -> None:
    signals = [Interaction("p", f"answer {i}", "liked") for i in range(30)]
    found = acts([*signals, Persona("I am a nurse.")])
    assert [act.chosen for act in found] == [f"answer {i}" for i in range(18, 30)]


def test_evidence_is_for_what_was_chosen_and_against_what_was_not() -> None:
    def by_words(messages: Messages, responses: Sequence[str]) -> list[float]:
        told = set(messages[-1].content.strip("()").split())
        return [float(len(told & set(text.split()))) for text in responses]

    liked = Interaction("p", "warm words", "liked")
    assert evidence(["be warm", "be dry"], [liked], by_words) == (1, 0)
    disliked = Rating("warm words", 1, (1, 5))
    assert evidence(["be warm", "be dry"], [disliked], by_words) == (-1, 0)
    both: list[Signal] = [liked, Preference("p", "dry wit", "warm words")]
    assert evidence(["be warm", "be dry"], both, by_words) == (0, 1)
    assert evidence(["be warm"], [Persona("warm")], by_words) is None
    assert evidence(["be warm"], both, lambda messages, responses: None) is None


def test_opposite_choices_ask_the_same() -> None:
    asked: list[Any] = []

    def note(messages: Messages, responses: Sequence[str]) -> list[float]:
        asked.append((messages, tuple(responses)))
        return [0.0 for _ in responses]

    evidence(["be warm"], [Preference("p", "a", "b")], note)
    evidence(["be warm"], [Preference("p", "b", "a")], note)
    assert sorted(asked[:2]) == sorted(asked[2:])


def test_a_model_weighs_choices_and_writes_nothing() -> None:
    model = FakeModel()
    summarize = summarizer(CANDIDATE, named(model))
    assert summarize(person(0)).startswith(EXPERT)
    assert summarize(person(1)).startswith(PLAIN)
    assert {kind for kind, _ in model.calls} == {"logprobs"}


def test_somebody_who_chose_nothing_and_another_model_get_a_written_summary() -> None:
    assert (
        summarizer(CANDIDATE, named(FakeModel()))(User("u", (Persona("a nurse"),))) == "Be brief."
    )
    assert summarizer(CANDIDATE, named(FakeModel(), "fake/other"))(person(0)) == "Be brief."
    assert summarizer(CANDIDATE, named(FakeChatModel()))(person(0)) == "Be brief."


def test_whose_summaries_are_written_is_told() -> None:
    told: list[Event] = []
    silent = User("u", (Persona("a nurse"),))
    infer_all(PROGRAM.through(named(FakeModel())), [person(0), silent], told.append)
    assert told[0] == Noted(
        "1 of 2 users chose nothing that the program could go by ('u'): 'fake/inference' writes "
        "their summaries"
    )


def test_the_module_takes_json_signals_and_writes_of_text() -> None:
    lm = door_lm(named(FakeModel()), "inference", SUMMARY_SAMPLING)
    module = compile_module(CANDIDATE)
    module.set_lm(lm)
    raw = {"kind": "preference", "prompt": "p", "chosen": PLAIN, "rejected": EXPERT}
    assert module(signals=[raw]).summary.startswith(PLAIN)
    assert module(signals="Liked: plain words").summary == "Be brief."


def test_a_dspy_state_carries_it(tmp_path: Path) -> None:
    assert through_dspy_state(CANDIDATE, tmp_path).menu == PORTRAIT


def test_a_program_keeps_it_and_show_prints_it(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    PROGRAM.save(path)
    assert load(path).candidate == CANDIDATE
    shown = CliRunner().invoke(cli, ["show", str(path)]).output
    assert "at most 2" in shown
    assert f"{PLAIN} (level, +1.000 a nat)" in shown


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"lines": []}, "0 lines"),
        ({"most": 0}, "of which 0 may be told"),
        ({"lines": [{"text": "x"}]}, "no 'dimension'"),
        ({"lines": "be warm"}, "'lines' of the wrong type"),
        ({"lines": [{**asdict(LINES[0]), "slope": "1"}]}, "'menu' lines[0] has a 'slope'"),
    ],
)
def test_a_damaged_one_is_one_clear_line(damage: dict[str, Any], says: str) -> None:
    assert says in refused_menu(PROGRAM, damage)


def test_an_older_schema_knows_none() -> None:
    with pytest.raises(ProgramError):
        program_from_record({**PROGRAM.as_record(), "popi_prompt_program": 2})


def test_the_guard_reads_every_statement() -> None:
    guard = Guard("synthetic", written=Runs([PLAIN]), summarized=Runs([PLAIN]))
    with pytest.raises(PrivacyError):
        guard.prove(CANDIDATE)
    assert guard.screened(CANDIDATE).menu is None


def test_a_model_without_log_probabilities_makes_no_portraits() -> None:
    door = fake_door({"inference": FakeChatModel()})
    with pytest.raises(UsageError, match="gives no log-probabilities"):
        searched("portrait", door)


def test_a_search_keeps_no_dimension_of_which_nobody_is_told_anything() -> None:
    split = split_users([_manners(person(i), i) for i in range(24)], seed=0)
    door = fake_door({})
    scoring = Scoring(door, LikelihoodScorer(), PopiReward())
    found = search(split, scoring, Settings(optimizer="portrait", trials=4), ignore).found
    assert isinstance(found.menu, Portrait)
    dimensions = {line.dimension for line in found.menu.lines}
    assert "formality" not in dimensions
    summaries = [summarizer(found, door)(user) for user in split.train]
    told = {line.dimension for line in found.menu.lines for each in summaries if line.text in each}
    assert told == dimensions
    assert found.menu.most <= len(told)


def _manners(user: User, i: int) -> User:
    """People who are seen to differ in formality, and whom it costs to be told anything of it."""
    formal, casual = "formal polished professional", "casual relaxed friends"
    (choice,), (pair,) = user.signals, user.pairs
    assert isinstance(choice, Preference)
    liked, not_liked = (formal, casual) if i % 4 < 2 else (casual, formal)
    choice = replace(
        choice,
        chosen=f"{choice.chosen} {liked}",
        rejected=f"{choice.rejected} {not_liked}",
    )
    pair = replace(pair, rejected=f"{pair.rejected} {formal} {casual}")
    return replace(user, signals=(choice,), pairs=(pair,))


def test_where_nobody_chose_anything_the_untuned_program_is_found() -> None:
    silent = [replace(user, signals=(Persona("I am a nurse."),)) for user in LEARNERS]
    split = split_users(silent, seed=0)
    scoring = Scoring(fake_door({}), LikelihoodScorer(), PopiReward())
    found = search(split, scoring, Settings(optimizer="portrait", trials=3), ignore)
    assert found.found == UNTUNED_CANDIDATE


@pytest.mark.parametrize("name", ["portrait", "reviews"])
def test_of_a_dimension_the_shipped_ones_weigh_every_statement(name: str) -> None:
    portrait = load(name).candidate.menu
    assert isinstance(portrait, Portrait)
    dimensions = {line.dimension for line in portrait.lines}
    assert sorted(line.text for line in portrait.lines) == sorted(
        each.text for each in BANK if each.dimension in dimensions
    )


@pytest.mark.slow
def test_the_shipped_one_tells_tastes_apart_with_the_real_model() -> None:
    program = load("portrait")
    assert program.candidate.menu is not None
    told = program.candidate.menu.summaries
    users = load_users(Path(__file__).parent.parent / "datasets" / "tastes.jsonl")
    plain = next(user for user in users if user.group == "plain")
    expert = next(user for user in users if user.group == "expert")
    assert program.infer_user(plain) != program.infer_user(expert)
    assert {program.infer_user(plain), program.infer_user(expert)} <= set(told)
