"""Evaluation and report: failures stay failures, intervals are over users, comparisons paired."""

from __future__ import annotations

import json

import numpy as np
import pytest

from popi_prompt.errors import BadResponse, ContextTooLong, ModelError, OptimizationError
from popi_prompt.evaluation import (
    ByPrompt,
    Failure,
    Metric,
    Outcome,
    Result,
    Told,
    evaluate,
    in_parallel,
)
from popi_prompt.events import Advanced, Event
from popi_prompt.generator import Generator
from popi_prompt.prompts import Conditioning, Messages
from popi_prompt.report import Report
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import (
    COMPILED,
    IMPROVED,
    MARGIN,
    NO_CONTEXT,
    PREFERS,
    REWARD,
    UNTUNED,
    Row,
    difference,
)
from popi_prompt.schema import Pair, Persona, User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.scorers.scorer import PairScore
from popi_prompt.testing import FakeModel, fake_door

BROKEN = "unanswerable"


def people(count: int = 6, *, broken: tuple[int, ...] = ()) -> tuple[User, ...]:
    """Users whose chosen answers speak of water; those in `broken` make the model fail."""
    return tuple(
        User(
            f"u{i}",
            (Persona(f"person {9 - i}"),),
            (
                Pair(
                    BROKEN if i in broken else f"Question {i}?", "water drops", "vapour condenses"
                ),
                Pair(f"Another {i}?", f"water {i}", "hydrology"),
            ),
        )
        for i in range(count)
    )


def metric(model: FakeModel | None = None) -> Metric:
    def fails(messages: Messages) -> ModelError | None:
        found = any(message.content == BROKEN for message in messages)
        return BadResponse("nothing usable") if found else None

    door = fake_door({"generator": model or FakeModel(fails=fails)})
    return Metric(Generator(door, Conditioning("system")), LikelihoodScorer(), PopiReward())


def outcome(user_id: str, margin: float) -> Outcome:
    return Outcome(user_id, "text", 3, (PairScore(margin, 0.5),), margin)


def test_an_outcome_has_the_means_over_the_users_pairs() -> None:
    found = Outcome("u", "s", 1, (PairScore(2.0, 1.0), PairScore(-1.0, 0.0)), -70.0)
    assert (found.margin, found.improved, found.prefers) == (0.5, 0.5, 0.5)


def test_results_come_in_the_order_of_the_users() -> None:
    users = people()
    results = evaluate(users, lambda user: "water", metric())
    assert [result.user_id for result in results] == [user.user_id for user in users]
    model = FakeModel()
    model.concurrency = 4
    results = evaluate(users, lambda user: "water", metric(model))
    assert [result.user_id for result in results] == [user.user_id for user in users]


def test_the_order_of_the_users_changes_no_result() -> None:
    users = people()
    forward = evaluate(users, lambda user: "water", metric())
    backward = evaluate(users[::-1], lambda user: "water", metric())
    assert forward == backward[::-1]


def test_a_user_who_cannot_be_scored_is_a_failure_that_names_them() -> None:
    results = evaluate(people(broken=(2,)), lambda user: "water", metric())
    failed = results[2]
    assert isinstance(failed, Failure)
    assert failed.user_id == "u2"
    assert "user 'u2'" in failed.reason
    assert "generator" in failed.reason
    assert "nothing usable" in failed.reason
    assert all(isinstance(result, Outcome) for i, result in enumerate(results) if i != 2)


def test_a_user_without_a_summary_is_a_failure() -> None:
    def summarize(user: User) -> str:
        if user.user_id == "u1":
            raise ContextTooLong("too long", user_id="u1")
        return "water"

    results = evaluate(people(), summarize, metric())
    assert isinstance(results[1], Failure)
    assert "user 'u1'" in results[1].reason


@pytest.mark.parametrize("told", [None, "water", ByPrompt({})])
def test_a_user_without_pairs_is_a_failure_and_no_summary_is_asked_for(told: Told) -> None:
    asked: list[str] = []

    def summarize(user: User) -> Told:
        asked.append(user.user_id)
        return told if user.user_id == "bare" else "water"

    bare = User("bare", (Persona("x"),))
    users = (*people(2), bare)
    results = evaluate(users, summarize, metric())
    assert results[:2] == evaluate(people(2), lambda user: "water", metric())
    assert results[2] == Failure("bare", "user 'bare': there are no pairs")
    assert sorted(asked) == ["u0", "u1"]
    with pytest.raises(BadResponse, match="user 'bare': there are no pairs"):
        metric().outcome(bare, told)


def test_an_error_that_is_not_a_models_is_not_swallowed() -> None:
    def summarize(user: User) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate(people(), summarize, metric())


def test_failures_are_left_out_of_means_and_never_zero() -> None:
    some = Row("row", evaluate(people(broken=(2,)), lambda user: "water", metric()))
    rest = Row("row", tuple(r for r in some.results if isinstance(r, Outcome)))
    assert len(some.failures) == 1
    assert len(some.outcomes) == 5
    for statistic in (MARGIN, IMPROVED, PREFERS, REWARD):
        assert some.mean(statistic) == rest.mean(statistic)
    assert some.mean(MARGIN).mean == pytest.approx(np.mean([o.margin for o in rest.outcomes]))
    assert some.tokens(50) == rest.tokens(50)


def test_one_users_failure_changes_no_other_result() -> None:
    whole = evaluate(people(), lambda user: "water", metric())
    some = evaluate(people(broken=(2,)), lambda user: "water", metric())
    assert [r for r in whole if r.user_id != "u2"] == [r for r in some if r.user_id != "u2"]


def test_every_user_advances_the_observer_failures_included() -> None:
    seen: list[Event] = []
    evaluate(people(broken=(2,)), lambda user: "water", metric(), seen.append)
    assert seen == [Advanced()] * 6


def test_no_context_has_no_tokens_and_no_margin() -> None:
    for result in evaluate(people(), lambda user: None, metric()):
        assert isinstance(result, Outcome)
        assert (result.tokens, result.margin, result.summary) == (0, 0, None)


def test_parallel_work_keeps_its_order() -> None:
    assert in_parallel(lambda x: x * x, range(50), 8) == tuple(x * x for x in range(50))


def test_a_difference_is_paired_over_the_users_both_could_score() -> None:
    one = Row("one", (outcome("a", 100), outcome("b", 5), Failure("c", "no"), outcome("d", 7)))
    other = Row("other", (outcome("d", 4), Failure("a", "no"), outcome("b", 1), outcome("c", 50)))
    assert difference(one, other, MARGIN).mean == pytest.approx(3.5)


def test_a_paired_difference_does_not_see_what_users_share() -> None:
    base = np.random.default_rng(3).normal(scale=100, size=30)
    one = Row("one", tuple(outcome(f"u{i}", float(b) + 1) for i, b in enumerate(base)))
    other = Row("other", tuple(outcome(f"u{i}", float(b)) for i, b in enumerate(base)))
    interval = difference(one, other, MARGIN)
    assert interval.low == pytest.approx(1)
    assert interval.high == pytest.approx(1)


def test_rows_without_a_common_user_cannot_be_compared() -> None:
    one, other = Row("one", (outcome("a", 1),)), Row("other", (outcome("b", 1),))
    with pytest.raises(OptimizationError):
        difference(one, other, MARGIN)


def test_a_row_of_failures_alone_gives_the_reason() -> None:
    row = Row("compiled", (Failure("a", "user 'a': the key is refused"), Failure("b", "no")))
    with pytest.raises(OptimizationError, match="compiled: .*'a': the key is refused"):
        row.mean(MARGIN)


def report(*, with_failure: bool = False) -> Report:
    users = people(broken=(1,) if with_failure else ())
    summaries: dict[str, str | None] = {NO_CONTEXT: None, UNTUNED: "person", COMPILED: "water"}
    rows = tuple(
        Row(name, evaluate(users, lambda user, text=text: text, metric()))  # type: ignore[misc]
        for name, text in summaries.items()
    )
    return Report(rows, "likelihood", "preference accuracy")


@pytest.mark.parametrize("with_failure", [False, True])
def test_a_report_is_plain_json(with_failure: bool) -> None:
    record = report(with_failure=with_failure).as_record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [row["context"] for row in record["rows"]] == [NO_CONTEXT, UNTUNED, COMPILED]
    assert record["users"] == 6
    assert [row["users"] for row in record["rows"]] == [6 - with_failure] * 3
    assert [len(row["failures"]) for row in record["rows"]] == [int(with_failure)] * 3


def test_the_gain_is_compiled_minus_untuned() -> None:
    found = report()
    compiled, untuned, gain = found.row(COMPILED), found.row(UNTUNED), found.gain()
    assert compiled is not None
    assert untuned is not None
    assert gain is not None
    assert gain.mean == pytest.approx(compiled.mean(MARGIN).mean - untuned.mean(MARGIN).mean)
    assert gain.low > 0


def test_there_is_no_gain_without_a_compiled_row() -> None:
    rows: tuple[Result, ...] = (outcome("a", 1),)
    found = Report((Row(UNTUNED, rows),), "likelihood", "preference accuracy")
    assert found.gain() is None
    assert found.as_record()["gain_in_margin"] is None


def crowd(count: int) -> tuple[User, ...]:
    """Users whose margins differ but are far from 0: a failure that counted as 0 would show."""
    return tuple(
        User(
            f"u{i:03d}",
            (Persona(f"person {i}"),),
            (Pair(f"Question {i}?", " ".join(["water"] * (4 + i % 5)), "vapour condenses"),),
        )
        for i in range(count)
    )


@pytest.mark.parametrize("seed", range(5))
def test_failures_of_30_percent_change_no_mean_beyond_its_interval_and_are_shown(
    seed: int,
) -> None:
    users = crowd(200)
    drawn = np.random.default_rng(seed).permutation(len(users))[:60]
    broken = {users[i].pairs[0].prompt for i in drawn}

    def fails(messages: Messages) -> ModelError | None:
        found = any(message.content in broken for message in messages)
        return BadResponse("nothing usable") if found else None

    summaries = {UNTUNED: "person", COMPILED: "water"}
    rows = [
        [
            Row(name, evaluate(users, lambda user, text=text: text, metric(model)))  # type: ignore[misc]
            for name, text in summaries.items()
        ]
        for model in (FakeModel(), FakeModel(fails=fails))
    ]
    for whole, some in zip(*rows, strict=True):
        for statistic in (MARGIN, IMPROVED, PREFERS, REWARD):
            interval = whole.mean(statistic)
            found = some.mean(statistic).mean
            assert interval.low - 1e-9 <= found <= interval.high + 1e-9
    gains = [difference(compiled, untuned, MARGIN) for untuned, compiled in rows]
    assert gains[0].low <= gains[1].mean <= gains[0].high
    assert gains[1].low > 2  # nothing was drawn to 0
    record = Report(tuple(rows[1]), "likelihood", "preference accuracy").as_record()
    assert record["users"] == 200
    for row in record["rows"]:
        assert (row["users"], len(row["failures"])) == (140, 60)
        assert {each["user_id"] for each in row["failures"]} == {users[i].user_id for i in drawn}
        assert all("nothing usable" in each["reason"] for each in row["failures"])


def test_an_outcomes_means_are_by_the_weights_of_the_pairs() -> None:
    user = User(
        "u",
        (Persona("x"),),
        (
            Pair("Question?", "water drops", "vapour condenses", weight=3.0),
            Pair("Another?", "vapour", "water"),
        ),
    )
    (found,) = evaluate([user], lambda user: "water", metric())
    assert isinstance(found, Outcome)
    assert [each.weight for each in found.scores] == [3.0, 1.0]
    assert found.improved == 0.75
    assert found.margin == pytest.approx(0.75 * 0.9 - 0.25 * 0.9)
