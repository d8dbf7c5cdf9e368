"""What every optimizer must hold. One that is added is added to `OPTIMIZERS`."""

from __future__ import annotations

import random
import sys
from dataclasses import replace

import pytest
from kept_calls import Kept
from learnable_tastes import LEARNERS, SPLIT, learning_door, searched

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.comparison import Scoring
from popi_prompt.errors import (
    BadResponse,
    ModelError,
    OptimizationError,
    UsageError,
)
from popi_prompt.evaluation import Metric, Outcome, evaluate
from popi_prompt.events import Event, TrialFinished, ignore
from popi_prompt.generator import Generator
from popi_prompt.guard import Guard
from popi_prompt.inference import summarizer
from popi_prompt.models.spent import Caps, total
from popi_prompt.ngrams import RUN, Runs
from popi_prompt.optimizers import OPTIMIZERS, Task, make_optimizer
from popi_prompt.prompts import Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import MARGIN
from popi_prompt.schema import texts_in_signals
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.search import Searched, search
from popi_prompt.settings import Settings
from popi_prompt.testing import FakeModel
from popi_prompt.workflow import optimize

CASES = [*OPTIMIZERS, "own_search:OneTry"]
cases = pytest.mark.parametrize("name", CASES)
of_dspy = pytest.mark.parametrize("name", ["mipro", "gepa", "random"])
USERS = {user.user_id: user for user in LEARNERS}


def mean_reward(found: Searched) -> float:
    """Measured again, through a door of its own."""
    door = learning_door()
    task = Task(SPLIT.train, SPLIT.val, door, LikelihoodScorer(), PopiReward(), 1, 0, ignore, print)
    metric = task.metric(found.found.conditioning)
    results = evaluate(task.validation(), summarizer(found.found, door), metric)
    rewards = [each.reward for each in results if isinstance(each, Outcome)]
    return sum(rewards) / len(rewards)


@cases
def test_it_is_made_by_its_name(name: str) -> None:
    made = make_optimizer(name)
    assert made.name == (name if name in OPTIMIZERS else "one try")
    assert make_optimizer(made) is made


@cases
def test_it_finds_what_there_is_to_find_and_keeps_the_untuned_one_first(name: str) -> None:
    found = searched(name, learning_door())
    assert found.stopped is None
    assert found.curve[0].candidate == UNTUNED_CANDIDATE
    assert found.curve[-1].candidate == found.found != UNTUNED_CANDIDATE
    rewards = [each.reward for each in found.curve if each.reward is not None]
    assert rewards == sorted(rewards)
    assert rewards[-1] == pytest.approx(mean_reward(found))
    calls = [each.spent.calls for each in found.curve]
    assert calls == sorted(calls)
    assert calls[0] == 0


@cases
def test_what_it_keeps_is_what_the_guard_lets_through(name: str) -> None:
    """A demonstration that is taken out afterwards must not have been what was scored."""
    signals = [list(texts_in_signals(user))[1] for user in SPLIT.train[::2]]
    refused = [" ".join(text.split()[-RUN:]) for text in signals]
    found = searched(name, learning_door(), guard=Guard(shown=Runs(refused)))
    assert found.curve[-1].reward == pytest.approx(mean_reward(found))


@cases
def test_the_summaries_come_out_of_the_module(name: str) -> None:
    found = searched(name, learning_door()).found
    door = learning_door()
    summarize = summarizer(found, door)
    metric = Metric(Generator(door, found.conditioning), LikelihoodScorer(), PopiReward())
    for user in SPLIT.test:
        summary = summarize(user)
        assert summary == " ".join(summary.split()) != "be nice"
        assert metric.outcome(user, summary).margin > 0


@cases
@pytest.mark.parametrize("cap", ["calls", "tokens"])
def test_no_cap_is_exceeded_and_the_best_so_far_is_kept(name: str, cap: str) -> None:
    free = learning_door()
    searched(name, free)
    used = getattr(total(free.spent().values()), cap)
    rng = random.Random(f"{name} {cap}")
    for most in [0, *(rng.randrange(1, used) for _ in range(3))]:
        models: dict[str, FakeModel] = {}
        door = learning_door(caps=Caps(**{cap: most}), models=models)
        found = searched(name, door)
        spent = total(door.spent().values())
        assert getattr(spent, cap) <= most
        assert sum(len(each.calls) for each in models.values()) == spent.calls
        assert found.stopped is not None
        assert "is reached" in found.stopped
        assert found.curve[0].candidate == UNTUNED_CANDIDATE
        assert found.found == found.curve[-1].candidate
    exact = searched(name, learning_door(caps=Caps(**{cap: used})))
    assert (cap == "tokens") or exact.stopped is None


@cases
def test_after_its_minutes_nothing_is_asked_and_the_best_so_far_is_kept(name: str) -> None:
    seconds = [0]

    def a_second_each(messages: Messages) -> ModelError | None:
        seconds[0] += 1
        return None

    def timed(minutes: float | None) -> tuple[Searched, int]:
        seconds[0] = 0
        models: dict[str, FakeModel] = {}
        caps = Caps(minutes=minutes)
        door = learning_door(a_second_each, caps, clock=lambda: seconds[0], models=models)
        found = searched(name, door)
        timed_calls = [len(models[role].calls) for role in ("generator", "inference")]
        return found, sum(timed_calls)

    free, used = timed(None)
    assert free.stopped is None
    rng = random.Random(name)
    for most in [0, *(rng.randrange(1, used) for _ in range(3))]:
        found, calls = timed(most / 60)
        assert calls == most
        assert found.stopped is not None
        assert "minutes is reached" in found.stopped
        assert found.curve[0].candidate == UNTUNED_CANDIDATE
        assert found.found == found.curve[-1].candidate


@of_dspy
def test_dspy_asks_for_nothing_after_the_cap(name: str) -> None:
    """It goes on after every exception; to its end that could take long."""
    untuned = searched(name, learning_door()).curve[1].spent.calls
    kept = Kept()
    door = learning_door(caps=Caps(calls=untuned + 3), trace=kept)
    assert searched(name, door).stopped is not None
    refused = [call for call in kept.calls if (call.error or "").startswith("BudgetExceeded")]
    assert len(refused) == 1
    assert kept.calls[-1] == refused[0]


@cases
def test_the_same_seed_gives_the_same_result(name: str) -> None:
    results = [searched(name, learning_door(), seed=3) for _ in range(2)]
    assert results[0] == results[1]


@cases
def test_the_number_of_threads_changes_nothing(name: str) -> None:
    found = []
    for concurrency in (1, 4):
        door = learning_door()
        for role in ("generator", "inference"):
            door.model(role).concurrency = concurrency
        found.append(searched(name, door))
    assert found[0].found == found[1].found
    assert found[0].curve == found[1].curve


@cases
def test_a_cap_is_kept_by_many_threads(name: str) -> None:
    door = learning_door(caps=Caps(calls=20))
    for role in ("generator", "inference"):
        door.model(role).concurrency = 4
    found = searched(name, door)
    assert found.stopped is not None
    assert total(door.spent().values()).calls <= 20


@cases
def test_nothing_is_printed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    searched(name, learning_door())
    assert (sys.stdout, sys.stderr) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trials_are_told(name: str) -> None:
    events: list[Event] = []
    found = searched(name, learning_door(), observer=events.append)
    trials = [event for event in events if isinstance(event, TrialFinished)]
    assert [each.number for each in trials] == list(range(len(trials)))
    assert trials[-1].best == found.curve[-1].reward
    assert all(trial.params.keys() >= {"instruction", "demonstrations"} for trial in trials)
    assert all(trial.tokens is not None and trial.tokens > 0 for trial in trials)


@cases
def test_no_one_who_always_fails_changes_what_is_found(name: str) -> None:
    broken = SPLIT.val[1]

    def fails(messages: Messages) -> ModelError | None:
        asked = any(broken.pairs[0].prompt in message.content for message in messages)
        return BadResponse("nothing usable") if asked else None

    found = searched(name, learning_door(fails))
    others = replace(SPLIT, val=(SPLIT.val[0], *SPLIT.val[2:]))
    whole = searched(name, learning_door(), split=others)
    assert found.found == whole.found


@cases
def test_a_candidate_does_not_win_by_failing(name: str) -> None:
    """Taught, shown or told anything, a model fails for most; it does well for the others."""
    spared = {user.user_id for user in SPLIT.val[:2]}
    dear = [user.signals[0].prompt for user in LEARNERS if user.user_id not in spared]  # type: ignore[union-attr]
    pairs = [user.pairs[0].prompt for user in LEARNERS if user.user_id not in spared]

    def fails(messages: Messages) -> ModelError | None:
        if "(Write like this: " in messages[0].content:
            quoted = any(messages[0].content.startswith(f"{prompt}\n") for prompt in pairs)
            return BadResponse("nothing usable") if quoted else None
        untuned = messages[0].content == UNTUNED_CANDIDATE.instruction
        weighed = len(messages) == 1 and "\n\n(" in messages[0].content
        if untuned or (messages[0].role != "system" and not weighed):
            changed = len(messages) > 2
        else:
            changed = True
        hurt = any(f"{prompt}\n" in messages[-1].content for prompt in dear)
        return BadResponse("nothing usable") if changed and hurt else None

    found = searched(name, learning_door(fails))
    assert found.found == UNTUNED_CANDIDATE or found.found.view == "liked"


@cases
def test_nothing_that_can_be_scored_is_an_error_with_the_reason(name: str) -> None:
    with pytest.raises(OptimizationError, match="the key is refused"):
        searched(name, learning_door(lambda messages: BadResponse("the key is refused")))


@cases
def test_what_is_no_failed_item_ends_the_search(name: str) -> None:
    class Broken(LikelihoodScorer):
        """Wrong for one user of those to choose by."""

        def score(self, generator, user, pair, summary):  # type: ignore[no-untyped-def]
            if user == SPLIT.val[2]:
                raise ZeroDivisionError("a mistake in a scorer")
            return super().score(generator, user, pair, summary)

    scoring = Scoring(learning_door(), Broken(), PopiReward())
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        search(SPLIT, scoring, Settings(optimizer=name, trials=3))


@cases
def test_who_fails_to_propose_ends_nothing(name: str) -> None:
    silent = FakeModel(fails=lambda messages: BadResponse("no proposal"))
    found = searched(name, learning_door(proposer=silent))
    assert found.stopped is None
    assert found.curve[0].candidate == UNTUNED_CANDIDATE


@cases
def test_a_call_names_every_user_whose_signals_it_shows(name: str) -> None:
    kept = Kept()
    searched(name, learning_door(trace=kept))
    assert kept.calls
    for call in kept.calls:
        if call.role == "generator":
            assert call.user_id in USERS
            continue
        text = "".join(f"{message.content}\n" for message in call.messages)
        shown = {
            user_id
            for user_id, user in USERS.items()
            for words in (f"{user.gold} {int(user_id[1:])}",)
            if any(f"{words}{end}" in text for end in ("\n", "\\n", "'", '"'))
        }
        assert shown <= {call.user_id, *call.quoted}


@cases
def test_pairs_are_shown_to_no_inference_and_those_of_validation_to_no_proposer(name: str) -> None:
    models: dict[str, FakeModel] = {}
    searched(name, learning_door(models=models))
    told = {role: str(models[role].calls) for role in ("inference", "proposer")}
    for user in LEARNERS:
        assert f"{user.pairs[0].prompt}'" not in told["inference"]
    for user in (*SPLIT.val, *SPLIT.test):
        assert f"{user.pairs[0].prompt}\\n" not in told["proposer"].replace("\\\\", "\\")


@cases
def test_the_program_says_who_found_it(name: str) -> None:
    settings = Settings(optimizer=name, trials=3, force=True, demos="real")
    done = optimize(LEARNERS, settings, door=learning_door())
    assert done.program.origin.optimizer == make_optimizer(name).name
    assert done.curve[0].candidate == UNTUNED_CANDIDATE
    # What it shows of users that validate it is taken out, and what is left may be the untuned one.
    row = done.report.row("compiled")
    assert (row is None) == (done.found == UNTUNED_CANDIDATE)
    assert row is None or row.mean(MARGIN).mean > 0


def test_mipro_shows_no_user_where_none_may_be_shown() -> None:
    told: list[TrialFinished] = []

    def observer(event: Event) -> None:
        if isinstance(event, TrialFinished):
            told.append(event)

    settings = Settings(optimizer="mipro", trials=3, force=True, demos="synthetic")
    optimize(LEARNERS, settings, door=learning_door(), observer=observer)
    assert told
    assert all(event.what.startswith("0 demonstrations") for event in told)


def test_gepa_is_told_what_a_summary_did() -> None:
    models: dict[str, FakeModel] = {}
    searched("gepa", learning_door(models=models))
    told = models["proposer"].calls[0][1][-1].content
    assert UNTUNED_CANDIDATE.instruction in told
    assert "nats towards the answer that the person" in told
    assert "be nice" in told


@of_dspy
def test_nothing_of_dspy_is_changed_for_good(name: str) -> None:
    import dspy

    before = dict(dspy.settings.config)
    held = len(dspy.settings.trace or ())
    searched(name, learning_door(), trials=3)
    assert dict(dspy.settings.config) == before
    assert len(dspy.settings.trace or ()) == held


@pytest.mark.slow
@of_dspy
def test_the_seed_decides(name: str) -> None:
    curves = {str(searched(name, learning_door(), seed=seed).found) for seed in range(4)}
    assert len(curves) > 1 or name == "gepa"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "bayes",
            "unknown optimizer 'bayes'; known: popi, mipro, gepa, random, pareto, portrait, ",
        ),
        ("own_search:Missing", "has no 'Missing'"),
        ("own_search:NUMBER", "'NUMBER', which is no class"),
        ("own_search:Picky", "cannot be made without arguments (TypeError"),
        ("own_search:Nothing", "needs a method 'run' and a text 'name'"),
        ("own_search:", "is not module:Class"),
    ],
)
def test_what_is_no_optimizer_is_one_clear_line(path: str, says: str) -> None:
    with pytest.raises(UsageError) as found:
        optimize(LEARNERS, Settings(optimizer=path))
    assert says in str(found.value)
    assert repr(path) in str(found.value)
    assert "\n" not in str(found.value)
