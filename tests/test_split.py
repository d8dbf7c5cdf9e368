"""Splitting: three parts that share neither users nor prompts."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt.errors import OptimizationError
from popi_prompt.schema import (
    Dialogue,
    Interaction,
    Pair,
    Preference,
    Signal,
    Turn,
    User,
)
from popi_prompt.split import MOST_HELD_OUT, Split, normal, split_users

some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def person(name: str, prompts: Iterable[str], signals: Iterable[Signal] = ()) -> User:
    return User(name, tuple(signals), tuple(Pair(p, "yes", "no") for p in prompts))


def strangers(count: int) -> list[User]:
    return [person(f"u{i}", [f"prompt {i}"]) for i in range(count)]


def words(prompt: str) -> str:
    return " ".join(prompt.lower().split())


def asked(users: Iterable[User]) -> set[str]:
    return {words(pair.prompt) for user in users for pair in user.pairs}


def told(users: Iterable[User]) -> set[str]:
    found: set[str] = set()
    for user in users:
        for signal in user.signals:
            if isinstance(signal, Interaction | Preference):
                found.add(words(signal.prompt))
            elif isinstance(signal, Dialogue):
                found |= {words(turn.content) for turn in signal.messages if turn.role == "user"}
    return found


def promises_kept(split: Split, users: Iterable[User]) -> bool:
    parts = (split.train, split.val, split.test)
    ids = [user.user_id for part in parts for user in part]
    given_users = {user.user_id: user for user in users}
    return (
        all(parts)
        and len(set(ids)) == len(ids)
        and not asked(split.test) & (asked(split.train) | told(split.train))
        and not asked(split.test) & (asked(split.val) | told(split.val))
        and not asked(split.val) & (asked(split.train) | told(split.train))
        and all(user.pairs for part in parts for user in part)
        and all(
            user.signals == given_users[user.user_id].signals
            and set(user.pairs) <= set(given_users[user.user_id].pairs)
            for part in parts
            for user in part
        )
    )


def written(number: int, style: int) -> str:
    return (f"prompt {number}", f"  PROMPT\n{number}", f"Prompt \t{number} ")[style]


@st.composite
def people(draw: st.DrawFn) -> list[User]:
    pool = st.builds(written, st.integers(0, draw(st.sampled_from([2, 10, 60]))), st.integers(0, 2))
    signal = st.one_of(
        st.builds(Interaction, pool, st.just("answer")),
        st.builds(Preference, pool, st.just("yes"), st.just("no")),
        pool.map(lambda prompt: Dialogue((Turn("assistant", "hello"), Turn("user", prompt)))),
    )
    each = st.tuples(st.lists(pool, max_size=3), st.lists(signal, max_size=2))
    drawn = draw(st.lists(each, max_size=14))
    return [person(f"u{i}", prompts, signals) for i, (prompts, signals) in enumerate(drawn)]


@given(people(), st.integers(0, 5), st.sampled_from([(0.4, 0.3, 0.3), (0.8, 0.1, 0.1)]))
@some
def test_random_users_are_split_as_promised_or_not_at_all(
    users: list[User], seed: int, fractions: tuple[float, float, float]
) -> None:
    try:
        split = split_users(users, seed=seed, fractions=fractions)
    except OptimizationError:
        return
    assert promises_kept(split, users)
    parts = (split.train, split.val, split.test)
    with_pairs = [user for user in users if user.pairs]
    assert sum(map(len, parts)) + split.dropped_users == len(with_pairs)
    kept = sum(len(user.pairs) for part in parts for user in part)
    assert kept + split.dropped_pairs == sum(len(user.pairs) for user in users)


@given(st.integers(3, 40), st.integers(0, 20))
@some
def test_users_with_prompts_of_their_own_are_all_kept(count: int, seed: int) -> None:
    users = strangers(count)
    split = split_users(users, seed=seed)
    assert promises_kept(split, users)
    assert (split.dropped_users, split.dropped_pairs) == (0, 0)
    assert len(split.train) + len(split.val) + len(split.test) == count


@pytest.mark.parametrize(
    ("fractions", "sizes"),
    [((0.4, 0.3, 0.3), (8, 6, 6)), ((0.8, 0.1, 0.1), (16, 2, 2)), ((0.2, 0.2, 0.6), (4, 4, 12))],
)
def test_the_fractions_are_those_of_train_val_and_test(
    fractions: tuple[float, float, float], sizes: tuple[int, int, int]
) -> None:
    split = split_users(strangers(20), fractions=fractions)
    assert (len(split.train), len(split.val), len(split.test)) == sizes


def test_no_more_users_are_held_out_than_are_worth_measuring_on() -> None:
    users = strangers(1000)
    split = split_users(users, fractions=(0.2, 0.4, 0.4))
    assert promises_kept(split, users)
    assert len(split.test) == len(split.val) == MOST_HELD_OUT
    assert len(split.train) == 1000 - 2 * MOST_HELD_OUT


def test_no_more_are_held_out_where_everybody_answered_the_same_prompts() -> None:
    users = [person(f"u{i}", [f"prompt {k}" for k in range(10)]) for i in range(500)]
    split = split_users(users, fractions=(0.2, 0.4, 0.4))
    assert promises_kept(split, users)
    assert len(split.test) == len(split.val) == MOST_HELD_OUT
    assert len(split.train) == 500 - 2 * MOST_HELD_OUT


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    users = strangers(30)
    assert split_users(users, seed=1) == split_users(users, seed=1)
    assert split_users(users, seed=1) != split_users(users, seed=2)


def split_or_not(users: list[User], seed: int) -> Split | str:
    try:
        return split_users(users, seed=seed)
    except OptimizationError as error:
        return str(error)


@given(people(), st.integers(0, 5), st.randoms(use_true_random=False))
@some
def test_the_order_of_the_users_changes_nothing(
    users: list[User], seed: int, chance: Random
) -> None:
    shuffled = list(users)
    chance.shuffle(shuffled)
    assert split_or_not(shuffled, seed) == split_or_not(users, seed)


def test_the_order_changes_nothing_where_everybody_answered_the_same_prompts() -> None:
    users = [person(f"u{i}", [f"prompt {(i + k) % 10}" for k in range(10)]) for i in range(30)]
    assert split_users(users[::-1]) == split_users(users)


def test_users_who_share_a_prompt_stay_together() -> None:
    users = [person(f"u{i}", [f"prompt {i // 2}"]) for i in range(20)]
    users.append(person("chain", ["  PROMPT 0", "prompt 1"]))
    for seed in range(5):
        split = split_users(users, seed=seed)
        assert promises_kept(split, users)
        assert split.dropped_users == 0
        homes = [
            {name for name in ("u0", "u1", "u2", "u3", "chain") if name in ids}
            for ids in ({u.user_id for u in p} for p in (split.train, split.val, split.test))
        ]
        assert sorted(map(len, homes)) == [0, 0, 5]


def test_where_everybody_answered_the_same_prompts_pairs_are_dropped() -> None:
    users = [person(f"u{i}", [f"prompt {k}" for k in range(10)]) for i in range(10)]
    split = split_users(users, fractions=(0.4, 0.3, 0.3))
    assert promises_kept(split, users)
    kept = sum(len(u.pairs) for part in (split.train, split.val, split.test) for u in part)
    assert split.dropped_pairs == 100 - kept > 0
    assert (len(split.train), len(split.val), len(split.test)) == (4, 3, 3)


@pytest.mark.parametrize("seed", range(6))
def test_a_user_told_of_all_prompts_is_never_in_train_or_val(seed: int) -> None:
    signals = [Interaction(f" PROMPT  {i}", "answer") for i in range(12)]
    users = [*strangers(12), person("knows", ["own prompt"], signals)]
    split = split_users(users, seed=seed)
    assert promises_kept(split, users)
    assert "knows" not in {user.user_id for user in (*split.train, *split.val)}
    dropped = int("knows" not in {user.user_id for user in split.test})
    assert (split.dropped_users, split.dropped_pairs) == (dropped, dropped)


@pytest.mark.parametrize("seed", range(4))
def test_prompts_that_occur_in_signals_go_to_train_so_that_nobody_is_dropped(seed: int) -> None:
    users = strangers(12)
    users[0] = person("u0", ["prompt 0"], [Interaction("prompt 1", "answer")])
    split = split_users(users, seed=seed)
    assert promises_kept(split, users)
    assert split.dropped_users == 0
    assert "u1" in {user.user_id for user in split.train}


@pytest.mark.parametrize("sizes", [(3, 3, 3), (40, 40, 40), (5, 5, 5, 1), (4, 4, 2), (6, 6, 6, 2)])
@pytest.mark.parametrize("seed", range(5))
def test_blocks_larger_than_a_share_are_parts_all_the_same(
    sizes: tuple[int, ...], seed: int
) -> None:
    users = [
        person(f"u{block}-{i}", [f"prompt {block}"])
        for block, size in enumerate(sizes)
        for i in range(size)
    ]
    split = split_users(users, seed=seed)
    assert promises_kept(split, users)
    assert split.dropped_users == 0


def test_blocks_larger_than_a_part_may_be_are_cut_by_user_and_prompt() -> None:
    users = [
        person(f"u{block}-{i}", [f"prompt {block}-{j}" for j in range(4)])
        for block in range(3)
        for i in range(MOST_HELD_OUT + 8)
    ]
    split = split_users(users)
    assert promises_kept(split, users)
    assert max(len(split.val), len(split.test)) <= MOST_HELD_OUT


def test_users_without_pairs_are_left_out_and_not_counted_as_dropped() -> None:
    users = [*strangers(6), person("bare", [])]
    split = split_users(users)
    assert split.dropped_users == 0
    kept = {user.user_id for part in (split.train, split.val, split.test) for user in part}
    assert kept == {f"u{i}" for i in range(6)}


@pytest.mark.parametrize(
    "users",
    [
        [],
        strangers(1),
        strangers(2),
        [person(f"u{i}", []) for i in range(9)],
        [person(f"u{i}", ["Same  prompt" if i % 2 else "same prompt"]) for i in range(9)],
    ],
    ids=["nobody", "one", "two", "no pairs", "one prompt"],
)
def test_too_little_to_split_is_an_optimization_error(users: list[User]) -> None:
    with pytest.raises(OptimizationError, match="too few"):
        split_users(users)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Hello  there\n", "hello THERE", True),
        ("Straße", "STRASSE", True),
        ("hello there", "hellothere", False),
        ("hello.", "hello", False),
    ],
)
def test_prompts_are_the_same_without_case_and_spacing(one: str, other: str, same: bool) -> None:
    assert (normal(one) == normal(other)) is same
