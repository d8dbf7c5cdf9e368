"""What popi tries after its openings: crossovers, shorter ones, reflection, length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from learnable_tastes import LEARNERS, SPLIT, TAUGHT, learning_door, searched

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import BadResponse, ModelError
from popi_prompt.evaluation import evaluate
from popi_prompt.events import Event, TrialFinished, ignore
from popi_prompt.guard import Guard, make_guard
from popi_prompt.inference import summarizer
from popi_prompt.models.door import Door
from popi_prompt.optimizers.crossover import Grown, crossed, exchanged
from popi_prompt.optimizers.demonstrations import DemonstrationSet
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.reflection import reflect
from popi_prompt.optimizers.shortening import reading, shortened
from popi_prompt.optimizers.space import Choice, Space
from popi_prompt.prompts import CONDITIONINGS, LENGTH_TARGETS, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.testing import FakeModel, fake_door

A, B, C, D, E = SPLIT.train[:5]
FIRST = DemonstrationSet(((A, "x"), (B, "y"), (C, "x")))
OTHER = DemonstrationSet(((D, "y"), (E, "x"), (B, "x")))
SPACE = Space(("one", "two"), (DemonstrationSet(()), FIRST, OTHER), CONDITIONINGS[:2])
BEST: Choice = {
    "instruction": 0,
    "demonstrations": 1,
    "view": 1,
    "conditioning": 1,
    "length": 0,
    "menu": 0,
}


def always(grown: Grown) -> bool:
    return True


def test_all_examples_of_one_summary_are_exchanged() -> None:
    assert exchanged(FIRST, OTHER, "y") == DemonstrationSet(((A, "x"), (D, "y"), (C, "x")))
    assert exchanged(FIRST, OTHER, "z") is None
    assert exchanged(FIRST, OTHER, "x") is None  # B would be shown twice


def test_a_child_has_parts_of_both_parents_and_is_new() -> None:
    other = {**BEST, "demonstrations": 2, "instruction": 1}
    tried = {str(SPACE.candidate(each)) for each in (BEST, other)}
    children = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)

        def is_new(grown: Grown) -> bool:
            return str(grown[0].candidate(grown[1])) not in tried

        found = crossed(SPACE, [BEST, other], is_new, rng)
        assert found is not None
        space, choice = found
        child = space.candidate(choice)
        assert str(child) not in tried
        assert child.instruction in ("one", "two")
        children.add(str(child))
    assert len(children) == 3  # each instruction swap, and the block of "y"


def test_alone_there_is_nothing_to_cross() -> None:
    assert crossed(SPACE, [BEST], always, np.random.default_rng(0)) is None


def test_the_winner_is_shortened_view_first_then_the_longest_example() -> None:
    door = learning_door()
    full = {**BEST, "view": 0}
    found = shortened(SPACE, full, always, door)
    assert found is not None
    assert found[1] == BEST
    found = shortened(SPACE, BEST, always, door)
    assert found is not None
    space, choice = found
    left = space.sets[choice["demonstrations"]].examples
    assert [text for _, text in left] in (["y", "x"], ["x", "y"])
    assert reading(space.candidate(choice), door) < reading(SPACE.candidate(BEST), door)


def test_every_summary_keeps_an_example() -> None:
    space = replace(SPACE, sets=(DemonstrationSet(()), DemonstrationSet(((A, "x"), (B, "y")))))
    assert shortened(space, BEST, always, learning_door()) is None


def test_a_length_target_is_part_of_the_instruction() -> None:
    bounded = SPACE.candidate({**BEST, "length": 1})
    assert bounded.instruction == f"one {LENGTH_TARGETS['short']}"
    assert SPACE.candidate(BEST).instruction == "one"
    assert Space().candidate(dict.fromkeys(Space().sizes, 0)) == UNTUNED_CANDIDATE


def test_a_joined_space_keeps_its_indices() -> None:
    grown = SPACE.joined(Space(("three", "two"), (OTHER, DemonstrationSet(((A, "x"),)))))
    assert grown.instructions == ("one", "two", "three")
    assert grown.sets[:3] == SPACE.sets
    assert len(grown.sets) == 4


def task(door: Door, train: Sequence[User] = SPLIT.train, guard: Guard = Guard()) -> Task:
    return Task(
        tuple(train),
        SPLIT.val,
        door,
        LikelihoodScorer(),
        PopiReward(),
        1,
        0,
        ignore,
        lambda *kept: None,
        guard,
    )


def reflected(reply: str, guard: Guard = Guard()) -> tuple[str | None, str]:
    models: dict[str, FakeModel] = {}
    door = learning_door(proposer=FakeModel(reply), models=models)
    text = reflect(task(door, guard=guard), Candidate(), Candidate().instruction, 1)
    return text, models["proposer"].calls[0][1][-1].content


def test_the_proposer_reads_what_the_summaries_of_training_users_did() -> None:
    text, told = reflected(TAUGHT)
    assert text == TAUGHT
    assert UNTUNED_CANDIDATE.instruction in told
    assert "be nice" in told
    assert "nats towards the answer that the person" in told
    assert any(user.pairs[0].prompt in told for user in SPLIT.train)
    for user in (*SPLIT.val, *SPLIT.test):
        assert f"{user.pairs[0].prompt}\n" not in told


@pytest.mark.parametrize("reply", ["", "too long " * 60, LEARNERS[0].pairs[0].chosen])
def test_what_is_no_instruction_is_dropped(reply: str) -> None:
    train = LEARNERS[:4]
    door = learning_door(proposer=FakeModel(reply))
    assert reflect(task(door, train), Candidate(), "x", 1) is None


def test_reflection_is_about_nobody_who_is_shown_and_others_each_time() -> None:
    shown = DemonstrationSet(tuple((user, "x") for user in SPLIT.train[:2])).rendered("liked")
    models: dict[str, FakeModel] = {}
    door = learning_door(models=models)
    reflect(task(door), Candidate(demonstrations=shown), "x", 1)
    told = models["proposer"].calls[0][1][-1].content
    assert not any(f"{user.pairs[0].prompt}\n" in told for user in SPLIT.train[:2])


def test_without_a_proposer_or_a_score_there_is_no_reflection() -> None:
    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("nothing usable")

    door = learning_door(proposer=FakeModel(fails=fails))
    assert reflect(task(door), Candidate(), "x", 1) is None
    assert reflect(task(learning_door(fails)), Candidate(), "x", 1) is None


def trials(count: int) -> list[TrialFinished]:
    events: list[Event] = []
    proposer = FakeModel(lambda messages, sampling: f"Look closely, {sampling.seed}.")
    searched("popi", learning_door(proposer=proposer), trials=count, observer=events.append)
    return [event for event in events if isinstance(event, TrialFinished)]


def test_trials_say_by_which_move_and_what_was_chosen() -> None:
    told = trials(14)
    moves = [each.params["move"] for each in told]
    assert moves[0] == "opening"
    assert {"reflection", "sampled"} <= set(moves)
    for each in told:
        assert set(each.params) == {"move", *Space().sizes}
        assert all(isinstance(value, (str, int)) for value in each.params.values())
        assert each.params["length"] in LENGTH_TARGETS
    assert all(each.tokens is not None for each in told if each.reward is not None)


def test_summaries_that_were_scored_before_cost_nothing_again() -> None:
    """Two candidates that write the same summaries share all scores, whatever else differs."""
    models = {"generator": FakeModel(), "inference": FakeModel("Be brief.")}
    door = fake_door(models)
    made = task(door)
    metric = made.metric(UNTUNED_CANDIDATE.conditioning)
    first = evaluate(SPLIT.val, summarizer(Candidate("One."), door), metric)
    asked = len(models["generator"].calls)
    assert asked == 2 * len(SPLIT.val)  # with the summary and without
    second = evaluate(SPLIT.val, summarizer(Candidate("Two."), door), metric)
    assert len(models["generator"].calls) == asked
    assert first == second


def test_reflection_obeys_the_guard() -> None:
    copied = " ".join(SPLIT.test[0].pairs[0].chosen.split())
    guard = make_guard("real", LEARNERS, SPLIT)
    assert not guard.allows_instruction(copied)
    assert reflected(copied, guard)[0] is None
