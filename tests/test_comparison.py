"""Rows on the same users: each is told what it says, failures stay out, differences are paired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from html import escape
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tastes import (
    COMPILED_CANDIDATE,
    PEOPLE,
    PLAIN,
    compared,
    door,
    infer,
    person,
    too_long,
)

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.cli.tables import print_report
from popi_prompt.comparison import Scoring, compare
from popi_prompt.contexts import derangement
from popi_prompt.errors import BadResponse, BudgetExceeded, ModelError, OptimizationError
from popi_prompt.evaluation import Failure, Outcome
from popi_prompt.events import Event, Noted
from popi_prompt.models.door import Door
from popi_prompt.models.spent import Caps
from popi_prompt.page import page
from popi_prompt.prompts import Messages, render_signals
from popi_prompt.report import Report
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import (
    ALL_ROWS,
    COMPILED,
    CORE_ROWS,
    GOLD,
    IMPROVED,
    LONGEST,
    MARGIN,
    NO_CONTEXT,
    OPPOSITE,
    PREFERS,
    RAW,
    REWARD,
    SHUFFLED,
    UNTUNED,
    Row,
    against,
    difference,
)
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.scorers.scorer import PairScore
from popi_prompt.testing import FakeModel, fake_door


def row(report: Report, name: str) -> Row:
    found = report.row(name)
    assert found is not None, name
    return found


def told(report: Report, name: str) -> dict[str, str | None]:
    return {outcome.user_id: outcome.summary for outcome in row(report, name).outcomes}


def test_every_row_tells_the_generator_what_it_says() -> None:
    report = compared()
    assert [each.name for each in report.rows] == list(ALL_ROWS)
    own = told(report, COMPILED)
    for user in PEOPLE:
        assert told(report, NO_CONTEXT)[user.user_id] is None
        assert told(report, RAW)[user.user_id] == render_signals(user.signals)
        assert told(report, UNTUNED)[user.user_id] == "be nice"
        assert own[user.user_id] == told(report, GOLD)[user.user_id] == user.gold
        assert told(report, OPPOSITE)[user.user_id] not in (None, user.gold)


def test_the_rows_come_out_in_the_order_of_the_tastes() -> None:
    report = compared()
    shift = {each.name: each.mean(MARGIN).mean for each in report.rows if each.name != LONGEST}
    assert shift[NO_CONTEXT] == 0
    assert shift[OPPOSITE] < shift[SHUFFLED] < shift[COMPILED] == shift[GOLD]


def test_a_user_without_pairs_is_a_failure_of_every_row() -> None:
    bare = User("bare", PEOPLE[0].signals, gold=PLAIN)
    whole, some = compared(), compared((*PEOPLE, bare))
    assert [each.name for each in some.rows] == list(ALL_ROWS)
    for each in some.rows:
        assert [failure.user_id for failure in each.failures] == ["bare"]
        assert "there are no pairs" in each.failures[0].reason
        assert len(each.scored) == len(PEOPLE)
    assert some.gain() == whole.gain()


def test_another_users_summary_asks_the_inference_model_nothing() -> None:
    through = door()
    inference = through.model("inference")
    assert isinstance(inference, FakeModel)
    compared(through=through, rows=(COMPILED,))
    asked = len(inference.calls)
    report = compared(through=through, rows=(COMPILED, SHUFFLED))
    assert len(inference.calls) == asked
    assert sorted(told(report, SHUFFLED).values(), key=str) == sorted(
        told(report, COMPILED).values(), key=str
    )


@given(st.sets(st.text(min_size=1), min_size=2))
def test_a_derangement_gives_everyone_another_ones(names: set[str]) -> None:
    order = sorted(names)
    found = derangement(order)
    assert set(found) == set(found.values()) == names
    assert all(user_id != giver for user_id, giver in found.items())
    assert derangement(order) == found


def test_the_order_of_the_users_deals_out_the_same_texts() -> None:
    forward, backward = compared(), compared(PEOPLE[::-1])
    for name in (SHUFFLED, OPPOSITE):
        assert told(forward, name) == told(backward, name)


def test_a_user_without_a_summary_has_none_to_exchange() -> None:
    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("nothing usable") if messages[-1].content == "pair 3" else None

    report = compared(through=door(fails))
    failures = row(report, SHUFFLED).failures
    assert [failure.user_id for failure in failures] == ["u03"]
    assert "nothing usable" in failures[0].reason
    assert "u03" not in told(report, SHUFFLED)


def test_signals_that_do_not_fit_are_failures_that_leave_other_rows_alone() -> None:
    report = compared(through=door(too_long))
    raw = row(report, RAW)
    assert (len(raw.failures), raw.scored) == (12, ())
    assert "does not fit" in raw.failures[0].reason
    assert raw.figure(MARGIN) is None
    assert report.against(COMPILED, RAW) is None
    whole = compared()
    for name in (NO_CONTEXT, UNTUNED, COMPILED, SHUFFLED, GOLD):
        assert row(report, name) == row(whole, name)
    record = json.loads(json.dumps(report.as_record(by_user=True), allow_nan=False))
    failed = next(each for each in record["rows"] if each["context"] == RAW)
    assert (failed["users"], len(failed["failures"])) == (0, 12)
    assert failed["margin"] is failed["tokens_median"] is failed["against_untuned"] is None


def test_a_user_without_signals_is_a_failure_of_the_raw_row() -> None:
    users = (*PEOPLE, replace(person(12), signals=()))
    failures = row(compared(users), RAW).failures
    assert [failure.user_id for failure in failures] == ["u12"]
    assert "no signals" in failures[0].reason


def test_the_longer_answer_asks_no_model_and_has_no_shift() -> None:
    through = door()
    before = through.spent()
    longest = row(compared(through=through, rows=(LONGEST,)), LONGEST)
    assert longest.spent == before == {}
    pairs = [user.pairs[0] for user in PEOPLE]
    share = sum(len(pair.chosen) > len(pair.rejected) for pair in pairs) / len(pairs)
    preferred = longest.figure(PREFERS)
    assert preferred is not None
    assert preferred.mean == pytest.approx(share)
    assert [longest.figure(each) for each in (MARGIN, IMPROVED, REWARD)] == [None] * 3


def test_answers_of_one_length_are_a_tie() -> None:
    users = tuple(replace(user, pairs=(Pair("Q", "same", "size"),)) for user in PEOPLE)
    preferred = row(compared(users), LONGEST).figure(PREFERS)
    assert preferred is not None
    assert preferred.mean == 0.5


def test_gold_rows_need_everyones_and_the_opposite_one_two_tastes() -> None:
    one_taste = tuple(user for user in PEOPLE if user.gold == PLAIN)
    report = compared(one_taste)
    assert report.row(GOLD) is not None
    assert report.row(OPPOSITE) is None
    unknown = (*PEOPLE, replace(person(12), gold=None))
    report = compared(unknown)
    assert report.row(GOLD) is report.row(OPPOSITE) is None


def test_only_the_rows_asked_for_and_the_programs_own_are_measured() -> None:
    assert [each.name for each in compared(rows=(GOLD,)).rows] == [COMPILED, GOLD]
    untuned = compared(rows=(GOLD, SHUFFLED), candidate=UNTUNED_CANDIDATE)
    assert [each.name for each in untuned.rows] == [UNTUNED, SHUFFLED, GOLD]
    assert untuned.gain() is None


def test_a_program_that_scores_nobody_is_an_error_with_the_reason() -> None:
    models = {"inference": FakeModel(fails=lambda messages: BadResponse("the key is refused"))}
    with pytest.raises(OptimizationError, match="compiled: no user .* the key is refused"):
        compared(through=fake_door(models))


def test_what_each_row_sent_adds_up_to_what_the_door_sent() -> None:
    through = door()
    report = compared(through=through)
    assert sum(each.cost.calls for each in report.rows) == sum(
        spent.calls for spent in through.spent().values()
    )
    assert row(report, UNTUNED).spent["inference"].calls == len(PEOPLE)
    assert "inference" not in row(report, RAW).spent
    # With the same summaries for other users, only the generator is asked.
    assert set(row(report, SHUFFLED).spent) <= {"generator"}


def test_a_further_scorer_adds_its_own_figure_and_changes_no_other() -> None:
    scoring = Scoring(door(), LikelihoodScorer(), PopiReward())
    alone = compare(COMPILED_CANDIDATE, PEOPLE, scoring, ALL_ROWS)
    both = compared()
    for one, other in zip(alone.rows, both.rows, strict=True):
        if one.name != LONGEST:
            assert one.results == other.results
    record = both.as_record()
    assert record["prefers"] == ["preference_accuracy", "choice_accuracy"]
    assert all(each["choice_accuracy"]["mean"] is not None for each in record["rows"])
    assert "choice_accuracy" not in alone.as_record()["rows"][0]


def test_whom_only_a_further_scorer_fails_is_counted_and_listed_wherever_it_is_shown() -> None:
    class Silent(FakeModel):
        def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
            if "pair 0" not in messages[-1].content:
                raise BadResponse("no option named")
            return super().option_odds(messages, options)

    through = fake_door({"generator": Silent(), "inference": FakeModel(infer)})
    report = compared(rows=(GOLD,), through=through)
    by = row(report, GOLD).by("choice accuracy")
    failed = len(by.failures)
    assert failed > 3
    record = report.as_record(by_user=True)
    of_row = record["rows"][-1]["choice_accuracy"]
    assert (of_row["failed"], len(of_row["failures"])) == (failed, failed)
    assert f">{failed}</span> failed)" in page(record, "users")
    assert "true taste (gold), choice accuracy: " in page(record, "users")
    shown = printed(report)
    assert f" {failed} failed " in shown
    assert shown.count("failed, true taste (gold), choice accuracy: user") == 3
    assert f"true taste (gold), choice accuracy: {failed - 3} more; --json lists all" in shown


def printed(report: Report) -> str:
    with redirect_stdout(StringIO()) as out:
        print_report(report, "users")
    return out.getvalue()


def capped(calls: int) -> Door:
    return fake_door({"generator": FakeModel(), "inference": FakeModel(infer)}, Caps(calls=calls))


def test_a_cap_after_the_programs_own_row_keeps_every_row_that_was_measured() -> None:
    core = compared(rows=CORE_ROWS[:3])
    needed = sum(each.cost.calls for each in core.rows)
    report = compared(through=capped(needed))
    assert report.stopped is not None
    assert f"the cap of {needed} calls is reached" in report.stopped
    assert [each.name for each in report.rows] == [*CORE_ROWS, LONGEST]  # gold was paid for
    assert report.gain() == core.gain()
    assert f"Other rows were not measured: {report.stopped}.\n" in printed(report)
    record = report.as_record(by_user=True)
    assert record["stopped"] == report.stopped
    assert f"Other rows were not measured: {escape(report.stopped)}.</p>" in page(record, "users")
    assert compared().stopped is None
    assert "Other rows" not in printed(compared())
    with pytest.raises(BudgetExceeded, match=f"the cap of {needed - 1} calls"):
        compared(through=capped(needed - 1))


def test_ties_are_said_where_there_are_any() -> None:
    assert "50% in all percentages.\n" in printed(compared(rows=(GOLD,)))
    tied = [Outcome(f"u{i}", "s", 1, (PairScore(0.0, 0.5),), 0.0) for i in range(4)]
    report = Report((Row(GOLD, tuple(tied)),), "judge", "win rate")
    assert "(D = 0):\nthey count as not moved, 100% of true taste (gold)." in printed(report)


def test_a_row_that_is_left_out_is_said_with_the_reason() -> None:
    told_of: list[Event] = []
    users = [*PEOPLE[:3], replace(PEOPLE[3], gold=None)]
    scoring = Scoring(door(), LikelihoodScorer(), PopiReward())
    compare(COMPILED_CANDIDATE, users, scoring, (GOLD,), told_of.append)
    noted = [event.text for event in told_of if isinstance(event, Noted)]
    compare(UNTUNED_CANDIDATE, PEOPLE[:4], scoring, (COMPILED,), told_of.append)
    assert noted == [event.text for event in told_of if isinstance(event, Noted)]
    assert noted == [
        f"gold: left out, 1 of 4 users have no gold, the first is {users[3].user_id!r}"
    ]


def test_groups_have_the_same_figures_over_their_own_users() -> None:
    report = compared()
    assert sorted(report.groups) == ["expert", "plain"]
    means = []
    for name, members in report.groups.items():
        group = report.group(name)
        assert group.users == len(members) == 6
        for each in group.rows:
            assert {result.user_id for result in each.results} == members
        means.append(row(group, COMPILED).mean(MARGIN).mean)
    assert sum(means) / 2 == pytest.approx(row(report, COMPILED).mean(MARGIN).mean)
    record = report.as_record()["groups"]["plain"]
    assert record["users"] == 6
    found = next(each for each in record["rows"] if each["context"] == COMPILED)
    assert found["against_untuned"]["users"] == 6
    assert "calls" not in found


def made(name: str, margins: dict[str, float]) -> Row:
    return Row(name, tuple(Outcome(u, "s", 3, (PairScore(m, 0.5),), m) for u, m in margins.items()))


margins = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-50, 50), min_size=1)


@given(margins, margins)
def test_a_paired_difference_turned_round_is_its_negative(
    one: dict[str, float], other: dict[str, float]
) -> None:
    first, second = made("one", one), made("other", other)
    there, back = against(first, second), against(second, first)
    if not set(one) & set(other):
        assert there is back is None
        return
    assert there is not None
    assert back is not None
    assert there.users == back.users == len(set(one) & set(other))
    assert there.margin.mean == pytest.approx(-back.margin.mean, abs=1e-9)
    assert there.margin.low == pytest.approx(-back.margin.high, abs=1e-6)
    counts = there.tally
    assert counts.helped + counts.unchanged + counts.harmed == there.users
    assert (counts.helped, counts.harmed) == (back.tally.harmed, back.tally.helped)
    assert difference(first, second, MARGIN) == there.margin


def test_a_row_is_not_compared_with_itself_or_with_what_has_no_margin() -> None:
    report = compared()
    assert report.against(UNTUNED, UNTUNED) is None
    assert report.against(LONGEST, UNTUNED) is None
    bare = report.against(NO_CONTEXT, UNTUNED)
    assert bare is not None
    assert bare.reward_accuracy is None


def test_a_scorer_that_fails_on_every_third_user_moves_no_mean_beyond_its_interval() -> None:
    users = tuple(person(i) for i in range(60))
    broken = {f"pair {i}" for i in range(0, 60, 10)} | {f"pair {i}" for i in range(3, 60, 5)}

    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("nothing usable") if messages[-1].content in broken else None

    whole, some = compared(users), compared(users, door(fails))
    assert len(broken) == 18
    for before, after in zip(whole.rows, some.rows, strict=True):
        assert sum(isinstance(result, Failure) for result in after.results) == (
            0 if before.name == LONGEST else 18
        )
        for statistic in (MARGIN, IMPROVED, PREFERS):
            one, other = before.figure(statistic), after.figure(statistic)
            if one is not None and other is not None:
                assert one.low - 1e-9 <= other.mean <= one.high + 1e-9
