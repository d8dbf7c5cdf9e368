"""Cross-validation: every user is held out once, and the gains of all folds are one figure."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_workflow import SETTINGS, failing_on, fakes, people
from toy_tastes import PEOPLE, compared

from popi_prompt.errors import BudgetExceeded, OptimizationError
from popi_prompt.folds import Fold, cross_validate
from popi_prompt.intervals import bootstrap
from popi_prompt.models.door import Door
from popi_prompt.models.spent import Caps
from popi_prompt.optimized import Optimized
from popi_prompt.report import Report
from popi_prompt.rows import COMPILED, MARGIN, UNTUNED, gaps
from popi_prompt.schema import Pair, Preference, User, prompts_in_signals
from popi_prompt.settings import Settings
from popi_prompt.split import Split, normal, split_folds
from popi_prompt.workflow import optimize


def prompts(users: tuple[User, ...]) -> set[str]:
    return {normal(pair.prompt) for user in users for pair in user.pairs}


def signal_prompts(users: tuple[User, ...]) -> set[str]:
    return {normal(prompt) for user in users for prompt in prompts_in_signals(user)}


@st.composite
def populations(draw: st.DrawFn) -> tuple[User, ...]:
    """Users who share many prompts, or few, or none."""
    count = draw(st.integers(9, 24))
    most = draw(st.integers(6, 60))
    numbers = st.integers(0, most)
    return tuple(
        User(
            f"u{i:02d}",
            (Preference(f"p{draw(numbers) + draw(st.sampled_from((0, 100)))}", "a", "b"),),
            tuple(Pair(f"p{k}", "a", "b") for k in {draw(numbers), draw(numbers)}),
        )
        for i in range(count)
    )


@given(users=populations(), folds=st.integers(3, 5), seed=st.integers(0, 5))
def test_folds_keep_the_promises_of_a_split(users: tuple[User, ...], folds: int, seed: int) -> None:
    try:
        splits = split_folds(users, folds, seed=seed)
    except OptimizationError:
        return
    assert len(splits) == folds
    tested = [user.user_id for split in splits for user in split.test]
    assert len(tested) == len(set(tested))
    for split in splits:
        ids = [user.user_id for part in (split.train, split.val, split.test) for user in part]
        assert len(ids) == len(set(ids))
        learnt = (*split.train, *split.val)
        assert prompts(split.test).isdisjoint(prompts(learnt) | signal_prompts(learnt))
        assert prompts(split.val).isdisjoint(prompts(split.train) | signal_prompts(split.train))
    assert splits == split_folds(users, folds, seed=seed)


@given(users=populations(), seed=st.integers(0, 5), chance=st.randoms(use_true_random=False))
def test_the_order_of_the_users_changes_no_fold(
    users: tuple[User, ...], seed: int, chance: Random
) -> None:
    def found(given_users: list[User]) -> tuple[Split, ...] | str:
        try:
            return split_folds(given_users, 3, seed=seed)
        except OptimizationError as error:
            return str(error)

    shuffled = list(users)
    chance.shuffle(shuffled)
    assert found(shuffled) == found(list(users))


def test_users_with_prompts_of_their_own_are_all_held_out_once() -> None:
    splits = split_folds(people(), 4)
    assert sorted(u.user_id for split in splits for u in split.test) == [
        user.user_id for user in people()
    ]
    assert {len(split.test) for split in splits} == {6}
    assert not any(split.dropped_users or split.dropped_pairs for split in splits)


def test_too_few_users_for_the_folds_are_an_error() -> None:
    with pytest.raises(OptimizationError, match="^5 folds are too many: .*too few"):
        split_folds(people(3), 5)


SPLITS = tuple(Split((), (), PEOPLE[i::3]) for i in range(3))


def test_the_pooled_gain_is_that_of_all_users_together() -> None:
    whole = compared()
    compiled, untuned = whole.row(COMPILED), whole.row(UNTUNED)
    assert compiled is not None
    assert untuned is not None
    found = cross_validate(SPLITS, lambda split: compared(split.test))
    assert found.users == len(PEOPLE)
    assert found.gain() == bootstrap(gaps(compiled, untuned, MARGIN))
    assert found.as_record()["gain_in_margin"]["mean"] > 0
    assert [each["test"] for each in found.as_record()["folds"]] == [4, 4, 4]


def test_a_fold_that_found_nothing_better_counts_as_no_gain() -> None:
    report = compared()
    rows = tuple(row for row in report.rows if row.name != COMPILED)
    fold = Fold(SPLITS[0], replace(report, rows=rows))
    assert set(fold.gains().values()) == {0.0}
    assert len(fold.gains()) == len(PEOPLE)


def test_a_fold_that_fails_is_counted_and_a_cap_ends_them() -> None:
    def run(split: Split) -> Report:
        if split == SPLITS[0]:
            raise OptimizationError("nobody could be scored")
        if split == SPLITS[1]:
            return compared(split.test)
        raise BudgetExceeded("the cap is reached")

    found = cross_validate((*SPLITS, SPLITS[0]), run)
    assert [fold.reason for fold in found.folds] == [
        "nobody could be scored",
        "",
        "the cap is reached",
    ]
    assert found.users == len(SPLITS[1].test)
    assert found.folds[0].gain() is None


def optimized(monkeypatch: pytest.MonkeyPatch, door: Door, folds: int | None) -> Optimized:
    monkeypatch.setattr(Settings, "door", lambda self, observer=None: door)
    return optimize(people(), replace(SETTINGS, folds=folds))


@pytest.mark.slow
def test_folds_change_nothing_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with_folds = optimized(monkeypatch, fakes(), 3)
    without = optimized(monkeypatch, fakes(), None)
    assert with_folds.program.as_record() == without.program.as_record()
    assert without.folds is None
    assert with_folds.folds is not None
    assert with_folds.folds.users == len(people())
    gain = with_folds.folds.gain()
    assert gain is not None
    assert gain.above_zero
    calls = [sum(each.calls for each in done.spent.values()) for done in (with_folds, without)]
    assert calls[0] > calls[1]


def test_the_cap_is_one_for_all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    done = optimized(monkeypatch, fakes(caps=Caps(calls=150)), 3)
    assert sum(each.calls for each in done.spent.values()) <= 150
    assert done.stopped is not None
    assert done.folds is not None
    assert "the cap of 150 calls" in done.folds.folds[-1].reason


@pytest.mark.slow
def test_a_user_who_fails_is_left_out_of_the_pooled_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    done = optimized(monkeypatch, fakes(failing_on("pair 3 ")), 3)
    assert done.folds is not None
    assert done.folds.users == len(people()) - 1
