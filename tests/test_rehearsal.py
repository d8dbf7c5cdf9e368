"""Demonstration sets and their rehearsal: what is drawn, and which set wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.events import ignore
from popi_prompt.models.model import Sampling
from popi_prompt.optimizers.demonstrations import (
    MOST_EXAMPLES,
    DemonstrationSet,
    clearest,
    draw_sets,
    users_by_summary,
)
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.rehearsal import Rehearsal
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.optimizers.variations import Lean, vary
from popi_prompt.prompts import UNTUNED_CONDITIONING, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door

PLAIN, EXPERT = "plain words", "learned terms"
TEXTS = (PLAIN, EXPERT)


def person(i: int, taste: str) -> User:
    other = EXPERT if taste == PLAIN else PLAIN
    return User(
        f"u{i:02d}",
        (Preference(f"signal {i}", f"{taste} {i}", f"{other} {i}"),),
        (Pair(f"pair {i}", taste, other),),
    )


USERS = tuple(person(i, TEXTS[i % 2]) for i in range(16))
SHOWN = {PLAIN: USERS[::2], EXPERT: USERS[1::2]}


def last_shown(messages: Messages) -> str:
    """A model that repeats the summary it saw last: what order alone can do."""
    return messages[-2].content


class Parrot(FakeModel):
    """Likelier by far: the summary of the last demonstration."""

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        return tuple(0.0 if text == last_shown(messages) else -9.0 for text in responses)


def rehearsal(*, weighs: bool) -> Rehearsal:
    def reply(messages: Messages, sampling: Sampling) -> str:
        return last_shown(messages)

    parrot = Parrot() if weighs else FakeChatModel(FakeModel(reply))
    door = fake_door({"inference": parrot, "generator": FakeModel()})
    scorer = LikelihoodScorer()
    task = Task((), (), door, scorer, PopiReward(), 1, 0, ignore, lambda *kept: None)
    table = RewardTable(task, UNTUNED_CONDITIONING)
    table.fill(USERS, TEXTS, "rewards")
    return Rehearsal(task, table, TEXTS)


def ending_on(text: str) -> DemonstrationSet:
    other = EXPERT if text == PLAIN else PLAIN
    return DemonstrationSet(((USERS[0], other), (USERS[1], text)))


@pytest.mark.parametrize("weighs", [True, False])
@pytest.mark.parametrize("taste", TEXTS)
def test_the_set_that_serves_the_rehearsing_users_wins(taste: str, weighs: bool) -> None:
    users = [user for user in USERS[2:] if user.pairs[0].chosen == taste]
    sets = [ending_on(PLAIN), ending_on(EXPERT)]
    best = rehearsal(weighs=weighs).best(sets, users, [SHOWN], np.random.default_rng(0))
    assert best[0].examples[-1][1] == taste


def test_a_set_is_known_only_after_it_was_rehearsed() -> None:
    rng = np.random.default_rng(0)
    assert rehearsal(weighs=True).best([ending_on(PLAIN)], [], [SHOWN], rng) == ()


def test_every_survivor_met_all_users() -> None:
    found = rehearsal(weighs=True)
    sets = draw_sets(SHOWN, count=6, rng=np.random.default_rng(1))
    best = found.best(sets, USERS[2:15], [SHOWN], np.random.default_rng(0))
    assert best
    assert all(len(found.takes[each]) == 13 for each in best)
    assert [found.reward(each) for each in best] == sorted(map(found.reward, best), reverse=True)


def test_users_stand_under_the_text_that_serves_them_best() -> None:
    table = rehearsal(weighs=True).table
    found = users_by_summary(table, USERS, TEXTS)
    assert {user.user_id for user in found[PLAIN]} == {user.user_id for user in USERS[::2]}
    assert {user.user_id for user in found[EXPERT]} == {user.user_id for user in USERS[1::2]}


@given(seed=st.integers(0, 10**6), count=st.integers(1, 12))
def test_drawn_sets_differ_and_show_every_summary_by_its_own_users(seed: int, count: int) -> None:
    by_summary = {PLAIN: USERS[::2], EXPERT: USERS[1::2]}
    sets = draw_sets(by_summary, count=count, rng=np.random.default_rng(seed))
    assert 1 <= len(sets) <= count
    assert len(set(sets)) == len(sets)
    for drawn in sets:
        assert {summary for _, summary in drawn.examples} == set(TEXTS)
        assert all(user in by_summary[summary] for user, summary in drawn.examples)
        assert len({user.user_id for user, _ in drawn.examples}) == len(drawn.examples)


def test_only_the_clearest_users_show_a_summary() -> None:
    by_summary = {PLAIN: USERS[::2], EXPERT: USERS[1::2]}
    found = clearest(by_summary)
    assert found == {PLAIN: USERS[::2][:5], EXPERT: USERS[1::2][:5]}


ROOM = st.integers(0, 10**6).map(np.random.default_rng)
LEANS = st.sampled_from([Lean(PLAIN, EXPERT), Lean(EXPERT, PLAIN)])


@given(rng=ROOM, lean=LEANS)
def test_a_variation_is_one_change_that_never_feeds_the_lean(
    rng: np.random.Generator, lean: Lean
) -> None:
    (drawn,) = draw_sets(SHOWN, count=1, rng=rng)
    varied = vary(drawn, SHOWN, lean, rng)
    before, after = drawn.examples, varied.examples
    assert varied != drawn
    assert abs(len(after) - len(before)) <= 1
    assert len(after) <= max(MOST_EXAMPLES, len(before))
    assert {text for _, text in after} == set(TEXTS)
    assert len({user.user_id for user, _ in after}) == len(after)
    assert all(user in SHOWN[text] for user, text in after)

    def excess(examples: Sequence[tuple[User, str]]) -> int:
        return sum(text == lean.excess for _, text in examples)

    def places(examples: Sequence[tuple[User, str]]) -> int:
        return sum(i for i, (_, text) in enumerate(examples) if text == lean.lacking)

    assert excess(after) <= excess(before)
    if len(after) == len(before):
        assert places(after) >= places(before)


def test_a_set_that_cannot_be_varied_comes_back() -> None:
    only = DemonstrationSet(((USERS[0], PLAIN), (USERS[1], EXPERT)))
    shown = {PLAIN: USERS[:1], EXPERT: USERS[1:2]}
    rng = np.random.default_rng(0)
    assert vary(only, shown, Lean(EXPERT, PLAIN), rng) != only  # the two change places
    swapped = DemonstrationSet(only.examples[::-1])
    assert vary(swapped, shown, Lean(EXPERT, PLAIN), rng) == swapped


class Leaning(FakeModel):
    """Knows every taste, but leans to what the demonstrations end on and show most."""

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        shown = [message.content for message in messages if message.role == "assistant"]
        plain = 1.0 if PLAIN in messages[-1].content else -1.0
        lean = sum(1 + (i == len(shown) - 1) for i, text in enumerate(shown) if text == PLAIN)
        lean -= sum(1 + (i == len(shown) - 1) for i, text in enumerate(shown) if text == EXPERT)
        return tuple(plain + lean if text == PLAIN else 0.0 for text in responses)


@pytest.mark.parametrize("seed", range(4))
def test_variations_take_the_lean_out_of_a_set(seed: int) -> None:
    door = fake_door({"inference": Leaning(), "generator": FakeModel()})
    scorer = LikelihoodScorer()
    task = Task((), (), door, scorer, PopiReward(), 1, 0, ignore, lambda *kept: None)
    table = RewardTable(task, UNTUNED_CONDITIONING)
    table.fill(USERS, TEXTS, "rewards")
    leaning = DemonstrationSet(((USERS[0], PLAIN), (USERS[1], EXPERT), (USERS[3], EXPERT)))
    found = Rehearsal(task, table, TEXTS)
    best = found.best([leaning], USERS[4:], [SHOWN], np.random.default_rng(seed))
    assert leaning not in best[:1]
    assert found.reward(best[0]) > found.reward(leaning)
