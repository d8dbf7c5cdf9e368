"""What may be in a program, and what comes out of one: words in a row decide, six or twelve."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.bank import STATEMENTS, Invented, bank_people
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Demonstration
from popi_prompt.errors import PrivacyError
from popi_prompt.events import Event, Improved
from popi_prompt.guard import MOST_CHARACTERS, make_guard
from popi_prompt.importers import import_users
from popi_prompt.models.model import Sampling
from popi_prompt.ngrams import Runs, copies, runs, words
from popi_prompt.optimizers.invented import invented_people, parse_invention
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.prompts import UNTUNED_INSTRUCTION, Messages
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Turn,
    User,
    texts_in_pairs,
    texts_in_signals,
)
from popi_prompt.scorers import LikelihoodScorer
from popi_prompt.settings import Settings
from popi_prompt.split import Split
from popi_prompt.testing import FakeModel, fake_door
from popi_prompt.workflow import optimize

STUDENTS = Path(__file__).parents[2] / "shared" / "data" / "alignx_psoups" / "student_phd.json"
SECRET = "the blue kettle whistles at seven every morning"
HELD_OUT = "a very quiet lake lies behind our old mill where nobody rows on Sundays"
WORDS = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij"]), max_size=14).map(" ".join)


def user(name: str, signal: str, pair: str, *, public: bool = False) -> User:
    pairs = (Pair(f"{name} asks", pair, f"not {pair}"),)
    return User(
        name, (Preference(f"{name} wonders", signal, f"no {signal}"),), pairs, public=public
    )


TRAIN = user("train", SECRET, "words of my own")
VAL = user("val", "something else", HELD_OUT)
TEST = user("test", "nothing at all", "short")
SPLIT = Split((TRAIN,), (VAL,), (TEST,))
EVERYONE = (TRAIN, VAL, TEST)


# runs of words


def test_case_punctuation_and_markup_do_not_hide_a_copy() -> None:
    assert copies("He said: THE blue, kettle-whistles at (seven)!", SECRET)
    assert not copies("the blue kettle whistles at eight", SECRET)
    assert words("Das 日本 x_y") == ["das", "日", "本", "x", "y"]
    assert copies("これは猫です。", "昨日これは猫ですと")


@given(one=WORDS, other=WORDS, third=WORDS)
def test_the_index_counts_the_runs_that_sets_would(one: str, other: str, third: str) -> None:
    known = set(runs(other)) | set(runs(third))
    assert Runs([other, third]).shared(one) == len(set(runs(one)) & known)
    assert Runs([other]).shared(one) == 0 or copies(one, other)


def test_nothing_is_shared_with_nothing() -> None:
    assert Runs().shared(SECRET) == 0
    assert Runs(["too short a text"]).shared("too short a text") == 0


def test_every_text_of_every_signal_and_pair_is_looked_at() -> None:
    signals = (
        Persona("t1"),
        Interaction("t2", "t3"),
        Preference("t4", "t5", "t6"),
        Edit("t7", "t8"),
        Rating("t9", 1, (1, 5)),
        Dialogue((Turn("user", "t10"), Turn("assistant", "t11"))),
    )
    somebody = User("u", signals, (Pair("p1", "p2", "p3"),))
    assert list(texts_in_signals(somebody)) == [f"t{i}" for i in range(1, 12)]
    assert list(texts_in_pairs(somebody)) == ["p1", "p2", "p3"]


# the guard


def test_demos_are_synthetic_unless_everybody_is_public_or_it_is_said() -> None:
    public = tuple(replace(each, public=True) for each in EVERYONE)
    assert make_guard(None, EVERYONE, SPLIT).demos == "synthetic"
    assert make_guard(None, public, SPLIT).demos == "real"
    assert make_guard(None, (*public[1:], TRAIN), SPLIT).demos == "synthetic"
    assert make_guard("real", EVERYONE, SPLIT).demos == "real"
    assert make_guard("synthetic", public, SPLIT).demos == "synthetic"


def test_synthetic_lets_no_text_of_anybody_through() -> None:
    dropped = user("dropped", "in no part of the split but known", "x")
    guard = make_guard("synthetic", (*EVERYONE, dropped), SPLIT)
    assert guard.users == 4
    texts = [SECRET, HELD_OUT, "in no part of the split but"]
    assert not any(guard.allows(f"Say {text}.") for text in texts)
    assert not guard.allows_user(TRAIN)
    assert all(guard.allows(statement.text) for statement in STATEMENTS)


def test_real_lets_users_to_learn_from_through_but_no_held_out_text() -> None:
    guard = make_guard("real", EVERYONE, SPLIT)
    assert guard.allows_user(TRAIN)
    assert not guard.allows(f"Say {HELD_OUT}.")
    assert not guard.allows_user(user("copy", f"Indeed, {HELD_OUT}.", "x"))


def test_real_allows_signals_that_other_users_have_as_well() -> None:
    same = user("val", SECRET, "something else")
    guard = make_guard("real", (TRAIN, same, TEST), Split((TRAIN,), (same,), (TEST,)))
    assert guard.allows_user(TRAIN)
    assert not guard.allows(SECRET)  # but nobody else should speak like a held-out user


def test_what_is_said_of_a_real_user_may_sound_like_others_up_to_twelve_words() -> None:
    start = Demonstration("- Rain falls.", f"It says: {' '.join(HELD_OUT.split()[:11])}.")
    copied = Demonstration("- Rain falls.", f"It says: {' '.join(HELD_OUT.split()[:12])}.")
    candidate = Candidate("Sum up.", (start, copied))
    real = make_guard("real", EVERYONE, SPLIT).screened(candidate)
    assert real.demonstrations == (start,)
    assert make_guard("synthetic", EVERYONE, SPLIT).screened(candidate).demonstrations == ()


@pytest.mark.parametrize("demos", ["synthetic", "real"])
def test_what_is_not_allowed_is_taken_out(demos: str) -> None:
    guard = make_guard(demos, EVERYONE, SPLIT)  # type: ignore[arg-type]
    good = Demonstration("- Rain falls.", "Be brief.")
    told = Demonstration("- Rain falls.", f"Tell them that {HELD_OUT}.")
    shown = Demonstration(f"- {HELD_OUT}", "Be brief.")
    screened = guard.screened(Candidate(f"Say {HELD_OUT}.", (good, told, shown)))
    assert screened == Candidate(UNTUNED_INSTRUCTION, (good,))
    guard.prove(screened)
    assert guard.screened(Candidate("x" * (MOST_CHARACTERS + 1))) == UNTUNED_CANDIDATE
    kept = Candidate("x" * MOST_CHARACTERS, (good,))
    assert guard.screened(kept) == kept


@pytest.mark.parametrize("part", ["instruction", "demonstration 1", "summary 1"])
def test_proving_names_the_part_and_shows_no_text(part: str) -> None:
    guard = make_guard("synthetic", EVERYONE, SPLIT)
    candidate = {
        "instruction": Candidate(SECRET),
        "demonstration 1": Candidate(demonstrations=(Demonstration(SECRET, "Be brief."),)),
        "summary 1": Candidate(demonstrations=(Demonstration("Rain.", SECRET),)),
    }[part]
    with pytest.raises(PrivacyError, match=f"the {part} of the program shares 3 runs") as caught:
        guard.prove(candidate)
    assert "kettle" not in str(caught.value)
    make_guard("real", EVERYONE, SPLIT).prove(candidate)


def test_a_user_who_quotes_the_untuned_program_is_told_before_anything_is_spent() -> None:
    quoting = user("q", UNTUNED_INSTRUCTION, "x")
    with pytest.raises(PrivacyError, match="--demos real"):
        make_guard("synthetic", (*EVERYONE, quoting), SPLIT)
    make_guard("real", (*EVERYONE, quoting), SPLIT)


# invented people


def test_the_bank_has_three_people_for_each_pole_who_say_what_they_like() -> None:
    bank = bank_people()
    poles = {(statement.dimension, statement.pole) for statement in STATEMENTS}
    assert {(name, pole) for name, found in bank.items() for pole in found} == poles
    people = [each for found in bank.values() for pole in found.values() for each in pole]
    assert len({each.user_id for each in people}) == len(people) == 3 * len(poles)
    assert all(len(each.signals) == 3 and not each.pairs for each in people)
    texts = Runs(text for each in people for text in texts_in_signals(each))
    assert not any(texts.shared(statement.text) for statement in STATEMENTS)


INVENTION = """**Request:** What is rain?
**Liked:** Water that falls.
**Disliked:** Precipitation
of vapour.

Request: And fog?
Liked: A cloud.
Disliked: A cloud.

1. Request: And hail?
Liked: Ice.
Disliked: Frozen hydrometeors."""


def test_an_invention_is_read_whatever_is_around_its_labels() -> None:
    assert parse_invention(INVENTION) == (
        Preference("What is rain?", "Water that falls.", "Precipitation of vapour."),
        Preference("And hail?", "Ice.", "Frozen hydrometeors."),
    )
    assert parse_invention("Sure! Request: none") == ()


def task(reply: str = INVENTION, everyone: tuple[User, ...] = EVERYONE) -> tuple[Task, FakeModel]:
    proposer = FakeModel(reply)
    door = fake_door({"proposer": proposer})
    guard = make_guard("synthetic", everyone, SPLIT)
    made = Task(
        SPLIT.train,
        SPLIT.val,
        door,
        LikelihoodScorer(),
        PopiReward(),
        1,
        0,
        lambda event: None,
        lambda *kept: None,
        guard,
    )
    return made, proposer


def test_two_texts_get_the_poles_of_every_dimension_both_ways_round() -> None:
    made, proposer = task()
    pools = invented_people(made, ("one", "two"))
    groups = {tuple(people[0].group for people in pool.values()) for pool in pools}
    assert len(groups) == len(pools) == 2 * len(bank_people())
    assert {group[::-1] for group in groups} == groups
    assert not proposer.calls


def test_a_third_text_gets_people_of_its_own_statement_or_of_the_proposer() -> None:
    made, proposer = task()
    statement = next(each for each in STATEMENTS if each.pole == "playful")
    for pool in invented_people(made, ("one", "two", statement.text)):
        shown = [each.user_id for people in pool.values() for each in people]
        assert len(set(shown)) == len(shown)
    assert not proposer.calls
    pools = invented_people(made, ("one", "two", "Talk like a pirate."))
    assert all(len(pool["Talk like a pirate."]) == 2 for pool in pools)
    asked = [message.content for _, messages in proposer.calls for message in messages]
    assert len(asked) == 2
    assert all("Talk like a pirate." in each and SECRET not in each for each in asked)


def test_people_who_speak_like_a_user_are_not_shown() -> None:
    quoted = bank_people()["tone"]["friendly"][0]
    somebody = User("u", quoted.signals, TRAIN.pairs)
    made, _ = task(INVENTION.replace("Ice.", SECRET), (*EVERYONE, somebody))
    pools = invented_people(made, ("one", "two", "Talk like a pirate."))
    everybody = {each.user_id for pool in pools for people in pool.values() for each in people}
    assert quoted.user_id not in everybody
    assert "bank-friendly-2" in everybody
    assert not any("Talk like a pirate." in pool for pool in pools)


def test_invented_people_are_nobody_whose_text_a_call_quotes() -> None:
    from popi_prompt.optimizers.demonstrations import DemonstrationSet

    shown = DemonstrationSet(((TRAIN, "a"), (Invented("train", TRAIN.signals), "b")))
    assert [demo.user_id for demo in shown.rendered("liked")] == ["train", None]


# programs


def echo(messages: Messages, sampling: Sampling) -> str:
    """A model that repeats what it is shown: the worst there is for privacy."""
    spoken = messages[-1].content.split()
    start = random.Random(messages[-1].content).randrange(max(1, len(spoken) - 30))
    return " ".join(spoken[start : start + 20])


class Leaky:
    """An optimizer that puts users' own words everywhere."""

    name = "leaky"

    def run(self, task: Task) -> Found:
        text = next(texts_in_signals(task.train[0]))
        longest = max(texts_in_signals(task.train[0]), key=len)
        demos = (Demonstration(longest, "Be brief."), Demonstration("- Rain.", longest))
        found = Candidate(longest, (*demos, Demonstration(f"- {text[:9]}", "Be brief.")))
        task.keep(found, None)
        return Found(found, 0.0, 1)


@pytest.fixture
def students(monkeypatch: pytest.MonkeyPatch) -> tuple[User, ...]:
    if not STUDENTS.exists():
        pytest.skip("student_phd.json is not there")
    models = {role: FakeModel(echo) for role in ("inference", "proposer")}
    door = fake_door({**models, "generator": FakeModel()})
    monkeypatch.setattr(Settings, "door", lambda self, observer=None: door)
    return tuple(import_users("alignx", [str(STUDENTS)]).users)


@pytest.mark.parametrize("optimizer", ["popi", Leaky()])
def test_a_synthetic_program_shares_no_6_gram_with_any_student(
    students: tuple[User, ...], optimizer: str | Leaky
) -> None:
    settings = Settings(trials=3, max_users=60, held_out=6, force=True, optimizer=optimizer)
    program = optimize(students, settings).program
    signals = {run for each in students for text in texts_in_signals(each) for run in runs(text)}
    record = program.as_record()
    texts = [record["instruction"], record["conditioning"]["wording"]]
    texts += [text for demo in record["demonstrations"] for text in demo.values()]
    assert record["demonstrations"]
    assert not any(run in signals for text in texts for run in runs(text))
    assert record["origin"]["demos"] == "synthetic"
    assert f"checked: 0 shared 6-grams with {len(students)} users' signals" in record["holds"]


def test_a_real_program_of_the_students_does_share_some(students: tuple[User, ...]) -> None:
    settings = Settings(trials=3, max_users=60, held_out=6, force=True, demos="real")
    program = optimize(students, settings).program
    signals = {run for each in students for text in texts_in_signals(each) for run in runs(text)}
    shown = [demo.signals for demo in program.candidate.demonstrations]
    assert any(run in signals for text in shown for run in runs(text))
    assert "signals of" in program.holds


def test_what_an_interrupted_run_keeps_holds_no_text_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Settings, "door", lambda self, observer=None: fake_door())
    everyone = tuple(user(f"u{i}", f"{SECRET} {i}", f"{i} {HELD_OUT}") for i in range(12))
    events: list[Event] = []
    optimize(everyone, Settings(trials=1, optimizer=Leaky()), observer=events.append)
    kept = [event.program.candidate for event in events if isinstance(event, Improved)]
    assert kept
    for candidate in kept:
        assert candidate.instruction == UNTUNED_INSTRUCTION
        assert len(candidate.demonstrations) == 1
        assert "kettle" not in repr(candidate)
