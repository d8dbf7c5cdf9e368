"""Summaries sampled for a user: only what pays for that user, and was theirs to show, is shown."""

from __future__ import annotations

from dataclasses import replace

from learnable_tastes import LEARNERS, SPLIT, learning_door
from toy_tastes import EXPERT, PLAIN

from popi_prompt.errors import BadResponse
from popi_prompt.events import ignore
from popi_prompt.guard import Guard
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.ngrams import RUN, Runs
from popi_prompt.optimizers import Task
from popi_prompt.optimizers.own_words import own_sets
from popi_prompt.optimizers.statements import RewardTable, sampled
from popi_prompt.prompts import UNTUNED_CONDITIONING, Messages
from popi_prompt.proposals import summary_request
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import texts_in_signals
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.testing import FakeModel

WORDS = {PLAIN: "everyday and simple, as a child has them", EXPERT: "terms that an expert knows"}


def tells(messages: Messages, sampling: Sampling) -> str:
    """By the seed: the other taste, their own, or the very words of the signals."""
    liked = PLAIN if f"Liked: {PLAIN}" in messages[-1].content else EXPERT
    other = EXPERT if liked == PLAIN else PLAIN
    return (WORDS[other], WORDS[liked], liked)[(sampling.seed or 0) % 3]


def task_with(proposer: FakeModel) -> Task:
    door: Door = learning_door(proposer=proposer)
    return Task(SPLIT.train, SPLIT.val, door, LikelihoodScorer(), PopiReward(), 1, 0, ignore, print)


def shown(proposer: FakeModel | None = None, guard: Guard = Guard()) -> list[tuple[str, str]]:
    """Group and summary of everybody in the set."""
    task = replace(task_with(proposer or FakeModel(tells)), guard=guard)
    sets = own_sets(task, RewardTable(task, UNTUNED_CONDITIONING), SPLIT.train)
    assert len(sets) <= 1
    return [(user.group or "", text) for each in sets for user, text in each.examples]


def test_users_are_shown_with_the_sample_that_paid_and_tastes_are_mixed() -> None:
    found = shown()
    assert set(found) == {("plain", WORDS[PLAIN]), ("expert", WORDS[EXPERT])}
    assert len(found) <= 5
    assert {group for group, _ in found[:2]} == {"plain", "expert"}


def test_who_may_not_be_shown_is_not_asked_about() -> None:
    plain = [user for user in LEARNERS if user.group == "plain"]
    texts = [list(texts_in_signals(user))[1] for user in plain]
    guard = Guard(shown=Runs([" ".join(text.split()[-RUN:]) for text in texts]))
    model = FakeModel(tells)
    assert {group for group, _ in shown(model, guard)} == {"expert"}
    assert f"Liked: {PLAIN}" not in str(model.calls)


def test_a_summary_in_the_words_of_who_measures_is_not_shown() -> None:
    guard = Guard(written=Runs([WORDS[PLAIN]]))
    assert {text for _, text in shown(guard=guard)} == {WORDS[EXPERT]}


def test_without_samples_there_is_no_set() -> None:
    assert shown(FakeModel(fails=lambda messages: BadResponse("nothing usable"))) == []


def test_nobody_gains_by_what_says_nothing() -> None:
    assert shown(FakeModel("Say nothing in particular.")) == []


def test_a_text_without_words_is_no_summary() -> None:
    request = summary_request("- a b c")
    task = task_with(FakeModel("-- ...!"))
    assert sampled(task, "- a b c", "proposer", request, Sampling(9)) == []
