"""Quotations: summaries that show what a person chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from kept_calls import Kept
from learnable_tastes import SPLIT, searched
from menus import refused_menu, through_dspy_state
from toy_tastes import person

from popi_prompt.candidate import Candidate
from popi_prompt.cli.main import cli
from popi_prompt.comparison import Scoring, compare
from popi_prompt.dataset import write_users
from popi_prompt.errors import (
    BadResponse,
    ContextTooLong,
    ModelError,
    PrivacyError,
    ProgramError,
)
from popi_prompt.events import Event, Noted, TrialFinished
from popi_prompt.guard import Guard
from popi_prompt.inference import SUMMARY_SAMPLING, compile_module, summarizer
from popi_prompt.inferring import infer_all
from popi_prompt.models.dspy_engine import door_lm
from popi_prompt.ngrams import Runs
from popi_prompt.optimizers.effort import Auto
from popi_prompt.program import Origin, Program, load, program_from_record
from popi_prompt.prompts import TELLING, UNTUNED_INSTRUCTION, Messages
from popi_prompt.quotation import Quotation
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import COMPILED, SHUFFLED
from popi_prompt.schema import Edit, Interaction, Persona, Preference, Rating, User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.split import Split
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door

QUOTATION = Quotation(2, 40)
PICKING = replace(QUOTATION, model="fake/inference")
CANDIDATE = Candidate(conditioning=TELLING, menu=QUOTATION)
PROGRAM = Program(
    CANDIDATE,
    {"generator": "fake/g", "inference": "fake/inference", "proposer": "fake/p"},
    Origin("likelihood", 0, "sha256:0", 3, 0),
)


def of_one(text: str, characters: int) -> str:
    """The passage of a text, without the words around it."""
    told = Quotation(1, characters, "Like:").compose([Rating(text, 5, (1, 5))])
    assert told is not None
    return told.removeprefix('Like: "').removesuffix('"')


def test_the_latest_chosen_texts_are_quoted_one_passage_each() -> None:
    signals = (
        Preference("p", "The oldest.", "worse"),
        Persona("I am a nurse."),
        Edit("a draft", "What I wrote."),
        Interaction("p", "disliked text", "disliked"),
        Rating("The newest. And more of it than there is room for.", 5, (1, 5)),
    )
    assert QUOTATION.compose(signals) == 'Write like this: "The newest." "What I wrote."'
    many = Quotation(9, 400, "As in").compose(signals)
    assert many is not None
    assert many.startswith('As in "The newest. And more of it')
    assert many.endswith('"What I wrote." "The oldest."')
    assert QUOTATION.compose([Persona("I am a nurse.")]) is None


def test_a_text_that_was_chosen_twice_is_quoted_once() -> None:
    twice = (Interaction("p", "So it is.", "liked"), Rating("So it is.", 5, (1, 5)))
    assert QUOTATION.compose(twice) == 'Write like this: "So it is."'
    greeted = [Rating(f"Sure, here it is at last! {'word ' * 9}{i}", 5, (1, 5)) for i in range(3)]
    assert Quotation(3, 40).compose(greeted) == 'Write like this: "Sure, here it is at last!"'


def test_what_was_chosen_long_ago_is_quoted_where_nothing_was_since() -> None:
    disliked = [Interaction("p", f"bad answer {i}", "disliked") for i in range(30)]
    told = QUOTATION.compose([Interaction("p", "So it is.", "liked"), *disliked])
    assert told == 'Write like this: "So it is."'


def test_what_holds_no_word_is_not_quoted() -> None:
    assert QUOTATION.compose([Rating("\x01", 5, (1, 5)), Rating("?!", 5, (1, 5))]) is None


@pytest.mark.parametrize(
    ("text", "characters", "passage"),
    [
        ("One. Two! Three? Four.", 17, "One. Two! Three?"),
        ("It costs 3.5 pounds. Dear.", 21, "It costs 3.5 pounds."),
        ("A first sentence that does not end.", 16, "A first sentence..."),
        ("Unbreakable", 4, "Unbr..."),
        ('She\nsaid  "no".', 40, "She said 'no'."),
        ('He said "Stop." Then he ran away.', 20, "He said 'Stop.'"),
        ("1. Take the lid off the pot.", 20, "1. Take the lid off..."),
        ("Dr. Who was in the house again.", 20, "Dr. Who was in the..."),
        ("AI " + "\u4eca" * 30, 20, "AI " + "\u4eca" * 17 + "..."),
        ("\u300c\u4eca\u65e5\u3002\u300d\u660e\u65e5\u3002", 6, "\u300c\u4eca\u65e5\u3002\u300d"),
        ("\u4eca\u65e5\u3002\u660e\u65e5\u3002", 3, "\u4eca\u65e5\u3002"),
        ("no full stop", 40, "no full stop"),
    ],
)
def test_a_passage_is_whole_sentences_as_far_as_they_fit(
    text: str, characters: int, passage: str
) -> None:
    assert of_one(text, characters) == passage


@given(st.text(min_size=1), st.integers(1, 50))
def test_no_passage_is_longer_than_it_may_be(text: str, characters: int) -> None:
    told = Quotation(1, characters, "Like:").compose([Rating(text, 5, (1, 5))])
    if told is not None:
        passage = told.removeprefix('Like: "').removesuffix('"')
        assert 0 < len(passage) <= characters + len("...")
        assert '"' not in passage


def by_warmth(messages: Messages, responses: Sequence[str]) -> list[float]:
    """Warm words are expected in answer to a warm prompt, and where nobody knows what was asked."""
    asked = "warm" in messages[0].content or messages[0].content == "(Write.)"
    a_word = {text: 0.1 if asked and "warm" in text else 1.0 for text in responses}
    return [-a_word[text] * len(text.split()) for text in responses]


def test_a_model_picks_what_it_expects_least_in_answer_to_the_prompt() -> None:
    signals = (
        Preference("a warm prompt", "warm and dull words here", "no"),
        Interaction("a cold prompt", "warm and rare words", "liked"),
        Rating("warm words that nobody asked for", 5, (1, 5)),
        Edit("a draft", "dry wit"),
    )
    picking = Quotation(2, 90, model="fake/inference")
    assert picking.compose(signals, by_warmth) == (
        'Write like this: "dry wit" "warm and rare words"'
    )
    latest = 'Write like this: "dry wit" "warm words that nobody asked for"'
    assert picking.compose(signals) == latest
    assert picking.compose(signals, lambda messages, responses: None) == latest
    assert Quotation(2, 90).compose(signals, by_warmth) == latest


def test_who_chose_no_more_than_is_quoted_needs_no_model() -> None:
    def never(messages: Messages, responses: Sequence[str]) -> None:
        raise AssertionError

    signals = (Edit("a draft", "dry wit"), Rating("warm words", 5, (1, 5)))
    told = Quotation(2, 90, model="fake/inference").compose(signals, never)
    assert told == 'Write like this: "warm words" "dry wit"'


def test_another_model_than_the_one_that_picks_quotes_the_latest_and_that_is_told() -> None:
    signals = tuple(
        Rating(text, 5, (1, 5)) for text in ("a much longer text", "some words", "two words")
    )
    picking = replace(CANDIDATE, menu=PICKING)

    def inferred(name: str) -> tuple[str, list[str]]:
        told: list[Event] = []
        door = fake_door({"inference": FakeModel()})
        door.names["inference"] = name
        program = replace(PROGRAM, candidate=picking).through(door)
        ((summary,), _) = infer_all(program, [User("u", signals)], told.append)
        return summary.text, [event.text for event in told if isinstance(event, Noted)]

    assert inferred("fake/inference") == ('Write like this: "two words" "a much longer text"', [])
    assert inferred("fake/other") == (
        'Write like this: "two words" "some words"',
        [
            "the program picks passages by log-probabilities of 'fake/inference', which "
            "'fake/other' does not give: the latest texts are quoted"
        ],
    )


def test_a_route_without_log_probabilities_quotes_the_latest_and_that_is_told() -> None:
    signals = tuple(Rating(text, 5, (1, 5)) for text in ("a longer text", "a word", "two words"))
    program = replace(PROGRAM, candidate=replace(CANDIDATE, menu=PICKING))
    told: list[Event] = []
    door = fake_door({"inference": FakeChatModel()})
    door.names["inference"] = "fake/inference"
    ((summary,), _) = infer_all(program.through(door), [User("u", signals)], told.append)
    assert summary.text == 'Write like this: "two words" "a word"'
    assert "'fake/inference' does not give" in str(told[0])


@pytest.mark.parametrize("error", [BadResponse("no"), ContextTooLong("too long")])
def test_a_passage_that_the_model_does_not_take_is_no_reason_to_fail(error: ModelError) -> None:
    def fails(messages: Messages) -> ModelError | None:
        return error if "a cold prompt" in messages[0].content else None

    signals = (
        Interaction("a warm prompt", "a much longer text", "liked"),
        Interaction("a cold prompt", "some words", "liked"),
        Interaction("a warm prompt", "two words", "liked"),
    )
    door = fake_door({"inference": FakeModel(fails=fails)})
    door.names["inference"] = "fake/inference"
    summarize = summarizer(replace(CANDIDATE, menu=PICKING), door)
    assert summarize(User("u", signals)) == 'Write like this: "two words" "some words"'


def test_to_pick_is_asked_about_the_latest_few_as_data_in_their_name() -> None:
    kept = Kept()
    door = fake_door({}, trace=kept)
    door.names["inference"] = "fake/inference"
    signals = [Interaction("<|im_end|> ask", f"answer {i}", "liked") for i in range(30)]
    summarizer(replace(CANDIDATE, menu=PICKING), door)(User("u", tuple(signals)))
    assert 2 < len(kept.calls) < 30
    assert {call.user_id for call in kept.calls} == {"u"}
    assert all("<|im_end|>" not in str(call.messages) for call in kept.calls)


def test_no_model_is_asked_where_the_latest_are_quoted() -> None:
    model = FakeModel()
    summarize = summarizer(CANDIDATE, fake_door({"inference": model}))
    assert summarize(person(0)).startswith('Write like this: "')
    assert not model.calls
    summarize = summarizer(CANDIDATE, fake_door({"inference": FakeChatModel()}))
    assert summarize(person(0)).startswith('Write like this: "')


def test_somebody_who_chose_nothing_gets_a_written_summary() -> None:
    summarize = summarizer(CANDIDATE, fake_door({"inference": FakeModel()}))
    assert summarize(User("u", (Persona("a nurse"),))) == "Be brief."


def test_whose_summaries_are_written_is_told() -> None:
    silent = [User(f"u{i}", (Interaction("p", "no", "disliked"),)) for i in range(4)]
    told: list[Event] = []
    program = PROGRAM.through(fake_door({"inference": FakeModel()}))
    infer_all(program, [person(0), *silent], told.append)
    assert told[0] == Noted(
        "4 of 5 users chose nothing that the program could go by ('u0', 'u1', 'u2', ...): "
        "'fake/inference' writes their summaries"
    )
    told.clear()
    infer_all(program, [person(0)], told.append)
    assert not [event for event in told if isinstance(event, Noted)]


def test_the_module_quotes_json_signals_and_writes_of_text() -> None:
    module = compile_module(CANDIDATE)
    raw = {"kind": "preference", "prompt": "p", "chosen": "So be it.", "rejected": "no"}
    assert module(signals=[raw]).summary == 'Write like this: "So be it."'
    module.set_lm(door_lm(fake_door({"inference": FakeModel()}), "inference", SUMMARY_SAMPLING))
    assert module(signals="Liked: So be it.").summary == "Be brief."


@pytest.mark.parametrize("menu", [QUOTATION, PICKING])
def test_a_dspy_state_carries_it(tmp_path: Path, menu: Quotation) -> None:
    assert through_dspy_state(replace(CANDIDATE, menu=menu), tmp_path).menu == menu


def test_a_program_keeps_it_and_show_prints_it(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    PROGRAM.save(path)
    assert load(path).candidate == CANDIDATE
    shown = CliRunner().invoke(cli, ["show", str(path)]).output
    assert "quotation of 2 passages" in shown
    assert "Write like this: ... (at most 40 characters each)" in shown
    picking = replace(CANDIDATE, menu=PICKING)
    replace(PROGRAM, candidate=picking).save(path)
    assert load(path).candidate == picking
    shown = CliRunner().invoke(cli, ["show", str(path)]).output
    assert "of what was chosen, those that fake/inference expects least, latest first" in shown


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"passages": 0}, "quotes 0 passages of 40 characters"),
        ({"passages": True}, "'passages' of the wrong type"),
        ({"characters": -1}, "of -1 characters"),
        ({"characters": "40"}, "'characters' of the wrong type"),
        ({"wording": " "}, "a summary that is no text"),
        ({"model": 3}, "'model' of the wrong type"),
        ({"lines": []}, "unknown key 'lines'"),
    ],
)
def test_a_damaged_one_is_one_clear_line(damage: dict[str, Any], says: str) -> None:
    assert says in refused_menu(PROGRAM, damage)


def test_an_older_schema_knows_none() -> None:
    with pytest.raises(ProgramError, match="has passages, which schema 3 does not know"):
        program_from_record({**PROGRAM.as_record(), "popi_prompt_program": 3})


def test_the_guard_reads_its_wording() -> None:
    wording = "Write as she does when she is tired and wants to go home:"
    guard = Guard("synthetic", written=Runs([wording]))
    with pytest.raises(PrivacyError):
        guard.prove(Candidate(menu=Quotation(1, 9, wording)))


def test_the_search_has_a_model_write_the_untuned_summaries_alone_and_read_the_rest() -> None:
    inference = FakeModel()
    tried: list[Event] = []
    liking = tuple(
        replace(
            user,
            signals=(*user.signals, *(Rating(f"text {'so ' * i}", 5, (1, 5)) for i in range(4))),
        )
        for user in SPLIT.val
    )
    found = searched(
        "quotation",
        fake_door({"inference": inference}),
        split=replace(SPLIT, val=liking),
        observer=tried.append,
    )
    assert isinstance(found.found.menu, Quotation)
    wrote = [messages[0].content for kind, messages in inference.calls if kind == "chat"]
    assert wrote == [UNTUNED_INSTRUCTION] * len((*SPLIT.val, *SPLIT.train))
    assert {kind for kind, _ in inference.calls} == {"chat", "logprobs"}
    kinds = [
        tuple(event.params.get(key) for key in ("passages", "characters", "least_expected"))
        for event in tried
        if isinstance(event, TrialFinished)
    ]
    assert kinds[1:] == [(3, 120, 1), (3, 120, 0), (4, 90, 1), (2, 120, 1)]


def test_the_search_without_log_probabilities_tries_the_latest_texts_alone() -> None:
    tried: list[Event] = []
    door = fake_door({"generator": FakeModel(), "inference": FakeChatModel()})
    found = searched("quotation", door, observer=tried.append)
    assert isinstance(found.found.menu, Quotation)
    assert found.found.menu.model is None
    described = [event.what for event in tried if isinstance(event, TrialFinished)]
    assert described == [
        "untuned",
        "quotation: the 3 latest passages of 120 characters",
        "quotation: the 4 latest passages of 90 characters",
        "quotation: the 2 latest passages of 120 characters",
    ]


def test_copies_of_the_pairs_are_told() -> None:
    copying = tuple(
        replace(user, signals=(Preference("q", user.pairs[0].chosen, user.pairs[0].rejected),))
        for user in SPLIT.val
    )
    told: list[Event] = []
    split = replace(SPLIT, val=copying)
    searched("quotation", fake_door({}), split=split, observer=told.append)
    noted = [event.text for event in told if isinstance(event, Noted)]
    assert any("were seen in the signals of their own user" in text for text in noted)


def test_who_lends_a_summary_to_another_is_named() -> None:
    kept = Kept()
    scoring = Scoring(fake_door({}, trace=kept), LikelihoodScorer(), PopiReward())
    compare(CANDIDATE, [person(0), person(1)], scoring, (COMPILED, SHUFFLED))
    lent = [call for call in kept.calls if call.candidate == SHUFFLED]
    assert lent
    assert all({call.user_id, *call.quoted} == {"u00", "u01"} for call in lent)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["--user-file", "--summaries"])
def test_an_answer_for_somebody_is_of_theirs(tmp_path: Path, by: str) -> None:
    PROGRAM.save(tmp_path / "p.json")
    file, trace = tmp_path / "known.jsonl", tmp_path / "t.jsonl"
    if by == "--user-file":
        write_users(file, [person(0)])
    else:
        file.write_text(json.dumps({"user_id": "u00", "summary": "Be brief."}))
    arguments = ["respond", str(tmp_path / "p.json"), "What is rain?", by, str(file)]
    arguments += ["--trace", str(trace), "--model", "local/smollm2-135m"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    calls = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [call["user_id"] for call in calls if "role" in call] == ["u00"]


@pytest.mark.parametrize("name", ["explain", "forum", "roleplay"])
def test_the_shipped_ones_quote_whoever_infers(name: str) -> None:
    program = load(name).through(fake_door({"inference": FakeChatModel()}))
    assert program.infer_user(person(0)).startswith('Write like this: "')


@pytest.mark.parametrize(("auto", "choosing"), [("light", 12), ("medium", 32), ("heavy", 128)])
def test_training_users_choose_where_validation_users_are_too_few(
    auto: Auto, choosing: int
) -> None:
    split = Split(
        train=tuple(person(i) for i in range(2, 402, 2)),
        val=tuple(person(i) for i in range(1, 21, 2)),
        test=(),
    )
    kept = Kept()
    searched("quotation", fake_door({}, trace=kept), split=split, auto=auto)
    asked = {call.user_id for call in kept.calls if call.role == "generator"}
    assert len(asked) == choosing
    assert asked > {user.user_id for user in split.val}
