"""What the engine's sequences hold: where a job runs, and what it need not evaluate again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.models.slots import Slots, Start
from popi_prompt.models.tokens import common_prefix

PROMPTS = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=9), min_size=1, max_size=8)


def holding(*cached: list[int], scoring: int = 2) -> Slots:
    slots = Slots(scoring=scoring, generating=len(cached) - scoring)
    for slot, tokens in enumerate(cached):
        slots.hold(slot, tokens)
    return slots


def test_a_job_starts_behind_what_its_slot_holds() -> None:
    slots = holding([1, 2, 3, 4], [], [])
    assert slots.start(0, [1, 2, 9, 9, 9], first_row=4) == Start(2)
    assert slots.cached[0] == [1, 2]


def test_a_token_whose_logits_are_asked_for_is_evaluated_and_never_one_alone() -> None:
    slots = holding([1, 2, 3, 4], [], [])
    assert slots.start(0, [1, 2, 3, 4], first_row=1) == Start(1)
    slots.hold(0, [1, 2, 3, 4])
    assert slots.start(0, [1, 2, 3, 4], first_row=3) == Start(2)


def test_a_long_prefix_is_copied_from_a_neighbour_and_a_short_one_is_not() -> None:
    long, short = list(range(70)), list(range(60))
    assert holding(long, [], []).start(2, [*long, 7, 7], first_row=71) == Start(70, 0)
    assert holding(short, [], []).start(2, [*short, 7, 7], first_row=61) == Start(0)


def test_answers_take_the_free_slot_that_holds_most_and_scores_the_one_idle_longest() -> None:
    slots = holding([], [], [1, 2], [1, 2, 3], [9])
    assert slots.take([1, 2, 3, 4]) == 3
    assert slots.take([1, 2, 3, 4]) == 2
    assert slots.free == [4]
    assert [slots.scoring([5]) for _ in range(3)] == [0, 1, 0]
    slots.hold(0, list(range(100)))
    assert [slots.scoring(list(range(100))) for _ in range(2)] == [0, 0]


@given(PROMPTS)
def test_what_is_kept_is_a_prefix_of_the_prompt(prompts: list[list[int]]) -> None:
    slots = Slots(scoring=2, generating=0)
    for prompt in prompts:
        slot = slots.scoring(prompt)
        found = slots.start(slot, prompt, first_row=len(prompt) - 1)
        assert 0 <= found.token <= len(prompt) - 2 or found.token == 0
        assert slots.cached[slot] == prompt[: found.token]
        slots.hold(slot, prompt)
        assert slots.longest(prompt) == len(prompt)
        assert common_prefix(slots.cached[slot], prompt) == len(prompt)
