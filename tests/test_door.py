"""The one door: a request is paid once, errors name where they come from, calls are counted."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from popi_prompt.errors import BadResponse, ModelError, RateLimited, UnknownModel, UsageError
from popi_prompt.models.attribution import attributed
from popi_prompt.models.books import Books
from popi_prompt.models.cache import AnswerCache
from popi_prompt.models.door import ROLES, Door
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Spent
from popi_prompt.prompts import Message, Messages
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door

GREEDY = Sampling()


def asking(text: str = "What is rain?") -> Messages:
    return (Message("user", text),)


def failing_until(calls: int) -> Callable[[Messages], ModelError | None]:
    """Fails on the first `calls` calls."""
    left = [calls]

    def fails(messages: Messages) -> ModelError | None:
        left[0] -= 1
        return RateLimited("slow down") if left[0] >= 0 else None

    return fails


def test_the_same_request_is_sent_once() -> None:
    model = FakeModel("Water.")
    door = fake_door({"generator": model})
    answers = [door.chat("generator", asking(), GREEDY) for _ in range(3)]
    assert [answer.text for answer in answers] == ["Water."] * 3
    assert model.calls == [("chat", asking())]


def test_the_same_request_from_eight_threads_at_once_is_sent_once() -> None:
    def slowly(messages: Messages, sampling: Sampling) -> str:
        time.sleep(0.1)
        return "Water."

    model = FakeModel(slowly)
    door = fake_door({"generator": model})
    together = threading.Barrier(8)

    def ask(_: int) -> Answer:
        together.wait()
        return door.chat("generator", asking(), GREEDY)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.text for answer in answers} == {"Water."}
    assert len(model.calls) == 1
    assert door.spent()["generator"].calls == 1


def test_an_error_reaches_every_thread_that_waited_and_is_forgotten() -> None:
    def slowly(messages: Messages) -> ModelError | None:
        time.sleep(0.1)
        return first(messages)

    first = failing_until(1)
    model = FakeModel("Water.", fails=slowly)
    door = fake_door({"generator": model})
    together = threading.Barrier(4)

    def ask(_: int) -> str:
        together.wait()
        try:
            return door.chat("generator", asking(), GREEDY).text
        except RateLimited as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(ask, range(4)))
    assert "generator, model 'fake/generator': slow down" in answers
    assert door.chat("generator", asking(), GREEDY).text == "Water."


@pytest.mark.parametrize(
    ("text", "sampling"),
    [
        ("What is snow?", GREEDY),
        ("What is rain?", Sampling(max_tokens=7)),
        ("What is rain?", Sampling(temperature=1.0)),
        ("What is rain?", Sampling(seed=1)),
    ],
)
def test_another_request_is_sent_again(text: str, sampling: Sampling) -> None:
    model = FakeModel()
    door = fake_door({"generator": model})
    door.chat("generator", asking(), GREEDY)
    door.chat("generator", asking(text), sampling)
    assert len(model.calls) == 2


def test_logprobs_and_odds_are_paid_once_too() -> None:
    model = FakeModel()
    door = fake_door({"generator": model})
    for _ in range(2):
        door.logprobs("generator", asking(), ("one", "two"))
        door.option_odds("generator", asking(), ("A", "B"))
    assert [what for what, _ in model.calls] == ["logprobs", "odds"]


def test_roles_of_different_models_do_not_share_answers() -> None:
    door = fake_door({"generator": FakeModel("from one"), "inference": FakeModel("from two")})
    assert door.chat("generator", asking(), GREEDY).text == "from one"
    assert door.chat("inference", asking(), GREEDY).text == "from two"


def test_errors_are_not_remembered() -> None:
    door = fake_door({"generator": FakeModel("Water.", fails=failing_until(1))})
    with pytest.raises(RateLimited):
        door.chat("generator", asking(), GREEDY)
    assert door.chat("generator", asking(), GREEDY).text == "Water."


def test_errors_keep_their_type_and_name_role_and_model() -> None:
    model = FakeModel(fails=lambda messages: BadResponse("nothing usable"))
    door = fake_door({"inference": model})
    calls: list[Callable[[], object]] = [
        lambda: door.chat("inference", asking(), GREEDY),
        lambda: door.logprobs("inference", asking(), ("one",)),
        lambda: door.option_odds("inference", asking(), ("A", "B")),
    ]
    for call in calls:
        with pytest.raises(BadResponse) as caught:
            call()
        assert caught.value.role == "inference"
        assert caught.value.model == "fake/inference"
        assert str(caught.value) == "inference, model 'fake/inference': nothing usable"


def test_a_model_that_cannot_be_opened_is_named() -> None:
    def refuse(route: Route) -> FakeModel:
        raise UnknownModel("there is no such model")

    door = Door({"generator": "nowhere/x"}, open_model=refuse)
    with pytest.raises(UnknownModel, match="generator, model 'nowhere/x': there is no such"):
        door.chat("generator", asking(), GREEDY)


def test_models_are_opened_at_first_use_and_once() -> None:
    opened: list[str] = []

    def open_model(route: Route) -> FakeModel:
        opened.append(route.model)
        return FakeModel(name=route.model)

    door = Door({"generator": "a/b", "inference": "a/b"}, open_model=open_model)
    assert opened == []
    door.model("generator")
    door.model("inference")
    assert opened == ["a/b"]


def test_spent_counts_calls_and_tokens_by_role_and_not_what_was_remembered() -> None:
    door = fake_door({"generator": FakeModel("one two three")})
    assert door.spent() == {}
    for _ in range(2):
        door.chat("generator", asking("four words are here"), GREEDY)
    assert door.spent() == {"generator": Spent(calls=1, tokens_in=4, tokens_out=3)}
    door.logprobs("generator", asking("two words"), ("one", "and two"))
    assert door.spent() == {"generator": Spent(calls=2, tokens_in=9, tokens_out=3)}
    door.option_odds("inference", asking("two words"), ("A", "B"))
    assert door.spent()["inference"] == Spent(calls=1, tokens_in=2, tokens_out=1)


def test_a_failed_call_is_not_counted_as_tokens() -> None:
    door = fake_door({"generator": FakeModel(fails=lambda messages: BadResponse("no"))})
    with pytest.raises(BadResponse):
        door.chat("generator", asking(), GREEDY)
    assert door.spent().get("generator", Spent()).tokens == 0


def test_logprobs_of_a_chat_only_route_name_the_scorer_to_use() -> None:
    door = fake_door({"generator": FakeChatModel()})
    assert not door.scores_responses("generator")
    with pytest.raises(UsageError, match="--scorer choice"):
        door.logprobs("generator", asking(), ("one", "two"))


def test_tokens_are_counted_by_the_role() -> None:
    assert fake_door().count_tokens("generator", "one two three") == 3


def owners(path: Path, door_to_use: Door, work: Callable[[Door], None]) -> dict[str, int]:
    """How many answers go with each user."""
    with door_to_use as door:
        work(door)
    counts = {}
    for name in ("u1", "u2", "u3"):
        copied = path.with_name(name)
        shutil.copy(path, copied)
        cache = AnswerCache(copied)
        counts[name] = cache.forget_user(name)
        cache.close()
    return counts


def kept_door(path: Path, model: FakeModel) -> Door:
    return Door(
        {role: f"fake/{role}" for role in ROLES},
        open_model=lambda route: model,
        books=Books(cache=AnswerCache(path)),
    )


def test_an_answer_goes_with_everybody_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"

    def work(door: Door) -> None:
        with attributed(user_id="u1", quoted=("u2", None)):
            door.chat("inference", asking(), GREEDY)
        with attributed(user_id="u1"):
            door.chat("generator", asking(), GREEDY)
        with attributed(user_id="u3"):  # answered from memory
            door.chat("generator", asking(), GREEDY)

    assert owners(path, kept_door(path, FakeModel()), work) == {"u1": 2, "u2": 1, "u3": 1}
