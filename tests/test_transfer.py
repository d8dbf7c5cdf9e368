"""The same summaries on several generators: inferred once, scored alike, failures stay in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO

import pytest
from toy_tastes import COMPILED_CANDIDATE, EXPERT, PEOPLE, PLAIN, infer, too_long

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Menu
from popi_prompt.cli.transfer_table import print_transfer
from popi_prompt.comparison import Scoring, compare
from popi_prompt.errors import (
    BadResponse,
    BudgetExceeded,
    MissingDependency,
    ModelError,
    ModelUnavailable,
    OptimizationError,
    UnknownModel,
    UsageError,
)
from popi_prompt.events import Event, Noted
from popi_prompt.matrix import Cell, Line, Transfer
from popi_prompt.models.attribution import attribution
from popi_prompt.models.books import Books
from popi_prompt.models.door import Door
from popi_prompt.models.litellm_model import LiteLLMModel
from popi_prompt.models.meter import Meter
from popi_prompt.models.model import Answer, Model, Sampling
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps
from popi_prompt.prompts import Message, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import COMPILED, MARGIN, NO_CONTEXT, UNTUNED
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.stub_server import StubServer
from popi_prompt.testing import FakeChatModel, FakeModel
from popi_prompt.transfer import transfer

Fake = FakeModel | FakeChatModel


class Contrary(FakeModel):
    """Whatever it is told moves it to the other answer."""

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        return super().logprobs(messages, responses)[::-1]


class Deaf(FakeModel):
    """Nothing that it is told moves it."""

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        return tuple(-float(len(response)) for response in responses)


def failing(error: ModelError) -> Callable[[Messages], ModelError | None]:
    return lambda messages: error


def door(
    generators: Mapping[str, Fake | ModelError], inference: FakeModel | None = None, **caps: int
) -> Door:
    """The program's own generator is not there: nothing may ask it."""

    def opened(route: Route) -> Fake:
        if route.model == "fake/inference":
            return inference if inference is not None else FakeModel(infer)
        found = generators.get(route.model, UnknownModel("there is none"))
        if isinstance(found, ModelError):
            raise found
        return found

    names = {"inference": "fake/inference", "generator": "fake/home"}
    return Door(names, open_model=opened, books=Books(Meter(Caps(**caps))))


def transferred(
    generators: Mapping[str, Fake | ModelError],
    scorers: Sequence[str] = (),
    inference: FakeModel | None = None,
) -> Transfer:
    through = door(generators, inference)
    return transfer(COMPILED_CANDIDATE, PEOPLE, through, list(generators), scorers)


def line(found: Transfer, generator: str) -> Line:
    return next(each for each in found.lines if each.generator == generator)


def cell(found: Transfer, generator: str, scorer: str = "likelihood") -> Cell:
    return next(each for each in line(found, generator).cells if each.scorer == scorer)


def test_a_cell_is_what_evaluate_measures_on_that_generator() -> None:
    found = transferred({"fake/a": FakeModel(), "fake/b": Contrary()})
    for name, model in {"fake/a": FakeModel(), "fake/b": Contrary()}.items():
        alone = door({name: model}).elsewhere({"generator": name})
        scoring = Scoring(alone, LikelihoodScorer(), PopiReward())
        rows = compare(COMPILED_CANDIDATE, PEOPLE, scoring, (NO_CONTEXT, UNTUNED, COMPILED)).rows
        report = cell(found, name).report
        assert report is not None
        assert report.rows == rows


def test_summaries_are_inferred_once_for_all_generators_and_scorers() -> None:
    inference = FakeModel(infer)
    found = transferred({f"fake/{i}": FakeModel() for i in range(3)}, inference=inference)
    assert len(inference.calls) == 2 * len(PEOPLE)
    told = [
        [outcome.summary for outcome in each.own.scored]
        for line in found.lines
        for each in line.cells
        if each.own is not None
    ]
    assert len(told) == 6
    assert told == [told[0]] * 6


def test_a_summary_that_failed_once_is_a_failure_on_every_generator() -> None:
    asked: list[Messages] = []

    def fails(messages: Messages) -> ModelError | None:
        """Only the first time."""
        if "signal 4" not in messages[-1].content or messages in asked:
            return None
        asked.append(messages)
        return BadResponse("nothing usable")

    inference = FakeModel(infer, fails=fails)
    found = transferred({"fake/a": FakeModel(), "fake/b": FakeModel()}, inference=inference)
    for name in ("fake/a", "fake/b"):
        own = cell(found, name).own
        assert own is not None
        assert [failure.user_id for failure in own.failures] == ["u04"]
        assert "inference, model 'fake/inference': nothing usable" in own.failures[0].reason
        assert len(own.scored) == 11


def test_scorers_are_those_that_the_route_allows() -> None:
    found = transferred({"fake/open": FakeModel(), "fake/closed": FakeChatModel()})
    assert [each.scorer for each in line(found, "fake/open").cells] == ["likelihood", "choice"]
    assert [each.scorer for each in line(found, "fake/closed").cells] == ["choice"]


def test_a_scorer_asked_for_that_a_route_does_not_allow_fails_in_its_cell_alone() -> None:
    scorers = ("likelihood", "choice")
    found = transferred({"fake/open": FakeModel(), "fake/closed": FakeChatModel()}, scorers)
    refused = cell(found, "fake/closed").as_record()["error"]
    assert refused["kind"] == "UsageError"
    assert "'fake/closed' gives no log-probabilities" in refused["reason"]
    assert cell(found, "fake/closed", "choice").report is not None
    assert line(found, "fake/closed").verdict == "not proven"


def test_verdicts_follow_the_first_scorers_interval() -> None:
    found = transferred({"fake/a": FakeModel(), "fake/b": Contrary(), "fake/c": Deaf()})
    verdicts = [each.verdict for each in found.lines]
    assert verdicts == ["plug-and-play", "harmful", "not proven"]
    helped = line(found, "fake/a").says()
    assert helped.startswith("plug-and-play: by likelihood, ")
    assert "better than untuned ones; not proven by choice" in helped
    assert "worse than untuned ones" in line(found, "fake/b").says()
    own = cell(found, "fake/b").own
    assert own is not None
    assert own.mean(MARGIN).below_zero
    agreed = transferred({"fake/c": Deaf()}).lines[0].says()
    assert agreed.endswith("so by choice")


def test_an_untuned_program_is_not_compared_with_itself() -> None:
    through = door({"fake/a": FakeModel()})
    found = transfer(UNTUNED_CANDIDATE, PEOPLE, through, ["fake/a"])
    each = cell(found, "fake/a")
    assert each.report is not None
    assert [row.name for row in each.report.rows] == [NO_CONTEXT, UNTUNED]
    assert each.against(UNTUNED) is None
    assert each.as_record()["against_untuned"] is None
    assert "untuned" not in found.lines[0].says()


def test_a_generator_that_cannot_be_opened_or_scored_fails_in_its_line_alone() -> None:
    down = ModelUnavailable("connection refused")
    generators: dict[str, Fake | ModelError] = {
        "fake/missing": MissingDependency("run: pip install it"),
        "fake/down": FakeModel(fails=failing(down)),
        "fake/a": FakeModel(),
    }
    found = transferred(generators)
    assert [each.verdict for each in found.lines] == ["failed", "failed", "plug-and-play"]
    missing = line(found, "fake/missing")
    assert missing.cells == ()
    assert missing.failed is not None
    assert missing.failed.kind == "MissingDependency"
    assert missing.failed.reason == "generator, model 'fake/missing': run: pip install it"
    assert "connection refused" in line(found, "fake/down").says()
    assert line(found, "fake/a") == transferred({"fake/a": FakeModel()}).lines[0]
    record = json.loads(json.dumps(found.as_record(), allow_nan=False))
    assert record["generators"][1]["cells"][0]["error"]["kind"] == "OptimizationError"


def test_names_that_are_none_are_usage_errors_before_anything_is_inferred() -> None:
    inference = FakeModel(infer)
    through = door({"fake/a": FakeModel()}, inference)
    for generators, scorers in [
        (["fake/a", "fake/none"], []),
        (["fake/a"], ["likelihod"]),
        (["fake/a"], ["similarity"]),
    ]:
        with pytest.raises(UsageError):
            transfer(COMPILED_CANDIDATE, PEOPLE, through, generators, scorers)
    assert inference.calls == []


def test_it_is_an_error_where_nothing_could_be_scored() -> None:
    with pytest.raises(OptimizationError, match="no generator could be scored.*pip install"):
        transferred({"fake/missing": MissingDependency("run: pip install it")})
    refused = FakeModel(fails=failing(BadResponse("the key is refused")))
    with pytest.raises(OptimizationError, match="no user has a summary.*the key is refused"):
        transferred({"fake/a": FakeModel()}, inference=refused)
    with pytest.raises(BudgetExceeded, match="the cap of 30 calls is reached"):
        transfer(COMPILED_CANDIDATE, PEOPLE, door({"fake/a": FakeModel()}, calls=30), ["fake/a"])


def test_a_cap_keeps_the_generators_that_were_measured_by_then() -> None:
    names = ["fake/a", "fake/b"]
    whole = transferred({"fake/a": FakeModel(), "fake/b": FakeModel()}, ["likelihood"])
    through = door({"fake/a": FakeModel(), "fake/b": FakeModel()})
    transfer(COMPILED_CANDIDATE, PEOPLE, through, names[:1], ["likelihood"])
    calls = sum(each.calls for each in through.spent().values())
    through = door({"fake/a": FakeModel(), "fake/b": FakeModel()}, calls=calls + 3)
    found = transfer(COMPILED_CANDIDATE, PEOPLE, through, names, ["likelihood"])
    assert line(found, "fake/a") == line(whole, "fake/a")
    over = line(found, "fake/b")
    assert (over.verdict, over.kind) == ("failed", "BudgetExceeded")
    assert f"the cap of {calls + 3} calls is reached" in over.says()


def test_a_cap_that_leaves_no_call_to_ask_what_a_route_allows_keeps_the_others() -> None:
    alone = door({"fake/a": FakeModel()})
    transfer(COMPILED_CANDIDATE, PEOPLE, alone, ["fake/a"])
    calls = sum(each.calls for each in alone.spent().values())

    def opened(route: Route) -> Model:
        if route.model.startswith("openai/"):
            return LiteLLMModel(route)
        return FakeModel(infer) if route.model == "fake/inference" else FakeModel()

    names = {"inference": "fake/inference", "generator": "fake/home"}
    with StubServer() as server:
        hosted = Route("openai/stub", api_base=server.api_base)
        through = Door(names, open_model=opened, books=Books(Meter(Caps(calls=calls))))
        found = transfer(COMPILED_CANDIDATE, PEOPLE, through, ["fake/a", hosted])
    assert found.lines[0].verdict != "failed"
    assert found.lines[1].kind == "BudgetExceeded"


def test_an_error_of_a_cap_is_one_where_nothing_else_is_to_blame() -> None:
    refused = FakeModel(fails=failing(BadResponse("the key is refused")))
    through = door({"fake/a": refused, "fake/b": FakeModel()}, calls=40)
    with pytest.raises(OptimizationError, match="the key is refused"):
        transfer(COMPILED_CANDIDATE, PEOPLE, through, ["fake/a", "fake/b"], ["likelihood"])


class Weighing(FakeModel):
    """Writes nothing; its log-probabilities choose."""

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        raise BadResponse("cut off")


def test_a_program_that_chooses_needs_no_model_that_writes() -> None:
    menu = Menu("fake/inference", (PLAIN, EXPERT), (0.0, 0.0))
    seen: list[Event] = []
    through = door({"fake/a": FakeModel()}, Weighing())
    found = transfer(Candidate(menu=menu), PEOPLE, through, ["fake/a"], (), seen.append)
    each = cell(found, "fake/a")
    assert each.own is not None
    assert each.report is not None
    untuned = each.report.row(UNTUNED)
    assert untuned is not None
    assert (len(each.own.scored), len(untuned.failures)) == (12, 12)
    assert "cut off" in untuned.failures[0].reason
    assert each.against(UNTUNED) is None
    assert found.lines[0].verdict != "failed"
    json.dumps(found.as_record(), allow_nan=False)
    noted = [event.text for event in seen if isinstance(event, Noted)]
    assert any("untuned: no user has a summary" in text and "cut off" in text for text in noted)


def test_users_that_one_generator_cannot_read_are_left_out_there_and_counted() -> None:
    strict = FakeModel(fails=lambda messages: too_long(messages) or _long(messages))
    found = transferred({"fake/a": FakeModel(), "fake/strict": strict})
    record = cell(found, "fake/strict").as_record()
    assert record["users"] == 11
    assert [failure["user_id"] for failure in record["failures"]] == ["u03"]
    assert record["against_no_context"]["users"] == 11
    assert cell(found, "fake/a").as_record()["users"] == 12


def test_who_fails_in_another_row_is_listed_and_the_difference_says_of_how_many_it_is() -> None:
    def fails(messages: Messages) -> ModelError | None:
        of_row = attribution().candidate == UNTUNED and "pair 1" in messages[-1].content
        return BadResponse("nothing usable") if of_row else None

    found = transferred({"fake/a": FakeModel(fails=fails)})
    each = cell(found, "fake/a")
    failed = each.as_record()["other_failures"]["untuned"]
    assert failed
    fewer = 12 - len(failed)
    assert each.as_record()["against_untuned"]["users"] == fewer
    with redirect_stdout(StringIO()) as out:
        print_transfer(found, "users")
    assert f", {fewer} users" in out.getvalue()
    assert "failed, fake/a by likelihood, untuned summary: user" in out.getvalue()


def _long(messages: Messages) -> ModelError | None:
    return BadResponse("cut off") if messages[-1].content == "pair 3" else None


def test_the_judge_is_the_same_for_all_and_asked_through_the_same_door() -> None:
    def answers(messages: Messages, sampling: Sampling) -> str:
        return " ".join(message.content for message in messages)

    judge = FakeModel()
    first, second = FakeModel(answers), FakeModel(lambda m, s: answers(m, s).upper())
    through = door({"fake/a": first, "fake/b": second, "fake/judge": judge})
    through = through.elsewhere({"judge": "fake/judge"})
    found = transfer(COMPILED_CANDIDATE, PEOPLE, through, ["fake/a", "fake/b"], ["judge"])
    assert [each.cells[0].scorer for each in found.lines] == ["judge", "judge"]
    assert {what for what, _ in judge.calls} == {"odds"}
    assert "judge" in through.spent()


def test_a_door_led_elsewhere_shares_models_memory_and_meter() -> None:
    model = FakeModel("Water.")
    through = door({"fake/a": model, "fake/b": FakeModel("Ice.")})
    asked = (Message("user", "What is rain?"),)
    first = through.elsewhere({"generator": "fake/a"})
    again = through.elsewhere({"generator": "fake/b"}).elsewhere({"generator": Route("fake/a")})
    assert first.chat("generator", asked, Sampling()) == again.chat("generator", asked, Sampling())
    assert len(model.calls) == 1
    assert through.names["generator"] == "fake/home"
    assert through.spent() == again.spent()
    assert again.spent()["generator"].calls == 1
