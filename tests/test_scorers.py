"""What each scorer is, and how one is found; what all of them hold is in test_scorer_contract."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scorer_scene import (
    ADA,
    EXPERT,
    FITTING,
    OTHER,
    PAIR,
    PLAIN,
    SYSTEM,
    UNFITTING,
    Scene,
    by_words,
)

from popi_prompt.errors import BadResponse, BudgetExceeded, ScorerError, UsageError
from popi_prompt.generator import Generator
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.prompts import Messages
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import (
    ChoiceScorer,
    FunctionScorer,
    JudgeScorer,
    LikelihoodScorer,
    ScoringFunction,
    SimilarityScorer,
    load_function,
    make_scorer,
)
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door


def answering(odds: tuple[float, ...], told: str = "told", bare: str = "bare") -> Generator:
    """A judge with these odds whatever it reads; the generator writes `told` with a summary."""
    judge = FakeModel()
    judge.option_odds = lambda messages, options: odds  # type: ignore[method-assign]
    writer = FakeModel(lambda messages, sampling: told if len(messages) > 1 else bare)
    return Generator(fake_door({"generator": writer, "judge": judge}), SYSTEM)


def test_the_likelihood_margin_is_the_definition() -> None:
    door = fake_door()
    bare = SYSTEM.messages(PAIR.prompt, None)
    told = SYSTEM.messages(PAIR.prompt, FITTING)
    assert len(told) == len(bare) + 1
    chosen, rejected = door.logprobs("generator", bare, (PLAIN, EXPERT))
    chosen_told, rejected_told = door.logprobs("generator", told, (PLAIN, EXPERT))
    by_hand = (chosen_told - rejected_told) - (chosen - rejected)
    score = LikelihoodScorer().score(Generator(door, SYSTEM), ADA, PAIR, FITTING)
    assert score.margin == pytest.approx(by_hand, abs=1e-12)
    # small, drops and water become 0.9 likelier each; nothing of the rejected answer does
    assert score.margin == pytest.approx(2.7, abs=1e-9)
    assert score.prefers == float(chosen_told > rejected_told)


def test_who_chooses_the_other_answer_costs_no_call_more() -> None:
    model = FakeModel()
    generator = Generator(fake_door({"generator": model}), SYSTEM)
    other = Pair(PAIR.prompt, chosen=PAIR.rejected, rejected=PAIR.chosen)
    margins = [LikelihoodScorer().score(generator, ADA, p, FITTING).margin for p in (PAIR, other)]
    assert margins[0] == -margins[1] != 0
    assert len(model.calls) == 2


def test_a_likelihood_tie_prefers_neither() -> None:
    pair = Pair("What is rain?", "one two", "three four")
    assert Scene().score(LikelihoodScorer(), None, pair).prefers == 0.5


def test_choice_margin_is_the_shift_of_the_log_odds_within_its_edges() -> None:
    by = Scene().generator()
    bare, told = (sum(by.choice(PAIR, summary)) / 2 for summary in (None, FITTING))
    expected = math.log(told / (1 - told)) - math.log(bare / (1 - bare))
    score = ChoiceScorer().score(by, ADA, PAIR, FITTING)
    assert score.margin == pytest.approx(expected)
    assert score.prefers == pytest.approx(told)


def test_choice_margin_is_finite_for_a_model_that_is_certain() -> None:
    def certain(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        text = messages[0].content
        chosen_first = f"Answer A: {PLAIN}" in text
        return (1.0, 0.0) if chosen_first == (not text.startswith("Request:")) else (0.0, 1.0)

    scene = Scene()
    generator = scene.generator()
    scene.models["generator"].option_odds = certain  # type: ignore[method-assign]
    score = ChoiceScorer().score(generator, ADA, PAIR, FITTING)
    assert score.prefers == 1
    assert score.margin == pytest.approx(2 * math.log(99))


def test_choice_shows_the_summary_and_both_orders() -> None:
    scene = Scene()
    scene.score(ChoiceScorer(), FITTING)
    asked = [messages[0].content for _, messages in scene.models["generator"].calls]
    assert len(asked) == 4
    assert sum(FITTING in each for each in asked) == 2
    assert sum(f"Answer A: {PLAIN}" in each for each in asked) == 2


@pytest.mark.parametrize(
    ("odds", "win"),
    [((1.0, 0.0, 0.0), 0.5), ((0.0, 0.0, 1.0), 0.5), ((0.6, 0.1, 0.3), 0.5)],
)
def test_a_judge_that_does_not_read_gives_an_even_match(
    odds: tuple[float, ...], win: float
) -> None:
    score = JudgeScorer().score(answering(odds), ADA, PAIR, FITTING)
    assert score.prefers == pytest.approx(win)
    assert score.margin == pytest.approx(0)


@pytest.mark.parametrize(
    ("verdicts", "win", "margin"),
    [
        (((1, 0, 0), (0, 1, 0)), 1.0, math.log(99)),
        (((1, 0, 0), (0, 0, 1)), 0.75, math.log(3)),
        (((1, 0, 0), (1, 0, 0)), 0.5, 0.0),
        (((0, 0, 1), (0, 0, 1)), 0.5, 0.0),
        (((0, 1, 0), (0, 0, 1)), 0.25, -math.log(3)),
        (((0, 1, 0), (1, 0, 0)), 0.0, -math.log(99)),
        (((0.6, 0.2, 0.2), (0.3, 0.5, 0.2)), 0.65, math.log(0.65 / 0.35)),
    ],
)
def test_the_win_rate_counts_a_tie_half_and_averages_both_orders(
    verdicts: tuple[tuple[float, ...], ...], win: float, margin: float
) -> None:
    generator = answering((0.0, 0.0, 1.0))
    judge = generator.door.model("judge")
    judge.option_odds = lambda messages, options: verdicts[  # type: ignore[method-assign]
        "Answer A: bare" in messages[0].content
    ]
    score = JudgeScorer().score(generator, ADA, PAIR, FITTING)
    assert score.prefers == pytest.approx(win)
    assert score.margin == pytest.approx(margin)


def test_the_same_answer_twice_is_a_tie_that_nobody_is_asked_about() -> None:
    generator = answering((1.0, 0.0, 0.0), told="the same", bare="the same")
    score = JudgeScorer().score(generator, ADA, PAIR, FITTING)
    assert (score.margin, score.prefers) == (0, 0.5)
    assert "judge" not in generator.door.spent()


def test_the_answer_without_a_summary_is_asked_for_once_a_prompt() -> None:
    scene = Scene()
    generator = scene.generator()
    for summary in (FITTING, UNFITTING, "something else"):
        for user in (ADA, replace(ADA, user_id="bob")):
            JudgeScorer().score(generator, user, PAIR, summary)
    chats = [messages for what, messages in scene.models["generator"].calls if what == "chat"]
    assert chats.count(SYSTEM.messages(PAIR.prompt, None)) == 1
    assert len(chats) == 1 + 3


@pytest.mark.parametrize("gold", [None, "A poet who likes small words."])
def test_the_judge_knows_the_person_by_gold_or_by_all_of_their_pairs(gold: str | None) -> None:
    scene = Scene(user=replace(ADA, gold=gold))
    scene.score(JudgeScorer(), FITTING)
    shown = [messages[0].content for _, messages in scene.models["judge"].calls]
    assert len(shown) == 2
    for text in shown:
        assert (f"About the person: {gold}" in text) is (gold is not None)
        for pair in (PAIR, OTHER):
            assert (f"Liked: {pair.chosen}\nDisliked: {pair.rejected}" in text) is (gold is None)
        assert text.endswith("would like both the same.")
    assert ["Answer A: small drops of water fall\n" in text for text in shown] == [True, False]


def test_an_unreadable_verdict_is_no_tie() -> None:
    scene = Scene()
    generator = scene.generator()

    def unreadable(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        raise BadResponse("the answer 'Well...' does not name one of A, B, C")

    scene.models["judge"].option_odds = unreadable  # type: ignore[method-assign]
    with (
        attributed(user_id="ada"),
        pytest.raises(BadResponse, match="user 'ada', judge, model 'fake/judge': .*Well"),
    ):
        JudgeScorer().score(generator, ADA, PAIR, FITTING)


def test_the_similarity_margin_is_the_shift_of_the_gap_of_cosines() -> None:
    scene = Scene()
    generator = scene.generator()

    def cosine(one: str, other: str) -> float:
        a, b = (np.array(FakeModel().embed(text)) for text in (one, other))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    gaps = []
    for summary in (None, FITTING):
        answer = generator.respond(PAIR.prompt, summary).text
        gaps.append(cosine(answer, PLAIN) - cosine(answer, EXPERT))
    score = SimilarityScorer().score(generator, ADA, PAIR, FITTING)
    assert score.margin == pytest.approx(gaps[1] - gaps[0])
    assert score.prefers == 1
    assert SimilarityScorer().score(generator, ADA, PAIR, UNFITTING).prefers == 0


def test_an_answer_between_both_is_a_tie_of_similarity() -> None:
    generator = Generator(fake_door({"generator": FakeModel("neither of them")}), SYSTEM)
    pair = Pair("What is rain?", "one two", "three four")
    assert SimilarityScorer().score(generator, ADA, pair, None).prefers == 0.5


def test_similarity_embeds_answers_once_for_all_summaries() -> None:
    scene = Scene()
    generator = scene.generator()
    for summary in (FITTING, UNFITTING):
        SimilarityScorer().score(generator, ADA, PAIR, summary)
    assert len(scene.models["embedding"].calls) == 2 + 1 + 2
    assert generator.door.spent()["embedding"].calls == 5


def test_the_default_is_likelihood_where_the_route_allows_it_and_choice_elsewhere() -> None:
    assert isinstance(make_scorer(None, fake_door()), LikelihoodScorer)
    chat_only = fake_door({"generator": FakeChatModel()})
    assert isinstance(make_scorer(None, chat_only), ChoiceScorer)


def test_only_the_generators_route_decides() -> None:
    door = fake_door({"inference": FakeChatModel(), "proposer": FakeChatModel()})
    assert isinstance(make_scorer(None, door), LikelihoodScorer)


def test_an_unknown_scorer_is_refused_with_the_known_ones() -> None:
    known = (
        "unknown scorer 'jury'; known: likelihood, choice, judge, similarity, or module:function"
    )
    with pytest.raises(UsageError, match=known):
        make_scorer("jury", fake_door())


def test_likelihood_on_a_chat_only_route_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"'fake/generator'.*--scorer choice"):
        make_scorer("likelihood", fake_door({"generator": FakeChatModel()}))


def test_similarity_without_a_model_that_embeds_says_how_to_name_one() -> None:
    door = Door({"generator": "fake/g"}, open_model=lambda route: FakeModel())
    with pytest.raises(UsageError, match=r"--embedding-model.*local/smollm2-135m"):
        make_scorer("similarity", door)


def test_a_model_that_does_not_embed_is_a_usage_error() -> None:
    door = fake_door({"embedding": FakeChatModel()})
    with pytest.raises(UsageError, match="embedding 'fake/embedding' does not embed"):
        make_scorer("similarity", door).score(Generator(door, SYSTEM), ADA, PAIR, FITTING)


def test_a_scorer_passes_as_it_is() -> None:
    own = FunctionScorer("mine", by_words)
    assert make_scorer(own, fake_door()) is own


# Functions of one's own.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a module; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    (tmp_path / "popi_own_scorer.py").write_text(
        "NUMBER = 3\n"
        "def score(user, pair, summary, answer):\n"
        "    return 1.0 if summary else 0.25\n"
        "class Strict:\n"
        "    @staticmethod\n"
        "    def score(user, pair, summary, answer):\n"
        "        return 0.5\n"
    )
    (tmp_path / "popi_broken_scorer.py").write_text("import popi_prompt\n1 / 0\n")
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("popi_"):
            del sys.modules[name]


def test_a_function_in_the_working_directory_is_a_scorer(folder: Path) -> None:
    scorer = make_scorer("popi_own_scorer:score", fake_door())
    assert scorer.name == "popi_own_scorer:score"
    told = Scene().score(scorer, FITTING)
    assert told.prefers == 1
    assert told.margin == pytest.approx(math.log(99) + math.log(3))
    bare = Scene().score(scorer, None)
    assert (bare.margin, bare.prefers) == (0, 0.25)
    assert Scene().score(load_function("popi_own_scorer:Strict.score"), FITTING).prefers == 0.5


def test_the_working_directory_hides_no_installed_package(folder: Path) -> None:
    (folder / "json.py").write_text("def dumps(*arguments): return 1.0\n")
    load_function("popi_own_scorer:score")
    assert sys.path[0] != str(folder)
    import json.tool

    assert str(folder) not in json.tool.__file__


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("popi_no_such_module:score", "module 'popi_no_such_module' cannot be imported (Module"),
        ("popi_broken_scorer:score", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("popi_own_scorer:scores", "has no 'scores'"),
        ("popi_own_scorer:NUMBER", "'NUMBER', which is no function"),
        ("popi_own_scorer:", "is not module:function"),
        (":score", "is not module:function"),
        ("a:b:c", "is not module:function"),
        ("./popi_own_scorer.py:score", "is not module:function"),
    ],
)
def test_a_function_that_is_not_there_is_one_clear_line(folder: Path, path: str, says: str) -> None:
    with pytest.raises(UsageError) as found:
        make_scorer(path, fake_door())
    assert says in str(found.value)
    assert repr(path) in str(found.value)
    assert "\n" not in str(found.value)


def raising(error: BaseException) -> ScoringFunction:
    def function(user: User, pair: Pair, summary: str | None, answer: str) -> float:
        raise error

    return function


def giving(value: object) -> ScoringFunction:
    return lambda user, pair, summary, answer: value  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (raising(KeyError("tone")), "raised KeyError: 'tone'"),
        (raising(ValueError("two\nlines")), "raised ValueError: two lines"),
        (raising(SystemExit(3)), "raised SystemExit: 3"),
        (giving(1.5), "gave 1.5, expected a number in [0, 1]"),
        (giving(-0.01), "gave -0.01"),
        (giving(math.nan), "gave nan"),
        (giving(math.inf), "gave inf"),
        (giving(10**400), "gave 1000"),
        (giving(None), "gave None"),
        (giving("0.5"), "gave '0.5'"),
        (giving(0.5j), "gave 0.5j"),
    ],
)
def test_a_function_that_fails_is_a_failed_item(function: ScoringFunction, says: str) -> None:
    with pytest.raises(ScorerError) as found:
        Scene().score(FunctionScorer("mine:score", function), FITTING)
    assert says in str(found.value)
    assert str(found.value).startswith("user 'ada': scorer 'mine:score' ")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("value", [0, 1, True, 0.0, np.float32(0.5), np.int64(1)])
def test_any_number_between_0_and_1_is_a_score(value: float) -> None:
    scorer = FunctionScorer("mine:score", giving(value))
    assert Scene().score(scorer, FITTING).prefers == float(value)


def test_a_cap_that_is_reached_inside_a_function_ends_the_run() -> None:
    with pytest.raises(BudgetExceeded):
        Scene().score(FunctionScorer("mine:score", raising(BudgetExceeded("enough"))), FITTING)


def test_a_function_is_told_the_user_the_pair_the_summary_and_the_answer() -> None:
    heard: list[tuple[User, Pair, str | None, str]] = []

    def listen(user: User, pair: Pair, summary: str | None, answer: str) -> float:
        heard.append((user, pair, summary, answer))
        return 0.5

    Scene().score(FunctionScorer("mine:listen", listen), FITTING)
    bare = "water falls from condensed clouds"
    assert heard == [(ADA, PAIR, None, bare), (ADA, PAIR, FITTING, "small drops of water fall")]
