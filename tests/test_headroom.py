"""The check before optimizing: each world it is shown, it calls by its name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from toy_tastes import EXPERT, PLAIN, person

from popi_prompt.errors import BadResponse, BudgetExceeded, ModelError, OptimizationError
from popi_prompt.headroom import ByScorer, Headroom, check
from popi_prompt.models.attribution import attribution
from popi_prompt.models.model import Sampling
from popi_prompt.models.spent import Caps
from popi_prompt.noise import REPEATED
from popi_prompt.prompts import Message, Messages
from popi_prompt.rows import GOLD, RAW
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import FunctionScorer, Scorer
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door
from popi_prompt.verdict import by_scorer, of_data, record, verdict

USERS = tuple(person(i) for i in range(40))
Odds = Callable[[Messages, Sequence[str]], tuple[float, ...]]


def choosing(odds: Odds) -> FakeModel:
    """A model that chooses like this."""
    model = FakeModel()
    model.option_odds = odds  # type: ignore[method-assign, assignment]
    return model


def only(found: Headroom) -> ByScorer:
    (by,) = found.scorers
    return by


def by_likelihood(users: Sequence[User], generator: FakeModel | None = None) -> Headroom:
    return check(users, fake_door({"generator": generator or FakeModel()}), ("likelihood",))


def test_where_the_true_taste_moves_the_generator_optimizing_can_pay() -> None:
    found = check(USERS, fake_door())
    assert [by.scorer for by in found.scorers] == ["likelihood", "choice"]
    likelihood, choice = found.scorers
    assert (found.told, found.users, found.best) == (GOLD, 40, likelihood)
    assert likelihood.accuracy is not None
    assert likelihood.accuracy.mean == 1
    assert likelihood.personal is not None
    # One pair each: in steps of a whole pair, however steady the difference is.
    assert likelihood.needed is not None
    assert likelihood.needed.users == 152
    # Others of the same taste have the same text, word for word: no comparison.
    assert 0 < likelihood.personal.users < 40
    assert likelihood.personal.margin.above_zero
    # The fake's choice is a coin without noise: it sees no difference at all.
    assert choice.finding == "no gain"
    said = verdict(found)
    assert said[0].startswith("Optimizing can pay, with --scorer likelihood: own minus another's")
    assert "By --scorer choice telling the generator about the person is not shown" in said[1]


def test_without_gold_the_signals_are_told() -> None:
    users = tuple(replace(user, gold=None) if i == 3 else user for i, user in enumerate(USERS))
    generator = FakeModel()
    found = by_likelihood(users, generator)
    assert found.told == RAW
    assert any("Liked: " in message.content for _, asked in generator.calls for message in asked)
    assert "the signals themselves" in by_scorer(only(found), found.told)[0]


def test_a_text_that_changes_nothing_is_no_gain() -> None:
    found = by_likelihood([replace(user, gold=f"hm {i}") for i, user in enumerate(USERS)])
    assert (only(found).finding, found.best) == ("no gain", None)
    assert verdict(found)[0].startswith("It is not shown that optimizing can pay. By --scorer")


def test_a_text_that_helps_anybody_is_not_personal() -> None:
    one_taste = [user for user in USERS if user.gold == PLAIN]
    found = by_likelihood([replace(user, gold=f"{PLAIN} {i}") for i, user in enumerate(one_taste)])
    assert only(found).margin is not None
    assert (only(found).finding, found.best) == ("not personal", None)


def test_one_text_for_all_tells_nothing_about_anybody() -> None:
    found = by_likelihood([user for user in USERS if user.gold == EXPERT])
    assert (only(found).finding, only(found).personal) == ("one text", None)


def test_of_one_user_it_does_not_say_that_all_have_the_same_text() -> None:
    found = by_likelihood(USERS[:1])
    assert only(found).personal is None
    lines = by_scorer(only(found), found.told)
    assert "own against another's text: no two users have different texts; n = 0 users" in lines


def test_fewer_than_four_users_are_too_few() -> None:
    found = by_likelihood(USERS[:3])
    assert (only(found).finding, only(found).needed) == ("too few", None)
    assert "n = 3 users" in verdict(found)[0]
    assert found.data.unsplit is None


def test_a_scorer_that_answers_anew_each_time_is_noise() -> None:
    draw = random.Random(0)
    coin = FunctionScorer("coin", lambda user, pair, summary, answer: draw.random())
    by = only(found := check(USERS, fake_door(), (coin,)))
    assert by.repeated is not None
    assert by.repeated.moved is not None
    assert (by.repeated.items, by.finding, found.best) == (REPEATED, "noise", None)
    assert by.repeated.moved.mean > 0.5
    assert "tossing a coin" in verdict(found)[0]


def test_a_steady_scorer_is_asked_again_and_says_the_same() -> None:
    generator = FakeModel()
    by = only(by_likelihood(USERS, generator))
    assert by.repeated is not None
    assert by.repeated.flips is not None
    assert by.repeated.moved is not None
    assert (by.repeated.flips.mean, by.repeated.moved.mean) == (0, 0)
    assert 0 < by.repeated.flips.high < 0.5
    asked = [messages for what, messages in generator.calls if what == "logprobs"]
    assert sum(asked.count(each) > 1 for each in set(asked)) == 2 * REPEATED


def test_an_answer_that_fails_the_second_time_is_counted_and_left_out() -> None:
    seen: dict[Messages, int] = {}

    def fails(messages: Messages) -> ModelError | None:
        seen[messages] = seen.get(messages, 0) + 1
        broken = messages[-1].content in {f"pair {i}" for i in range(5)} and seen[messages] > 1
        return BadResponse("nothing usable") if broken else None

    by = only(by_likelihood(USERS, FakeModel(fails=fails)))
    assert by.repeated is not None
    assert (by.users, by.repeated.items, by.repeated.failures) == (40, REPEATED - 5, 5)


def failing_as(candidate: str, spared: int = 0) -> FakeModel:
    """Fails for all calls of a row but those about the first few pairs."""

    def fails(messages: Messages) -> ModelError | None:
        asked = messages[-1].content
        known = any(asked.endswith(f"pair {i}") for i in range(spared))
        of_row = attribution().candidate == candidate
        return BadResponse("nothing usable") if of_row and not known else None

    return FakeModel(fails=fails)


def test_where_nothing_is_answered_again_it_is_not_known_to_be_no_noise() -> None:
    by = only(by_likelihood(USERS, failing_as("asked again")))
    assert by.repeated is not None
    assert (by.repeated.items, by.repeated.failures, by.finding) == (0, REPEATED, "no answer")
    assert not by.repeated.a_coin
    found = by_likelihood(USERS, failing_as("asked again"))
    assert found.best is None
    assert "not known: nothing was answered when asked again" in verdict(found)[0]
    lines = by_scorer(only(found), found.told)
    assert f"asked again: nothing was answered; n = 0 pairs, {REPEATED} failed" in lines
    assert record(found)["scorers"][0]["asked_again"]["change_sides"] is None


def test_who_fails_under_anothers_text_is_counted() -> None:
    users = [replace(user, gold=f"{user.gold} {user.user_id}") for user in USERS]
    some = only(by_likelihood(users, failing_as("shuffled", spared=20)))
    assert some.personal is not None
    assert (some.personal.users, len(some.not_dealt)) == (20, 20)
    assert any("dealt another text, 20 failed" in line for line in by_scorer(some, GOLD))
    found = by_likelihood(users, failing_as("shuffled"))
    assert only(found).finding == "not dealt"
    assert "nobody could be scored under another person's text" in verdict(found)[0]
    lines = by_scorer(only(found), found.told)
    assert "own against another's text: nobody could be scored; n = 0 users, 40 failed" in lines
    assert len(record(found)["scorers"][0]["not_dealt"]) == 40


def test_pairs_that_move_nowhere_are_no_evidence_of_harm() -> None:
    found = check(USERS, fake_door({"generator": FakeChatModel()}), ("choice",))
    assert only(found).ties == 1.0
    first = by_scorer(only(found), found.told)[0]
    assert "(100.0% moves nowhere; chance half of the rest)" in first
    assert "(chance 50%)" in by_scorer(only(by_likelihood(USERS)), GOLD)[0]


def test_a_pair_counts_by_its_weight_in_every_line() -> None:
    users = [
        replace(
            person(i),
            pairs=(Pair("a?", "longer words", "short", 1000), Pair("b?", "no", "not so short", 1)),
        )
        for i in range(8)
    ]

    class First(FakeModel):
        """Moves the first pair alone, and prefers its longer answer and the other's shorter."""

        def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
            told = 1.0 if len(messages) > 1 or "(" in messages[-1].content else 0.0
            likes = ("longer words", "no")
            return tuple(
                told * (text == "longer words") - 2 + (text in likes) for text in responses
            )

    found = by_likelihood(users, First())
    by = only(found)
    assert by.longer is not None
    assert by.longer.share.mean == pytest.approx(1000 / 1001)
    assert by.ties == pytest.approx(1 / 1001)
    assert found.data.longer.mean == pytest.approx(1000 / 1001)


def test_a_pair_counts_by_its_weight_where_orders_are_swapped() -> None:
    users = [
        replace(person(i), pairs=(Pair("a?", "one", "two", 3), Pair("b?", "one", "two", 1)))
        for i in range(8)
    ]

    class First(FakeModel):
        """Names what is shown first, where it is asked the first of them."""

        def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
            return (1.0, 0.0) if "a?" in messages[-1].content else (0.5, 0.5)

    by = only(check(users, fake_door({"generator": First()}), ("choice",)))
    assert by.orders is not None
    assert by.orders.first_shown.mean == pytest.approx((3 * 1.0 + 0.5) / 4)
    assert by.orders.differ.mean == pytest.approx(3 / 4)


def test_users_that_fail_are_counted_and_left_out() -> None:
    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("nothing usable") if messages[-1].content == "pair 3" else None

    found = by_likelihood(USERS, FakeModel(fails=fails))
    assert [failure.user_id for failure in only(found).failures] == ["u03"]
    assert "n = 39 users, 1 failed" in by_scorer(only(found), found.told)[0]


def test_one_scorer_without_a_score_leaves_the_other_alone_and_two_are_an_error() -> None:
    def broken(user: User, pair: Pair, summary: str | None, answer: str) -> float:
        raise ValueError("no idea")

    own = FunctionScorer("own:broken", broken)
    found = check(USERS, fake_door(), (own, "likelihood"))
    assert [by.finding for by in found.scorers] == ["too few", "pays"]
    assert "nobody could be scored; n = 0 users, 40 failed" in by_scorer(found.scorers[0], GOLD)[0]
    json.dumps(record(found), allow_nan=False)
    with pytest.raises(OptimizationError, match="no user could be scored; .* no idea"):
        check(USERS, fake_door(), (own,))


def test_a_chooser_that_likes_the_first_place_is_seen_and_cancels_out() -> None:
    generator = choosing(lambda messages, options: (0.9, 0.1))
    by = only(check(USERS, fake_door({"generator": generator}), ("choice",)))
    assert by.orders is not None
    assert by.orders.first_shown.low == pytest.approx(0.9)
    assert by.orders.differ.mean == 1
    assert by.margin is not None
    assert by.margin.mean == pytest.approx(0)
    assert by.finding == "no gain"


def test_a_chooser_that_reads_is_not_biased() -> None:
    def odds(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        text = messages[0].content
        told, _, shown = text.partition("Request: ")
        if not told:
            return (0.5, 0.5)
        first = shown.split("Answer A: ")[1].startswith(told.strip())
        return (0.8, 0.2) if first else (0.2, 0.8)

    by = only(check(USERS, fake_door({"generator": choosing(odds)}), ("choice",)))
    assert by.orders is not None
    assert by.orders.first_shown.mean == pytest.approx(0.5)
    assert by.orders.differ.mean == 0
    assert by.finding == "pays"


def test_a_judge_that_always_says_a_is_biased_and_an_even_match() -> None:
    def reply(messages: Messages, sampling: Sampling) -> str:
        return " ".join(message.content for message in messages)

    models = {"generator": FakeModel(reply), "judge": choosing(lambda m, o: (1.0, 0.0, 0.0))}
    by = only(check(USERS, fake_door(models), ("judge",)))
    assert by.orders is not None
    assert (by.orders.first_shown.mean, by.orders.differ.mean, by.longer) == (1, 1, None)
    assert (by.margin is not None and by.margin.mean, by.finding) == (0, "no gain")


def test_a_scorer_that_goes_by_length_is_seen() -> None:
    def odds(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        shown = messages[0].content.split("Answer A: ")[1]
        first, _, rest = shown.partition("\n\nAnswer B: ")
        longer = len(first) > len(rest.partition("\n\n")[0])
        return (0.75, 0.25) if longer else (0.25, 0.75)

    by = only(check(USERS, fake_door({"generator": choosing(odds)}), ("choice",)))
    assert by.longer is not None
    assert (by.longer.users, by.longer.share.mean) == (40, 0.75)
    assert "not 50%" in next(line for line in by_scorer(by, GOLD) if line.startswith("length"))


def test_the_longer_answer_of_the_data() -> None:
    found = by_likelihood(
        [replace(u, pairs=(Pair(u.user_id, "long answer", "no"),)) for u in USERS]
    )
    assert found.data.longer.mean == 1
    assert "chosen one in 100.0%" in of_data(found)[0]


def test_held_out_pairs_that_the_other_parts_give_away_are_a_leak() -> None:
    marks = ("?", "!")
    users = [
        replace(
            u, pairs=(replace(u.pairs[0], prompt=f"Tell me about number {i // 2}{marks[i % 2]}"),)
        )
        for i, u in enumerate(USERS)
    ]
    leaking = by_likelihood(users)
    assert leaking.data.leaks is not None
    assert (leaking.data.leaks.pairs, leaking.data.leaks.same_prompts) == (14, 0)
    assert leaking.data.leaks.near_prompts >= 5
    assert any(line.startswith("Leak: ") and "n = 14" in line for line in verdict(leaking))
    # All answers are of two texts: told by the other parts, but with prompts of their own.
    assert by_likelihood(users[::2]).data.leaks is not None
    apart = [
        replace(u, pairs=(Pair(f"{u.user_id} asks", f"{u.user_id} a {i}", f"no {i} {u.user_id}"),))
        for i, u in enumerate(USERS)
    ]
    clean = by_likelihood(apart)
    assert clean.data.leaks is not None
    assert (clean.data.leaks.seen, clean.data.within.seen) == (0, 0)
    assert not any(line.startswith("Leak: ") for line in verdict(clean))


def test_a_pair_in_the_users_own_signals_is_a_leak() -> None:
    users = [
        replace(u, pairs=(replace(u.pairs[0], prompt=f"Signal  {i}"),)) for i, u in enumerate(USERS)
    ]
    found = by_likelihood(users)
    assert found.data.within.same_prompts == found.data.within.pairs == 40
    assert any("the user's own signals, n = 40" in line for line in verdict(found))


def test_data_that_cannot_be_split_are_told() -> None:
    same = [replace(u, pairs=(replace(u.pairs[0], prompt="one for all"),)) for u in USERS]
    found = by_likelihood(same)
    assert found.data.leaks is None
    assert any("cannot split these data (n = 40 users)" in line for line in verdict(found))


def test_only_the_generator_is_asked_and_about_no_more_users_than_drawn() -> None:
    models = {role: FakeModel() for role in ("generator", "inference", "proposer", "judge")}
    found = check(USERS, fake_door(models), max_users=8, seed=1)
    assert (found.users, found.data.users) == (8, 40)
    assert [role for role, model in models.items() if model.calls] == ["generator"]
    asked = {messages[-1].content for _, messages in models["generator"].calls}
    assert len({text for text in asked if text.startswith("pair ")}) == 8


def test_the_order_of_the_file_changes_nothing() -> None:
    for users in (USERS[::-1], USERS[7:] + USERS[:7]):
        assert check(users, fake_door(), max_users=12) == check(USERS, fake_door(), max_users=12)


def test_a_route_without_log_probabilities_is_checked_by_choice() -> None:
    found = check(USERS, fake_door({"generator": FakeChatModel()}))
    assert [by.scorer for by in found.scorers] == ["choice"]


def test_a_cap_holds_for_what_is_asked_again() -> None:
    generator = FakeModel()
    check(USERS, fake_door({"generator": generator}), ("likelihood",))
    most = len(generator.calls) - 1
    capped = FakeModel()
    with pytest.raises(BudgetExceeded):
        check(USERS, fake_door({"generator": capped}, Caps(calls=most)), ("likelihood",))
    assert len(capped.calls) == most


def test_a_door_afresh_asks_the_same_models_again() -> None:
    number = count()
    door = fake_door({"generator": FakeModel(lambda messages, sampling: str(next(number)))})
    asked = (Message("user", "Hi"),)
    fresh = door.afresh()
    first, again = (each.chat("generator", asked, Sampling()).text for each in (door, fresh))
    assert (first, again) == ("0", "1")
    assert door.chat("generator", asked, Sampling()).text == "0"
    assert fresh.model("generator") is door.model("generator")
    assert door.spent()["generator"].calls == 2


@pytest.mark.parametrize(
    "scorers", [("likelihood", "choice"), ("choice",), ("judge", "similarity")]
)
def test_every_line_says_figure_interval_and_n(scorers: tuple[str | Scorer, ...]) -> None:
    found = check(USERS, fake_door(), scorers)
    for line in (*verdict(found), *(x for by in found.scorers for x in by_scorer(by, GOLD))):
        assert "n = " in line, line
        assert "[" in line, line
    said = json.loads(json.dumps(record(found), allow_nan=False))
    assert said["verdict"] == list(verdict(found))
    assert [each["scorer"] for each in said["scorers"]] == list(scorers)


def test_nobody_with_pairs_is_an_error() -> None:
    with pytest.raises(OptimizationError, match="no users with pairs"):
        check([replace(USERS[0], pairs=())], fake_door())
