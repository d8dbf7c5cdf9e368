"""Guesses: summaries are kept where the model tells whom they suit, not where they suit by luck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest
from learnable_tastes import SPLIT, learning_door

from popi_prompt.bank import STATEMENTS
from popi_prompt.errors import RateLimited
from popi_prompt.events import ignore
from popi_prompt.models.door import Door
from popi_prompt.optimizers.guesses import Guesses, by_dimension, guess
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.statements import RewardTable
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import User
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.testing import FakeModel, fake_door

USERS = tuple(User(f"u{i}", ()) for i in range(4))
TEXTS = ("warm", "cold", "long", "short", "odd")
GROUPS = {"tone": ("warm", "cold"), "length": ("long", "short"), "": ("odd",)}
# Tone suits the users whom the model finds it likelier for; length pays more, and it cannot tell.
TOLD = {
    "warm": (2, 2, -2, -2),
    "cold": (-2, -2, 2, 2),
    "long": (1, -1, 1, -1),
    "short": (1, -1, 1, -1),
    "odd": (0, 0, 0, 0),
}
PAID = {
    "warm": (3, 3, -3, -3),
    "cold": (-3, -3, 3, 3),
    "long": (5, 5, -5, -5),
    "short": (-5, -5, 5, 5),
    "odd": (1, 1, 1, 1),
}


class Paid(RewardTable):
    """Rewards that are known."""

    def __init__(self, paid: Mapping[str, Sequence[float]]):
        self._paid = paid

    def rewards(self, user: User, texts: Iterable[str]) -> list[float]:
        return [self._paid[text][int(user.user_id[1:])] for text in texts]


def guesses(told: Mapping[str, Sequence[float]]) -> Guesses:
    levels = np.array([told[text] for text in TEXTS], dtype=float).T
    return Guesses(TEXTS, {user.user_id: levels[i] for i, user in enumerate(USERS)})


def test_what_the_model_can_tell_is_worth_more_than_what_pays_more() -> None:
    told, table = guesses(TOLD), Paid(PAID)
    assert table.best_of(USERS, GROUPS["length"]) > table.best_of(USERS, GROUPS["tone"])
    odds = np.exp(4) / (np.exp(4) + 1)
    assert told.worth(table, USERS, GROUPS["tone"]) == pytest.approx(3 * (2 * odds - 1))
    assert told.worth(table, USERS, GROUPS["length"]) == pytest.approx(0)
    assert told.ranked(table, USERS, GROUPS) == ["tone", "", "length"]
    assert told.kept(table, USERS, GROUPS, 2) == ("warm", "cold")
    assert told.kept(table, USERS, GROUPS, 3) == ("warm", "cold", "odd")


def test_a_further_dimension_joins_only_where_both_together_are_clearly_worth_more() -> None:
    assert guesses(TOLD).kinds_of_taste(Paid(PAID), USERS, GROUPS) == ("warm", "cold")
    told = {**TOLD, "long": (5, -5, -5, -5), "short": (-5, -5, -5, 5)}
    paid = {**PAID, "long": (20, -5, -5, -5), "short": (-5, -5, -5, 20)}
    found = guesses(told).kinds_of_taste(Paid(paid), USERS, GROUPS)
    assert set(found) == {"long", "short", "warm", "cold"}


def test_users_of_whom_nothing_is_known_count_nowhere() -> None:
    told = guesses(TOLD)
    stranger = User("v0", ())
    assert told.worth(Paid(PAID), [stranger], ("warm",)) == -np.inf
    empty = Paid({**PAID, "warm": (-np.inf, 3, -3, -3)})
    assert told.worth(empty, USERS[:2], ("warm",)) == pytest.approx(3)
    assert empty.mean(USERS[:2], "warm") == 3
    assert empty.mean(USERS[:1], "warm") == -np.inf


def task(door: Door) -> Task:
    return Task(
        train=SPLIT.train,
        val=SPLIT.val,
        door=door,
        scorer=LikelihoodScorer(),
        reward=PopiReward(),
        trials=1,
        seed=0,
        observer=ignore,
        keep=lambda candidate, reward: None,
    )


def test_a_guess_has_mean_0_for_every_summary_and_leaves_out_whom_it_failed_for() -> None:
    users = SPLIT.train[:6]
    model = FakeModel(
        fails=lambda messages: (
            RateLimited("too many") if "3" in messages[-1].content.split() else None
        )
    )
    texts = ("be kind and nice", "be brief")
    found = guess(task(fake_door({"inference": model})), users, texts)
    assert found is not None
    levels = np.array(list(found.levels.values()))
    assert levels.mean(axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert set(found.levels) <= {user.user_id for user in users}
    assert all(kind == "logprobs" for kind, _ in model.calls)


def test_too_few_users_are_no_guess() -> None:
    assert guess(task(learning_door()), SPLIT.train[:3], TEXTS) is None


def test_statements_go_by_dimension_and_other_texts_together() -> None:
    texts = (STATEMENTS[4].text, "sampled", STATEMENTS[5].text, "another")
    assert by_dimension(texts, STATEMENTS) == {
        STATEMENTS[4].dimension: (texts[0], texts[2]),
        "": ("sampled", "another"),
    }
