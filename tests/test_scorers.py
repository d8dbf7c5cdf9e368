"""What every scorer must hold, and what each one is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

from popi_prompt.errors import BadResponse, ModelError, UsageError
from popi_prompt.generator import Generator
from popi_prompt.prompts import CONDITIONINGS, Conditioning, Messages
from popi_prompt.schema import Pair
from popi_prompt.scorers import SCORERS, ChoiceScorer, LikelihoodScorer, Scorer, make_scorer
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door

PLAIN = "small drops of water fall down"
EXPERT = "condensed droplets precipitate gravitationally from the troposphere"
PAIR = Pair("What is rain?", PLAIN, EXPERT)
SUMMARY = "Use small words like water and drops."
SYSTEM = Conditioning("system")

_QUESTION = re.compile(
    r"(?P<context>.*?)Request: .*?\n\nAnswer A: (?P<A>.*?)\n\nAnswer B: (?P<B>.*?)\n\nWhich", re.S
)


def reading_odds(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
    """Odds by words shared with the context, with a liking for A and for short answers."""
    found = _QUESTION.match(messages[0].content)
    assert found is not None
    known = set(re.findall(r"\w+", found["context"].casefold()))
    logits = [0.3, 0.0]
    for i, option in enumerate(options):
        words = re.findall(r"\w+", found[option].casefold())
        logits[i] += sum(word in known for word in words) - len(words) / 10
    first = 1 / (1 + math.exp(logits[1] - logits[0]))
    return (first, 1 - first)


def generator(model: FakeModel | None = None) -> Generator:
    """A generator that understands summaries in both ways of asking."""
    if model is None:
        model = FakeModel()
        model.option_odds = reading_odds  # type: ignore[method-assign]
    return Generator(fake_door({"generator": model}), SYSTEM)


scorers = pytest.mark.parametrize("scorer", [LikelihoodScorer(), ChoiceScorer()], ids=list(SCORERS))


@scorers
def test_it_is_known_by_its_name(scorer: Scorer) -> None:
    assert SCORERS[scorer.name] is type(scorer)
    assert scorer.prefers_label


@scorers
def test_no_summary_moves_nothing(scorer: Scorer) -> None:
    assert scorer.score(generator(), PAIR, None).margin == 0


@scorers
def test_a_fitting_summary_moves_towards_the_chosen_answer(scorer: Scorer) -> None:
    assert scorer.score(generator(), PAIR, SUMMARY).margin > 0
    against = "condensed droplets precipitate gravitationally from the troposphere"
    assert scorer.score(generator(), PAIR, against).margin < 0


@scorers
@pytest.mark.parametrize("summary", [None, SUMMARY, "troposphere", "nothing of use"])
def test_prefers_is_between_zero_and_one(scorer: Scorer, summary: str | None) -> None:
    assert 0 <= scorer.score(generator(), PAIR, summary).prefers <= 1


@scorers
@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize("summary", [None, SUMMARY, "troposphere"])
def test_swapping_the_answers_turns_the_score_round(
    scorer: Scorer, summary: str | None, conditioning: Conditioning
) -> None:
    by = Generator(generator().door, conditioning)
    score = scorer.score(by, PAIR, summary)
    swapped = scorer.score(by, Pair(PAIR.prompt, PAIR.rejected, PAIR.chosen), summary)
    assert swapped.margin == pytest.approx(-score.margin, abs=1e-12)
    assert swapped.prefers == pytest.approx(1 - score.prefers, abs=1e-12)


@scorers
def test_a_failed_call_is_an_error_and_not_a_score(scorer: Scorer) -> None:
    model = FakeModel(fails=lambda messages: BadResponse("nothing usable"))
    for summary in (None, SUMMARY):
        with pytest.raises(ModelError, match="nothing usable"):
            scorer.score(generator(model), PAIR, summary)


@scorers
def test_a_failure_of_the_second_call_is_an_error_too(scorer: Scorer) -> None:
    calls = [0]

    def second(messages: Messages) -> ModelError | None:
        calls[0] += 1
        return BadResponse("nothing usable") if calls[0] == 2 else None

    with pytest.raises(ModelError):
        scorer.score(generator(FakeModel(fails=second)), PAIR, SUMMARY)


@scorers
def test_the_same_question_has_the_same_score(scorer: Scorer) -> None:
    by = generator()
    scores = {scorer.score(by, PAIR, SUMMARY), scorer.score(by, PAIR, SUMMARY)}
    assert scores == {scorer.score(generator(), PAIR, SUMMARY)}


@scorers
def test_the_score_does_not_depend_on_what_was_scored_before(scorer: Scorer) -> None:
    by = generator()
    scorer.score(by, Pair("Why is the sky blue?", "Light.", "Rayleigh."), "troposphere")
    scorer.score(by, PAIR, "troposphere")
    assert scorer.score(by, PAIR, SUMMARY) == scorer.score(generator(), PAIR, SUMMARY)


def test_the_likelihood_margin_is_the_definition() -> None:
    door = fake_door()
    bare = SYSTEM.messages(PAIR.prompt, None)
    told = SYSTEM.messages(PAIR.prompt, SUMMARY)
    assert len(told) == len(bare) + 1
    chosen, rejected = door.logprobs("generator", bare, (PLAIN, EXPERT))
    chosen_told, rejected_told = door.logprobs("generator", told, (PLAIN, EXPERT))
    by_hand = (chosen_told - rejected_told) - (chosen - rejected)
    score = LikelihoodScorer().score(Generator(door, SYSTEM), PAIR, SUMMARY)
    assert score.margin == pytest.approx(by_hand, abs=1e-12)
    # small, drops and water become 0.9 likelier each; nothing of the rejected answer does
    assert score.margin == pytest.approx(2.7, abs=1e-9)
    assert score.prefers == float(chosen_told > rejected_told)


def test_a_likelihood_tie_prefers_neither() -> None:
    pair = Pair("What is rain?", "one two", "three four")
    assert LikelihoodScorer().score(generator(), pair, None).prefers == 0.5


@pytest.mark.parametrize("certainty", [1.0, 0.9, 0.5])
def test_choice_averages_both_orders(certainty: float) -> None:
    def says_a(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        return (certainty, 1 - certainty)

    model = FakeModel()
    model.option_odds = says_a  # type: ignore[method-assign]
    for summary in (None, SUMMARY):
        score = ChoiceScorer().score(generator(model), PAIR, summary)
        assert score.prefers == pytest.approx(0.5)
        assert score.margin == pytest.approx(0)


def test_choice_margin_is_the_shift_of_the_log_odds_within_its_edges() -> None:
    by = generator()
    bare, told = (sum(by.choice(PAIR, summary)) / 2 for summary in (None, SUMMARY))
    expected = math.log(told / (1 - told)) - math.log(bare / (1 - bare))
    score = ChoiceScorer().score(by, PAIR, SUMMARY)
    assert score.margin == pytest.approx(expected)
    assert score.prefers == pytest.approx(told)


def test_choice_margin_is_finite_for_a_model_that_is_certain() -> None:
    def certain(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        found = _QUESTION.match(messages[0].content)
        assert found is not None
        return (1.0, 0.0) if (found["A"] == PLAIN) == bool(found["context"]) else (0.0, 1.0)

    model = FakeModel()
    model.option_odds = certain  # type: ignore[method-assign]
    score = ChoiceScorer().score(generator(model), PAIR, SUMMARY)
    assert score.prefers == 1
    assert score.margin == pytest.approx(2 * math.log(99))


def test_choice_shows_the_summary_and_both_orders() -> None:
    model = FakeModel()
    ChoiceScorer().score(generator(model), PAIR, SUMMARY)
    asked = [messages[0].content for what, messages in model.calls]
    assert len(asked) == 4
    assert sum(SUMMARY in each for each in asked) == 2
    assert sum(f"Answer A: {PLAIN}" in each for each in asked) == 2


def test_the_default_is_likelihood_where_the_route_allows_it_and_choice_elsewhere() -> None:
    assert isinstance(make_scorer(None, fake_door()), LikelihoodScorer)
    chat_only = fake_door({"generator": FakeChatModel()})
    assert isinstance(make_scorer(None, chat_only), ChoiceScorer)


def test_only_the_generators_route_decides() -> None:
    door = fake_door({"inference": FakeChatModel(), "proposer": FakeChatModel()})
    assert isinstance(make_scorer(None, door), LikelihoodScorer)


@pytest.mark.parametrize("name", ["likelihood", "choice"])
def test_a_scorer_is_made_by_name(name: str) -> None:
    assert make_scorer(name, fake_door()).name == name


def test_an_unknown_scorer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown scorer 'judge'; known: likelihood, choice"):
        make_scorer("judge", fake_door())


def test_likelihood_on_a_chat_only_route_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"'fake/generator'.*--scorer choice"):
        make_scorer("likelihood", fake_door({"generator": FakeChatModel()}))
