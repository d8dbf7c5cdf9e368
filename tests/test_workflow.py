"""The main job on fakes: it finishes, repeats itself, and never does worse than untuned."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from kept_calls import Kept

from popi_prompt.bank import BANK
from popi_prompt.candidate import DEMOS, UNTUNED_CANDIDATE, Candidate, Demos
from popi_prompt.comparison import Scoring, compare
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import sample
from popi_prompt.errors import (
    BadResponse,
    ContextTooLong,
    MissingDependency,
    ModelError,
    OptimizationError,
    UsageError,
)
from popi_prompt.evaluation import Failure, Outcome
from popi_prompt.events import Event, Improved, TrialFinished
from popi_prompt.inferring import infer_all
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps
from popi_prompt.optimized import Optimized
from popi_prompt.optimizers import Found, Task
from popi_prompt.optimizers.popi import PopiOptimizer
from popi_prompt.program import Origin, Program, load
from popi_prompt.prompts import Conditioning, Messages
from popi_prompt.rows import COMPILED, GOLD, MARGIN, NO_CONTEXT, UNTUNED
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.seen import held_out
from popi_prompt.settings import Settings
from popi_prompt.testing import FakeChatModel, FakeModel, fake_door
from popi_prompt.workflow import optimize, untuned

PLAIN = "use simple everyday words that a young child can easily understand"
EXPERT = "precise technical terms only expert specialists understand disciplinary terminology"
Fails = Callable[[Messages], ModelError | None]


def said(text: str, mark: str) -> str:
    """The words with a mark after every fourth, so that no two texts share six in a row."""
    split = text.split()
    return " ".join(" ".join([*split[i : i + 4], mark]) for i in range(0, len(split), 4))


def people(count: int = 24) -> tuple[User, ...]:
    """Users of two opposite tastes, each with prompts of their own."""
    users = []
    for i in range(count):
        chosen, rejected = (PLAIN, EXPERT) if i % 2 else (EXPERT, PLAIN)
        users.append(
            User(
                f"u{i:02d}",
                (Preference(f"signal {i}", said(chosen, f"s{i}"), said(rejected, f"s{i}")),),
                tuple(
                    Pair(f"pair {i} {k}", said(chosen, f"p{i}x{k}"), said(rejected, f"p{i}x{k}"))
                    for k in range(2)
                ),
                gold=chosen,
                group="plain" if i % 2 else "expert",
            )
        )
    return tuple(users)


def by_the_nearest_demonstration(messages: Messages, sampling: Sampling) -> str:
    """The summary of the demonstration whose words are about as long as those of the signals."""
    if messages[0].role != "system" or len(messages) < 4:
        return "nothing to say"
    here = word_length(messages[-1].content)
    shown = [
        (abs(word_length(signals.content) - here), i, summary.content)
        for i, (signals, summary) in enumerate(zip(messages[1:-1:2], messages[2::2], strict=False))
    ]
    return min(shown)[2]


def word_length(text: str) -> float:
    words = [word for word in text.split() if word.isalpha()]
    return sum(map(len, words)) / max(len(words), 1)


class Learner(FakeModel):
    """Likely is what it would write."""

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        text = by_the_nearest_demonstration(messages, Sampling())
        super().logprobs(messages, responses)
        return tuple(-1.0 if response == text else -3.0 for response in responses)


def never(messages: Messages) -> ModelError | None:
    return None


def fakes(fails: Fails = never, *, deaf: bool = False, caps: Caps | None = None) -> Door:
    """A generator that is moved by shared words, an inference model that learns from examples."""
    generator = FakeModel(name="fake/generator", fails=fails)
    if deaf:
        generator.logprobs = lambda messages, responses: (-1.0,) * len(responses)  # type: ignore[method-assign]
    inference = Learner(by_the_nearest_demonstration, name="fake/inference", fails=fails)
    proposer = FakeModel("Say how to answer.", name="fake/proposer")
    models = {"generator": generator, "inference": inference, "proposer": proposer}
    return fake_door(models, caps)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Door], None]:
    """Make every `Settings` open this door."""
    return lambda door: monkeypatch.setattr(Settings, "door", lambda self, observer=None: door)


SETTINGS = Settings(trials=6, seed=1)


@pytest.mark.parametrize("weighs", [True, False])
def test_a_call_names_every_user_whose_signals_it_shows(
    use: Callable[[Door], None], weighs: bool
) -> None:
    inference = FakeModel(by_the_nearest_demonstration)
    models = {"generator": FakeModel(), "proposer": FakeModel("Say how to answer.")}
    models["inference"] = inference if weighs else FakeChatModel(inference)  # type: ignore[assignment]
    kept = Kept()
    use(fake_door(models, trace=kept))
    optimize(people(), replace(SETTINGS, demos="real"))
    shown = [(f" s{int(user.user_id[1:])}\n", user.user_id) for user in people()]
    kinds = set()
    for call in kept.calls:
        text = "".join(f"{message.content}\n" for message in call.messages)
        if call.role == "generator":
            continue
        named = {call.user_id, *call.quoted}
        present = {user_id for words, user_id in shown if words in text}
        assert present <= named
        kinds.add((call.role, call.kind, len(present) > 1))
    assert ("proposer", "chat", True) in kinds
    assert ("inference", "chat", True) in kinds
    assert (("inference", "logprobs", True) in kinds) is weighs


@pytest.mark.parametrize("demos", DEMOS)
def test_two_opposite_tastes_are_told_apart(use: Callable[[Door], None], demos: Demos) -> None:
    use(fakes())
    seen: list[Event] = []
    done = optimize(people(), replace(SETTINGS, demos=demos), observer=seen.append)
    kept = [event.program for event in seen if isinstance(event, Improved)]
    assert kept[0].candidate == UNTUNED_CANDIDATE
    assert kept[-1].candidate == done.program.candidate
    assert sum(isinstance(event, TrialFinished) for event in seen) == SETTINGS.trials
    assert done.program.candidate.demonstrations
    compiled = done.report.row(COMPILED)
    assert compiled is not None
    assert len({outcome.summary for outcome in compiled.outcomes}) >= 2
    gain = done.report.gain()
    assert gain is not None
    assert gain.low > 0
    before, after = done.program.origin.scores_before, done.program.origin.scores_after
    assert before is not None
    assert after is not None
    assert after.reward_accuracy == 1
    assert after.margin > before.margin


def test_the_report_has_all_rows_on_the_same_users(use: Callable[[Door], None]) -> None:
    use(fakes())
    done = optimize(people(), SETTINGS)
    assert [row.name for row in done.report.rows] == [NO_CONTEXT, UNTUNED, COMPILED, GOLD]
    names = [user.user_id for user in done.split.test]
    for row in done.report.rows:
        assert [result.user_id for result in row.results] == names


def test_gold_is_left_out_where_a_user_has_none(use: Callable[[Door], None]) -> None:
    use(fakes())
    users = tuple(User(u.user_id, u.signals, u.pairs) for u in people())
    assert optimize(users, SETTINGS).report.row(GOLD) is None


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_bytes(
    use: Callable[[Door], None], tmp_path: Path, seed: int
) -> None:
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for path in paths:
        use(fakes())
        optimize(people(), Settings(trials=5, seed=seed)).program.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert load(paths[0]).origin.seed == seed


def test_the_number_of_threads_changes_nothing(use: Callable[[Door], None]) -> None:
    records = []
    for concurrency in (1, 4):
        door = fakes()
        door.model("generator").concurrency = concurrency
        door.model("inference").concurrency = concurrency
        use(door)
        records.append(optimize(people(), SETTINGS).program.as_record())
    assert records[0] == records[1]


def test_the_program_says_where_it_is_from(use: Callable[[Door], None]) -> None:
    use(fakes())
    origin = optimize(people(), Settings(trials=2, seed=5)).program.origin
    assert (origin.seed, origin.trials, origin.users) == (5, 2, 24)
    assert origin.dataset == fingerprint(people())
    assert origin.scorer == "likelihood"
    assert {"popi-prompt", "dspy", "optuna"} <= origin.versions.keys()


@pytest.mark.parametrize("most", [None, 18])
def test_held_out_is_the_test_part_of_the_own_data(
    use: Callable[[Door], None], most: int | None
) -> None:
    use(fakes())
    done = optimize(people(), Settings(trials=1, seed=3, max_users=most))
    assert done.program.origin.users == (most or 24)
    assert held_out(done.program, people()) == done.split.test


def test_held_out_is_everyone_with_pairs_of_other_data(use: Callable[[Door], None]) -> None:
    use(fakes())
    program = optimize(people(), Settings(trials=1)).program
    others = tuple(User(f"other {u.user_id}", u.signals, u.pairs) for u in people(8))
    assert held_out(program, (*others, User("no pairs", ()))) == others


def test_own_users_in_another_order_are_not_all_held_out(use: Callable[[Door], None]) -> None:
    use(fakes())
    done = optimize(people(), Settings(trials=1))
    found = {user.user_id for user in held_out(done.program, people()[::-1])}
    assert found.isdisjoint(user.user_id for user in (*done.split.train, *done.split.val))


def test_no_reward_to_gain_keeps_the_untuned_program(use: Callable[[Door], None]) -> None:
    use(fakes(deaf=True))
    done = optimize(people(), SETTINGS)
    assert done.program.candidate == UNTUNED_CANDIDATE
    assert done.report.row(COMPILED) is None
    assert done.report.gain() is None
    assert done.program.origin.scores_before is not None
    assert done.program.origin.scores_before == done.program.origin.scores_after


def failing_on(text: str) -> Fails:
    def fails(messages: Messages) -> ModelError | None:
        found = any(text in message.content for message in messages)
        return BadResponse("nothing usable") if found else None

    return fails


@pytest.mark.slow
def test_a_user_that_always_fails_is_reported_and_changes_no_one_else(
    use: Callable[[Door], None],
) -> None:
    use(fakes())
    whole = optimize(people(), SETTINGS)
    broken = whole.split.test[1]
    use(fakes(failing_on(broken.pairs[0].prompt)))
    some = optimize(people(), SETTINGS)
    assert some.program.candidate == whole.program.candidate
    for row, before in zip(some.report.rows, whole.report.rows, strict=True):
        assert [failure.user_id for failure in row.failures] == [broken.user_id]
        assert repr(broken.user_id) in row.failures[0].reason
        others = tuple(o for o in before.outcomes if o.user_id != broken.user_id)
        assert row.outcomes == others
    after = some.program.origin.scores_after
    assert after is not None
    assert after.users == len(whole.split.test) - 1


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_user_that_fails_while_searching_does_not_stop_it(
    use: Callable[[Door], None], part: str
) -> None:
    use(fakes())
    split = optimize(people(), Settings(trials=1, seed=1)).split
    broken: User = getattr(split, part)[0]
    number = broken.user_id[1:].lstrip("0") or "0"
    use(fakes(failing_on(f"pair {number} ")))
    done = optimize(people(), SETTINGS)
    assert done.report.row(COMPILED) is not None
    assert not any(row.failures for row in done.report.rows)


def test_nothing_that_can_be_scored_is_an_error_with_the_reason(
    use: Callable[[Door], None],
) -> None:
    use(fakes(lambda messages: BadResponse("the key is refused")))
    with pytest.raises(OptimizationError, match="the key is refused"):
        optimize(people(), SETTINGS)


def test_too_few_users_are_an_error(use: Callable[[Door], None]) -> None:
    use(fakes())
    with pytest.raises(OptimizationError, match="too few"):
        optimize(people(2), SETTINGS)


def test_where_every_taste_has_one_user_nobody_rehearses_and_the_search_goes_on(
    use: Callable[[Door], None],
) -> None:
    draw = random.Random(0)
    words = draw.sample(sorted({word for each in BANK for word in each.text.split()}), 100)

    def text() -> str:
        return " ".join(draw.choices(words, k=10))

    users = tuple(
        User(
            f"u{i:02d}",
            (Preference(f"signal {i}", text(), text()),),
            (Pair(f"pair {i}", text(), text()),),
            public=True,
        )
        for i in range(11)
    )
    use(fake_door())
    done = optimize(users, Settings(trials=1, seed=0))
    assert done.found == UNTUNED_CANDIDATE
    assert done.report.rows


@pytest.mark.parametrize("demos", DEMOS)
def test_where_no_demonstrations_fit_the_context_the_search_goes_on(
    use: Callable[[Door], None], demos: Demos
) -> None:
    def too_long(messages: Messages) -> ModelError | None:
        shown = any(message.role == "assistant" for message in messages)
        return ContextTooLong("the prompt does not fit") if shown else None

    use(fake_door({"inference": FakeModel(fails=too_long)}))
    done = optimize(people(40), replace(SETTINGS, demos=demos))
    assert done.found.demonstrations == ()
    assert done.report.rows


def test_a_chat_only_generator_is_scored_by_choice(use: Callable[[Door], None]) -> None:
    use(fake_door({"generator": FakeChatModel()}))
    done = optimize(people(), Settings(trials=2))
    assert done.program.origin.scorer == "choice"
    assert done.report.prefers_label == "choice accuracy"
    with pytest.raises(UsageError, match="--scorer choice"):
        optimize(people(), Settings(trials=2, scorer="likelihood"))


def test_a_model_that_cannot_be_opened_stops_at_once(use: Callable[[Door], None]) -> None:
    def refuse(route: Route) -> FakeModel:
        raise BadResponse("cannot be opened")

    names = Settings().door().names
    use(Door(names, open_model=refuse))
    with pytest.raises(ModelError, match="cannot be opened"):
        optimize(people(), SETTINGS)


def test_another_optimizer_can_be_used(use: Callable[[Door], None]) -> None:
    use(fakes())
    given: list[Task] = []
    candidate = Candidate("Look closely.")

    class Fixed:
        name = "fixed"

        def run(self, task: Task) -> Found:
            given.append(task)
            return Found(candidate, 0.0, 1)

    done = optimize(people(), replace(SETTINGS, force=True, optimizer=Fixed()))
    assert done.program.candidate == candidate
    task = given[0]
    test_users = {user.user_id for user in done.split.test}
    assert test_users.isdisjoint(user.user_id for user in (*task.train, *task.val))
    assert PopiOptimizer.name == "popi"


class Fixed:
    """Always finds the same candidate."""

    name = "fixed"

    def __init__(self, candidate: Candidate):
        self.candidate = candidate

    def run(self, task: Task) -> Found:
        return Found(self.candidate, 0.0, 1)


def test_a_program_that_is_not_proven_better_is_not_shipped(use: Callable[[Door], None]) -> None:
    candidate = Candidate("Look closely.")
    use(fakes())
    done = optimize(people(), replace(SETTINGS, optimizer=Fixed(candidate)))
    gain = done.report.gain()
    assert gain is not None
    assert not gain.above_zero
    assert done.program.candidate == UNTUNED_CANDIDATE
    assert done.found == candidate
    assert done.kept_baseline
    assert done.shipped == "untuned"
    origin = done.program.origin
    assert origin.scores_before is not None
    assert origin.scores_after == origin.scores_before
    # The report is still about what was found.
    assert done.report.row(COMPILED) is not None


def test_by_force_it_is_shipped_with_its_own_scores(use: Callable[[Door], None]) -> None:
    spoken = Candidate("Look closely.", conditioning=Conditioning("system", f"{PLAIN} {{summary}}"))
    use(fakes())
    done = optimize(people(), replace(SETTINGS, force=True, optimizer=Fixed(spoken)))
    gain = done.report.gain()
    assert gain is not None
    assert not gain.above_zero
    assert done.program.candidate == spoken
    assert not done.kept_baseline
    compiled = done.report.row(COMPILED)
    after = done.program.origin.scores_after
    assert compiled is not None
    assert after is not None
    assert after.margin == compiled.mean(MARGIN).mean
    assert after != done.program.origin.scores_before


def test_a_proven_program_is_shipped(use: Callable[[Door], None]) -> None:
    use(fakes())
    done = optimize(people(), SETTINGS)
    assert done.shipped == "compiled"
    assert done.found == done.program.candidate
    assert not done.kept_baseline


def test_the_untuned_program_needs_no_search(use: Callable[[Door], None]) -> None:
    use(fakes())
    program = untuned(Settings(seed=4), people())
    assert program.candidate == UNTUNED_CANDIDATE
    assert (program.origin.trials, program.origin.scores_after) == (0, None)


def test_sampling_keeps_order_and_is_drawn_by_the_seed() -> None:
    users = people()
    assert sample(users, None, 0) == sample(users, 24, 0) == sample(users, 99, 0) == users
    drawn = sample(users, 10, 0)
    assert len(drawn) == 10
    assert list(drawn) == sorted(drawn, key=users.index)
    assert drawn == sample(users, 10, 0)
    assert drawn != sample(users, 10, 1)


def optimized(use: Callable[[Door], None]) -> tuple[Optimized, Door]:
    door = fakes()
    use(door)
    return optimize(people(), SETTINGS), door


def test_comparing_again_gives_the_same_report(use: Callable[[Door], None]) -> None:
    done, door = optimized(use)
    from popi_prompt.rewards import PopiReward
    from popi_prompt.scorers import make_scorer

    scoring = Scoring(door, make_scorer(None, door), PopiReward())
    again = compare(done.program.candidate, held_out(done.program, people()), scoring)
    assert again == done.report
    gold = again.row(GOLD)
    assert gold is not None
    assert gold.mean(MARGIN).mean > 0


def test_infer_all_asks_nothing_where_the_generator_cannot_be_opened() -> None:
    inference = FakeModel("Be plain.")

    def opened(route: Route) -> FakeModel:
        if route.model == "fake/generator":
            raise MissingDependency("its weights are not installed")
        return inference

    program = Program(
        UNTUNED_CANDIDATE,
        {"generator": "fake/generator", "inference": "fake/i", "proposer": "fake/i"},
        Origin("likelihood", 0, "sha256:0", 3, 0),
    )
    door = Door(program.models, open_model=opened)
    with pytest.raises(MissingDependency, match="generator, model 'fake/generator': its weights"):
        infer_all(program.through(door), people(2))
    assert inference.calls == []


def test_infer_all_keeps_the_order_and_sets_failures_apart(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[Door], None]
) -> None:
    done, _ = optimized(use)
    door = fakes(failing_on("signal 3\n"))
    program = Program(UNTUNED_CANDIDATE, done.program.models, done.program.origin)
    monkeypatch.setattr(Program, "door", door)
    summaries, failures = infer_all(program, people(6))
    assert [each.user_id for each in summaries] == ["u00", "u01", "u02", "u04", "u05"]
    assert all(each.tokens > 0 and each.text for each in summaries)
    assert [type(each) for each in failures] == [Failure]
    assert failures[0].user_id == "u03"


def test_outcomes_hold_the_summary_they_were_scored_under(use: Callable[[Door], None]) -> None:
    done, _ = optimized(use)
    gold = done.report.row(GOLD)
    assert gold is not None
    for user, outcome in zip(done.split.test, gold.results, strict=True):
        assert isinstance(outcome, Outcome)
        assert outcome.summary == user.gold


def calls_of_a_whole_run(use: Callable[[Door], None]) -> tuple[int, Candidate]:
    use(fakes())
    done = optimize(people(), SETTINGS)
    return sum(each.calls for each in done.spent.values()), done.program.candidate


@pytest.mark.slow
def test_at_a_cap_the_program_is_the_best_one_so_far(use: Callable[[Door], None]) -> None:
    calls, best = calls_of_a_whole_run(use)
    found = []
    for share in (0.02, 0.6, 0.95):
        cap = int(calls * share)
        use(fakes(caps=Caps(calls=cap)))
        events: list[Event] = []
        done = optimize(people(), SETTINGS, observer=events.append)
        kept = [event.program for event in events if isinstance(event, Improved)]
        assert done.stopped is not None
        assert f"the cap of {cap:,} calls is reached" in done.stopped
        assert done.report.rows == ()
        assert done.program.origin.scores_after is None
        assert sum(each.calls for each in done.spent.values()) <= cap
        assert done.program.candidate == kept[-1].candidate
        found.append(done.program.candidate)
    # The search had not begun, it was under way, and only the report was missing.
    assert found[0] == UNTUNED_CANDIDATE
    assert found[-1] == best != UNTUNED_CANDIDATE


@pytest.mark.slow
def test_a_cap_after_the_programs_own_row_leaves_its_verdict(use: Callable[[Door], None]) -> None:
    """The true taste of these people says something that no summary says."""
    users = [replace(user, gold=f"{user.gold}!") for user in people()]
    use(fakes())
    whole = optimize(users, SETTINGS)
    calls = sum(each.calls for each in whole.spent.values())
    use(fakes(caps=Caps(calls=calls - 1)))
    done = optimize(users, SETTINGS)
    assert done.stopped is not None
    assert [row.name for row in done.report.rows] == [NO_CONTEXT, UNTUNED, COMPILED]
    assert done.report.gain() == whole.report.gain()
    assert done.program.candidate == whole.program.candidate
    assert done.program.origin.scores_after == whole.program.origin.scores_after


def test_a_cap_does_not_ship_what_was_compared_and_is_not_proven(
    use: Callable[[Door], None],
) -> None:
    users = [replace(user, gold=f"{user.gold}!") for user in people()]
    settings = replace(SETTINGS, optimizer=Fixed(Candidate("Look closely.")))
    use(fakes())
    calls = sum(each.calls for each in optimize(users, settings).spent.values())
    use(fakes(caps=Caps(calls=calls - 1)))
    done = optimize(users, settings)
    assert done.stopped is not None
    assert done.report.row(GOLD) is None
    assert done.kept_baseline
    assert done.program.candidate == UNTUNED_CANDIDATE


@pytest.mark.slow
def test_a_cap_ships_nothing_that_nobody_could_be_compared_under(
    use: Callable[[Door], None],
) -> None:
    """The untuned program has a summary for nobody: there is no gain, with a cap or without."""

    def fails(messages: Messages) -> ModelError | None:
        asked = messages[0].content == UNTUNED_CANDIDATE.instruction
        return BadResponse("nothing usable") if asked else None

    users = [replace(user, gold=f"{user.gold}!") for user in people()]
    settings = replace(SETTINGS, optimizer=Fixed(Candidate("Look closely.")))
    use(fakes(fails))
    calls = sum(each.calls for each in optimize(users, settings).spent.values())
    use(fakes(fails, caps=Caps(calls=calls - 1)))
    done = optimize(users, settings)
    assert done.stopped is not None
    assert (done.report.gain(), done.kept_baseline) == (None, True)


def test_a_cap_that_is_not_reached_changes_nothing(use: Callable[[Door], None]) -> None:
    calls, best = calls_of_a_whole_run(use)
    use(fakes(caps=Caps(calls=calls)))
    done = optimize(people(), SETTINGS)
    assert done.stopped is None
    assert done.program.candidate == best
    assert done.report.gain() is not None


def test_a_summary_beyond_the_cap_is_a_failure_of_its_user(use: Callable[[Door], None]) -> None:
    use(fakes())
    users = people(6)
    program = untuned(Settings(), users).through(fake_door(caps=Caps(calls=4)))
    summaries, failures = infer_all(program, users)
    assert (len(summaries), len(failures)) == (4, 2)
    assert all("the cap of 4 calls is reached" in failure.reason for failure in failures)
    assert {failure.user_id for failure in failures} <= {user.user_id for user in users}
