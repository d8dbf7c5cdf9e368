"""Importers, format by format: hand-made files, and the published ones where they are."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from public_formats import (
    CHAT,
    COLUMNS,
    ELIX,
    FORMATS,
    KTO,
    LAMP,
    ML_1M,
    ML_100K,
    MOVIELENS,
    OPENAI,
    PAHF,
    PREFERENCES,
    PREFEVAL,
    PRISM,
    PRISM_UTTERANCES,
    ROLEPLAY,
    SURVEY,
    TRL,
    UTTERANCES,
    VOTES_CSV,
    VOTES_PARQUET,
    Files,
    contrast,
    read,
    save,
)

from popi_prompt import importers
from popi_prompt.dataset import load_users, write_users
from popi_prompt.errors import DataError, UsageError
from popi_prompt.importers import FORMATS as KNOWN
from popi_prompt.importers import Wanted, import_users
from popi_prompt.schema import (
    Dialogue,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Turn,
    User,
    prompts_in_signals,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def prompts(user: User) -> set[str]:
    return {pair.prompt for pair in user.pairs}


@pytest.mark.parametrize("label", FORMATS)
def test_every_format_keeps_the_promises_and_goes_through_a_file(
    label: str, tmp_path: Path
) -> None:
    name, files = FORMATS[label]
    wanted = Wanted(columns=COLUMNS.get(label, {}))
    paths = save(tmp_path, files)
    users = tuple(import_users(name, paths, wanted).users)
    assert users
    assert len({user.user_id for user in users}) == len(users)
    for user in users:
        assert user.signals
        assert not prompts(user) & set(prompts_in_signals(user))
    write_users(tmp_path / "users.jsonl", users)
    assert load_users(tmp_path / "users.jsonl") == users
    assert tuple(import_users(name, paths, wanted).users) == users


def test_every_known_format_is_tested_here() -> None:
    assert {name for name, _ in FORMATS.values()} == set(KNOWN)
    assert all(name == known.name for name, known in KNOWN.items())


def test_an_unknown_format_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="did you mean 'prism'"):
        import_users("prisma", [])


def test_a_column_that_the_format_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="lamp has no column 'user' to name; columns: none"):
        import_users("lamp", [], Wanted(columns={"user": "x"}))


def test_nothing_is_read_before_users_are_asked_for(tmp_path: Path) -> None:
    imported = import_users("alignx", [str(tmp_path / "none.json")])
    with pytest.raises(DataError, match="no such file"):
        next(imported.users)


def test_users_are_given_while_the_file_is_being_read(tmp_path: Path) -> None:
    path = tmp_path / "alignx.json"
    whole = json.dumps(FORMATS["alignx"][1]["alignx.json"]).encode()
    path.write_bytes(whole[:-20])
    imported = import_users("alignx", [str(path)])
    assert next(imported.users).user_id == "alignx-0000"
    with pytest.raises(DataError, match="record 2: is not valid JSON"):
        list(imported.users)


def test_a_user_that_comes_twice_is_refused(tmp_path: Path) -> None:
    [path] = save(tmp_path, FORMATS["alignx"][1])
    with pytest.raises(DataError, match="user 'alignx-0000' comes twice"):
        list(import_users("alignx", [path, path]).users)


def test_signals_and_pairs_beyond_the_most_are_counted_and_the_last_signals_stay(
    tmp_path: Path,
) -> None:
    users, left_out = read("preferences", tmp_path, PREFERENCES, signals=1, pairs=1)
    assert (len(users["7"].signals), len(users["7"].pairs)) == (1, 1)
    assert left_out[importers.MORE_SIGNALS] == 4
    kept = users["7"].signals[0]
    assert isinstance(kept, Preference)
    assert kept.prompt == max({f"ask {i}" for i in range(6)} - prompts(users["7"]))


def test_pairs_on_a_prompt_of_a_dialogue_are_left_out(tmp_path: Path) -> None:
    leaking = json.loads(json.dumps(PREFEVAL))
    leaking["persona-driven/hotels.json"][0]["conversation"]["4"]["user"] = "which HOTEL in Rome? "
    users, left_out = read("prefeval", tmp_path, leaking)
    assert users["hotels-000"].pairs == ()
    assert left_out[importers.LEAKED] == 3


# PrefEval


def test_prefeval_joins_the_forms_of_a_preference(tmp_path: Path) -> None:
    users, left_out = read("prefeval", tmp_path, PREFEVAL)
    first = users["hotels-000"]
    assert first.gold == "I avoid loud hotels."
    assert first.group == "hotels"
    choice, explicit, persona, long = first.signals
    assert isinstance(choice, Dialogue)
    assert [turn.role for turn in choice.messages] == ["user", "assistant"] * 2
    assert explicit == Persona("I avoid loud hotels.")
    assert persona == Persona("A nurse")
    assert isinstance(long, Dialogue)
    assert long.messages[-1] == Turn("assistant", "answered 10")
    assert {pair.chosen for pair in first.pairs} == {"Quiet inn"}
    assert {pair.rejected for pair in first.pairs} == {"Disco", "Bar", "Club"}
    assert [pair.rejected for pair in users["hotels-001"].pairs] == ["Steep stairs"]
    assert left_out == {"options that are empty or the same as the one that fits": 2}


def test_prefeval_orders_the_wrong_options_by_the_seed_alone(tmp_path: Path) -> None:
    def rejected(seed: int) -> tuple[str, ...]:
        users, _ = read("prefeval", tmp_path, PREFEVAL, seed=seed)
        return tuple(pair.rejected for pair in users["hotels-000"].pairs)

    orders = {rejected(seed) for seed in range(12)}
    assert len(orders) > 1
    assert rejected(3) == rejected(3)


def test_prefeval_takes_only_the_forms_that_are_given(tmp_path: Path) -> None:
    files = {k: v for k, v in PREFEVAL.items() if not k.startswith(("explicit", "persona"))}
    users, left_out = read("prefeval", tmp_path, files)
    assert [type(signal) for signal in users["hotels-000"].signals] == [Dialogue]
    assert left_out[importers.NO_SIGNALS] == 1


def test_prefeval_refuses_forms_that_ask_another_question(tmp_path: Path) -> None:
    files = json.loads(json.dumps(PREFEVAL))
    files["explicit_preference/hotels.json"][1]["question"] = "Something else?"
    with pytest.raises(DataError, match="record 1: asks another question"):
        read("prefeval", tmp_path, files)


def test_prefeval_without_questions_is_refused(tmp_path: Path) -> None:
    files = {"explicit_preference/hotels.json": PREFEVAL["explicit_preference/hotels.json"]}
    with pytest.raises(UsageError, match="mcq_options"):
        read("prefeval", tmp_path, files)


def test_prefeval_refuses_two_files_of_one_form_and_topic(tmp_path: Path) -> None:
    files = {**PREFEVAL, "again/hotels.json": PREFEVAL["mcq_options/hotels.json"]}
    with pytest.raises(DataError, match="and so does"):
        read("prefeval", tmp_path, files)


@pytest.mark.skipif(not (DATA / "prefeval").is_dir(), reason="PrefEval is not here")
def test_all_of_prefeval_is_imported() -> None:
    imported = import_users("prefeval", [str(DATA / "prefeval")])
    users = list(imported.users)
    assert len(users) == 1000
    assert len({user.group for user in users}) == 20
    assert sum(len(user.pairs) for user in users) == 3000
    assert not +imported.left_out
    assert {len(user.signals) for user in users} == {4}


# PAHF


def test_pahf_makes_a_user_before_and_after_the_change(tmp_path: Path) -> None:
    users, left_out = read("pahf", tmp_path, PAHF)
    assert list(users) == ["Ada-lamp", "Ada-lamp-drift"]
    before, after = users.values()
    prompt = "first lamp\nA: red, tall\nB: blue, tall\nC: blue, small"
    assert before.signals[:2] == (
        Preference(prompt, "red, tall", "blue, tall"),
        Preference(prompt, "red, tall", "blue, small"),
    )
    rejected = before.signals[2]
    assert isinstance(rejected, Interaction)
    assert rejected.feedback == "disliked"
    assert after.signals[:3] == before.signals
    assert after.signals[3:] == (
        Preference(prompt, "blue, small", "red, tall"),
        Preference(prompt, "blue, small", "blue, tall"),
    )
    assert {pair.chosen for pair in before.pairs} == {"blue, tall"}
    assert {pair.chosen for pair in after.pairs} == {"red, tall"}
    assert before.gold == "colour: likes red most, then green; dislikes blue or black."
    assert after.gold == "colour: likes blue most, then black; dislikes red."
    assert [user.group for user in users.values()] == ["stable", "drift"]
    assert left_out == {"choices to be held out in which every option was rejected": 1}


def test_pahf_without_the_change_and_the_tastes(tmp_path: Path) -> None:
    users, _ = read("pahf", tmp_path, {name: PAHF[name] for name in ("phase1.json", "phase2.json")})
    assert [(user.user_id, user.gold) for user in users.values()] == [("Ada-lamp", None)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"phase2.json": None}, "needs phase2.json"),
        ({"phase4.json": None}, "phase3.json and phase4.json, or neither"),
        ({"notes.json": []}, "no file 'notes.json'"),
    ],
)
def test_pahf_says_which_file_it_misses(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    files = {name: kept for name, kept in {**PAHF, **changes}.items() if kept is not None}
    with pytest.raises(UsageError, match=problem):
        read("pahf", tmp_path, files)


@pytest.mark.skipif(not (DATA / "pahf_shopping").is_dir(), reason="PAHF is not here")
def test_all_of_pahf_is_imported() -> None:
    imported = import_users("pahf", [str(DATA / "pahf_shopping")])
    users = list(imported.users)
    assert Counter(user.group for user in users) == {"stable": 100, "drift": 100}
    assert all(user.gold for user in users)
    pairs = Counter(user.group for user in users for _ in user.pairs)
    assert pairs == {"stable": 2 * 600, "drift": 2 * 290}
    assert +imported.left_out == {
        "choices to be held out in which every option was rejected": 300 + 610
    }
    signals = Counter(user.group for user in users for _ in user.signals)
    # a choice is two preferences, a refusal of all options one interaction
    assert signals == {"stable": 2 * 600 + 300, "drift": 2 * 600 + 300 + 2 * 281 + 619}


# FSPO


def test_elix_rows_are_dealt_to_users_of_a_level(tmp_path: Path) -> None:
    users, left_out = read("fspo", tmp_path, ELIX, signals=4, pairs=2)
    assert {user.group for user in users.values()} == {"expert", "child"}
    expert = users["expert-00000"]
    assert expert.gold == "The user is expert."
    assert (len(expert.signals), len(expert.pairs)) == (4, 2)
    assert all(pair.chosen.startswith("deep") for pair in expert.pairs)
    assert all(p.chosen.startswith("plain") for p in users["child-00000"].pairs)
    measured = {prompt for user in users.values() for prompt in prompts(user)}
    learned = {prompt for user in users.values() for prompt in prompts_in_signals(user)}
    assert not measured & learned
    used = sum(len(user.signals) + len(user.pairs) for user in users.values())
    few = "rows left when they were too few for another user"
    assert used + left_out.pop(few, 0) == 36
    assert left_out == {
        "rows whose label says neither answer": 1,
        "rows with an empty prompt or answer, or the same answer twice": 1,
    }


def test_a_prompt_that_comes_again_goes_to_another_user(tmp_path: Path) -> None:
    rows = ELIX["elix.jsonl"][:24]
    users, _ = read("fspo", tmp_path, {"elix.jsonl": [r for r in rows for _ in range(3)]})
    for user in users.values():
        own = [*prompts_in_signals(user), *(pair.prompt for pair in user.pairs)]
        assert len(set(own)) == len(own)


def test_roleplay_has_the_persona_as_gold(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    users, _ = read("fspo", tmp_path, ROLEPLAY)
    assert {(user.gold, user.group) for user in users.values()} == {("The user is a pirate.", "7")}


@pytest.mark.parametrize(
    ("level", "gold"),
    [
        ("positive+concise", "This user prefers positive and concise reviews."),
        ("verbose", "This user prefers verbose reviews."),
    ],
)
def test_review_levels_are_put_in_words(level: str, gold: str, tmp_path: Path) -> None:
    rows = [{**row, "scorer_level": level} for row in ELIX["elix.jsonl"][:24]]
    users, _ = read("fspo", tmp_path, {"review.jsonl": rows})
    assert {user.gold for user in users.values()} == {gold}


# PRISM


@pytest.mark.parametrize("files", [PRISM, PRISM_UTTERANCES, {**PRISM, **PRISM_UTTERANCES}])
def test_prism_takes_the_opening_prompts_from_either_file(files: Files, tmp_path: Path) -> None:
    users, left_out = read("prism", tmp_path, files)
    [user] = users.values()
    assert user.user_id == "user0"
    assert user.gold == "Be brief and honest."
    assert user.signals[:3] == (
        Persona("I value plain words."),
        Rating("importance of factuality in answers", 90, (0, 100)),
        Rating("importance of creativity in answers", 10, (0, 100)),
    )
    rated = [s for s in user.signals if isinstance(s, Preference)]
    assert len(rated) == 3
    assert len(user.pairs) == 1
    contrasts: list[Preference | Pair] = [*rated, *user.pairs]
    for each in contrasts:
        name = each.prompt.replace("opening ", "c")
        assert each.chosen == f"{name} answer 1 to turn 0"
        assert each.rejected == f"{name} answer 2 to turn 0"
    assert left_out == {
        "answers to later turns, which depend on what was said before": 2,
        "opening prompts without one chosen answer that is rated above another": 1,
        "people in the survey without a usable conversation": 1,
    }


def test_prism_ties_say_nothing(tmp_path: Path) -> None:
    rows = [{**row, "score": 40, "if_chosen": i == 0} for i, row in enumerate(UTTERANCES[:4])]
    files = {"survey.jsonl": SURVEY, "utterances.jsonl": [*rows, *UTTERANCES[4:8]]}
    users, left_out = read("prism", tmp_path, files)
    [preference] = [s for s in users["user0"].signals if isinstance(s, Preference)]
    assert preference.prompt == "opening 1"
    assert left_out["opening prompts without one chosen answer that is rated above another"] == 1


def test_prism_without_conversations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"conversations\.jsonl or utterances\.jsonl"):
        read("prism", tmp_path, {"survey.jsonl": PRISM["survey.jsonl"]})


# LaMP


def test_lamp_profiles_are_signals_and_named_answers_make_pairs(tmp_path: Path) -> None:
    users, left_out = read("lamp", tmp_path, LAMP)
    tag, stars, cite, headline, tweet = users.values()
    assert tag.signals == (
        Interaction("Which tag does this movie relate to? a tank", "war", "liked"),
    )
    assert tag.pairs[0].chosen == "space"
    assert tag.pairs[0].rejected in ("comedy", "war")
    assert stars.signals == (Rating("Works", 5, (1, 5)),)
    assert stars.pairs[0].chosen == "1"
    assert stars.pairs[0].rejected in "2345"
    assert (cite.pairs[0].chosen, cite.pairs[0].rejected) == ("[1]", "[2]")
    assert cite.signals == (
        Interaction("Write a title for this abstract. On atlases.", "Atlases", "liked"),
    )
    assert headline.signals[0] == Interaction(
        "Write a title for this text. It shone.", "Sun", "liked"
    )
    assert headline.signals[1] == Interaction(
        "Which category does this article relate to? A tweet", "news", "liked"
    )
    assert tweet.signals == (Persona("Wrote: Up early"),)
    assert headline.pairs == tweet.pairs == ()
    assert left_out == {
        "profile entries with empty text": 1,
        "questions that do not name the output and another answer; their users have no pairs": 1,
        "questions without an output; their users have no pairs": 1,
    }


def test_lamp_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="questions"):
        read("lamp", tmp_path, {"outputs.json": LAMP["outputs.json"]})


# MovieLens


def test_movielens_holds_out_films_that_are_rated_a_star_apart(tmp_path: Path) -> None:
    users, left_out = read("movielens", tmp_path, MOVIELENS)
    [user] = users.values()
    assert user.user_id == "movielens-1"
    [pair] = user.pairs
    stars = {f"Film {i} (19{i}0)": 0.5 + 0.5 * i for i in range(9)}
    high, low = (stars[text.split(";")[0]] for text in (pair.chosen, pair.rejected))
    assert high - low >= 1
    assert pair.chosen in pair.prompt
    assert pair.rejected in pair.prompt
    rated = {s.item: s for s in user.signals if isinstance(s, Rating)}
    assert len(rated) == 7
    assert not {pair.chosen, pair.rejected} & set(rated)
    assert {s.scale for s in rated.values()} == {(0.5, 5)}
    assert all(item.endswith("; Drama, War") or item == "Film 0 (1900)" for item in rated)
    assert left_out == {"ratings of films that are not in the file of films": 1}


def test_movielens_100k_has_genres_by_flag_and_old_letters(tmp_path: Path) -> None:
    users, left_out = read("movielens", tmp_path, ML_100K, pairs=0)
    [user] = users.values()
    items = {s.item: s for s in user.signals if isinstance(s, Rating)}
    assert items["Am\xe9lie; unknown"].rating == 5
    assert "Film 1 (1910); Action" in items
    assert {s.scale for s in items.values()} == {(1, 5)}
    assert left_out == {"ratings of a film that the same person rated again later": 1}


def test_movielens_1m_is_read(tmp_path: Path) -> None:
    users, _ = read("movielens", tmp_path, ML_1M)
    assert sum(len(user.signals) + 2 * len(user.pairs) for user in users.values()) == 9


def test_movielens_needs_both_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ratings and films"):
        read("movielens", tmp_path, {"ratings.csv": MOVIELENS["ratings.csv"]})


# any file of preferences


def test_preferences_of_a_user_are_signals_and_at_most_a_third_of_the_prompts_pairs(
    tmp_path: Path,
) -> None:
    users, left_out = read("preferences", tmp_path, PREFERENCES)
    [user] = users.values()
    assert (user.user_id, user.group, user.gold) == ("7", "g", "Be good.")
    assert (len(user.signals), len(user.pairs)) == (4, 2)
    assert left_out == {
        "rows that are there twice for one user": 1,
        "rows whose two answers are the same": 1,
        "rows whose prompt or answer is empty, or no single text": 1,
    }


def test_preferences_of_a_csv_with_columns_of_its_own(tmp_path: Path) -> None:
    users, left_out = read("preferences", tmp_path, VOTES_CSV, columns=COLUMNS["preferences csv"])
    assert set(users) == {"a0", "a1"}
    both = {*users["a0"].signals, *(Preference(p.prompt, p.chosen, p.rejected) for p in
            users["a0"].pairs)}  # fmt: skip
    assert Preference("ask, 0", 'a "good"\n0', "bad") in both
    assert left_out == {}


def test_preferences_of_a_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    users, _ = read("preferences", tmp_path, VOTES_PARQUET)
    assert len(users["u"].signals) + len(users["u"].pairs) == 4


def test_trl_rows_of_every_kind(tmp_path: Path) -> None:
    users, left_out = read("preferences", tmp_path, TRL, pairs=0)
    assert users["trl"].signals == (
        Preference("The sky is", " blue.", " green."),
        Preference("The sea is", "blue.", "green."),
        Preference("What colour is grass?", "Green.", "Blue."),
        Preference("What colour is snow?", "White.", "Black."),
        Preference("User: Hi\n\nAssistant: Hello\n\nUser: And coal?", "Black.", "White."),
        Preference("What colour is mud?", "Brown.", "Pink."),
    )
    assert left_out == {}


def test_openai_rows_and_answers_without_text(tmp_path: Path) -> None:
    users, left_out = read("preferences", tmp_path, OPENAI, pairs=0)
    assert users["openai"].signals == tuple(Preference(**contrast(i)) for i in range(3))
    assert left_out == {"rows whose prompt or answer is empty, or no single text": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"votes.csv": "user,chosen\na,b,c\n"}, "votes.csv:2: has 3 columns, the header has 2"),
        ({"votes.csv": "user,user\na,b\n"}, "votes.csv:1: has two columns of the same name"),
        ({"votes.csv": 'user,chosen\na,"b\n'}, "is not valid CSV"),
        ({"votes.csv": b"user,chosen\n\xff,b\n"}, "votes.csv:2: is not valid UTF-8 at byte 1"),
        ({"votes.jsonl": [contrast(1), 5]}, "votes.jsonl:2: is 5, expected an object"),
        ({"votes.jsonl": [{"prompt": "x"}]}, "votes.jsonl:1: has no 'chosen'; it has 'prompt'"),
        ({"votes.json": [contrast(1), {**contrast(2), "chosen": 3}]}, "record 1: 'chosen' is 3"),
        ({"votes.jsonl": [{**contrast(1), "user": ""}]}, "votes.jsonl:1: 'user' is empty"),
        ({"votes.jsonl": [{**contrast(1), "chosen": "\x00"}]}, "NUL"),
        ({"votes.jsonl": [{**contrast(1), "chosen": "\ud800"}]}, "surrogate"),
        ({"votes.parquet": b"PAR1 no"}, "record 0: is not valid Parquet"),
        ({"votes.jsonl": b""}, "holds no users"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(
    content: Files, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read("preferences", tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path))
    assert problem in str(caught.value)


def test_a_column_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no 'who'"):
        read("preferences", tmp_path, PREFERENCES, columns={"user": "who"})


def test_an_unknown_suffix_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot tell the format of"):
        read("preferences", tmp_path, {"votes.xlsx": b""})


# chat logs


def test_chat_logs_become_interactions_and_regenerated_answers_pairs(tmp_path: Path) -> None:
    users, left_out = read("chat", tmp_path, CHAT)
    [user] = users.values()
    assert user.pairs == (Pair("ask 1", "short", "long"),)
    assert user.signals == (
        Interaction("ask 2", "fine", None),
        Interaction("ask 3", "so so", "liked"),
        Interaction("ask 4", "first", "disliked"),
        Interaction("User: ask 4\n\nAssistant: first\n\nUser: again", "second", "liked"),
        Dialogue((Turn("user", "ask 5"), Turn("assistant", "yes"))),
    )
    assert left_out == {"rows whose prompt or answer is empty, or no single text": 1}


def test_an_answer_without_a_thumb_is_not_a_rejected_one(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "response": "liked", "feedback": "up"},
        {"prompt": "p", "response": "nothing said", "feedback": None},
        {"prompt": "q", "response": "r", "feedback": "up"},
    ]
    users, _ = read("chat", tmp_path, {"chat.jsonl": rows})
    assert users["chat"].pairs == ()
    assert len(users["chat"].signals) == 3


def test_kto_files_are_chat_logs(tmp_path: Path) -> None:
    users, _ = read("chat", tmp_path, KTO)
    assert [s.feedback for s in users["kto"].signals if isinstance(s, Interaction)] == [
        *("liked", "disliked") * 2
    ]


@pytest.mark.parametrize("word", [0, "meh", 0.5, [], {}, "0"])
def test_feedback_that_could_mean_either_is_refused(word: Any, tmp_path: Path) -> None:
    row = {"prompt": "p", "response": "r", "feedback": word}
    with pytest.raises(DataError, match=r"chat\.jsonl:1: feedback is .*expected up"):
        read("chat", tmp_path, {"chat.jsonl": [row]})


# extras


@pytest.mark.parametrize(
    ("package", "source"), [("pyarrow", "x.parquet"), ("datasets", "hf://owner/name")]
)
def test_a_package_that_is_missing_is_named_with_its_command(
    package: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        list(import_users("preferences", [source]).users)
    assert f"install it with: pip install {package}" in str(caught.value)


class FakeHub(ModuleType):
    """The package `datasets`, as far as it is used."""

    def __init__(self, rows: list[Any]):
        super().__init__("datasets")
        self.rows = rows
        self.asked: tuple[Any, ...] = ()

    def load_dataset(self, name: str, config: str | None, *, split: str, streaming: bool) -> Any:
        self.asked = (name, config, split, streaming)
        if not self.rows:
            raise ConnectionError("no\nnetwork")
        return iter(self.rows)


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("hf://owner/name", ("owner/name", None, "train", True)),
        ("hf://owner/name/part:test", ("owner/name", "part", "test", True)),
    ],
)
def test_a_data_set_of_the_hub_is_streamed(
    source: str, asked: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub([{"user": "u", **contrast(i)} for i in range(3)])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    [user] = import_users("preferences", [source]).users
    assert hub.asked == asked
    assert len(user.signals) + len(user.pairs) == 3


def test_a_hub_that_cannot_be_reached_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeHub([]))
    with pytest.raises(DataError) as caught:
        list(import_users("preferences", ["hf://owner/name"]).users)
    assert str(caught.value).startswith("hf://owner/name: cannot be read (ConnectionError:")
    assert len(str(caught.value).splitlines()) == 1


def test_a_bad_address_of_the_hub_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeHub([]))
    with pytest.raises(UsageError, match="is not hf://OWNER/NAME"):
        list(import_users("preferences", ["hf://owner"]).users)
