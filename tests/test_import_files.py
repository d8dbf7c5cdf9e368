"""Importers given files of one name, records that are there twice, and files oddly written."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from public_formats import (
    ELIX,
    ML_1M,
    MOVIELENS,
    PAHF,
    PREFERENCES,
    PRISM,
    PRISM_UTTERANCES,
    SURVEY,
    UTTERANCES,
    Files,
    contrast,
    read,
    read_paths,
    save,
)

from popi_prompt.errors import DataError, UsageError
from popi_prompt.importers import import_users
from popi_prompt.schema import Preference, Rating, User

# LaMP: whose outputs


def asked(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "input": text, "profile": [{"id": "1", "text": "Wrote before"}]}


def golds(*outputs: tuple[int, str], **more: Any) -> dict[str, Any]:
    return {"golds": [{"id": number, "output": text} for number, text in outputs], **more}


SCORES = [asked(1, "What is the score of the following review on a scale of 1 to 5? review: ok")]
TAGS = [asked(1, "Which tag does this movie relate to? tags: [comedy, war] description: a ship")]
TWO_TASKS: Files = {
    "LaMP_3/dev_questions.json": SCORES,
    "LaMP_3/dev_outputs.json": golds((1, "4"), task="LaMP_3"),
    "LaMP_2/dev_questions.json": TAGS,
    "LaMP_2/dev_outputs.json": golds((1, "comedy"), task="LaMP_2"),
}


@pytest.mark.parametrize("order", [1, -1])
def test_lamp_outputs_belong_to_the_questions_of_their_name_and_folder(
    order: int, tmp_path: Path
) -> None:
    users, left_out = read_paths("lamp", save(tmp_path, TWO_TASKS)[::order])
    chosen = {user_id: [pair.chosen for pair in user.pairs] for user_id, user in users.items()}
    assert chosen == {
        "LaMP_3/dev_questions-1": ["4"],
        "LaMP_2/dev_questions-1": ["comedy"],
    }
    assert left_out == {}


def test_lamp_outputs_beside_their_questions_are_told_by_their_whole_name(tmp_path: Path) -> None:
    files = {
        "scores_questions.json": SCORES,
        "tags_questions.json": TAGS,
        "tags_outputs.json": golds((1, "war")),
    }
    users, left_out = read("lamp", tmp_path, files)
    assert [pair.chosen for pair in users["tags_questions-1"].pairs] == ["war"]
    assert users["scores_questions-1"].pairs == ()
    assert left_out == {"questions without an output; their users have no pairs": 1}


def test_lamp_outputs_that_could_be_of_several_questions_are_refused(tmp_path: Path) -> None:
    files = {
        "scores_questions.json": SCORES,
        "tags_questions.json": TAGS,
        "answers.json": golds((1, "war")),
    }
    with pytest.raises(UsageError) as caught:
        read("lamp", tmp_path, files)
    assert f"whose outputs {str(tmp_path / 'answers.json')!r} holds" in str(caught.value)
    assert "X_outputs.json beside X_questions.json" in str(caught.value)


def test_lamp_outputs_of_two_tasks_for_one_file_of_questions_are_refused(tmp_path: Path) -> None:
    files = {
        "questions.json": SCORES,
        "a.json": golds((1, "4"), task="LaMP_3"),
        "b.json": golds((2, "war"), task="LaMP_2"),
    }
    with pytest.raises(DataError) as caught:
        read("lamp", tmp_path, files)
    assert str(caught.value).startswith(
        f"{tmp_path / 'b.json'}: has the task 'LaMP_2', and {tmp_path / 'a.json'} has 'LaMP_3'"
    )


def test_lamp_outputs_that_differ_for_one_id_are_refused(tmp_path: Path) -> None:
    files = {
        "questions.json": SCORES,
        "a.json": golds((1, "4")),
        "b.json": golds((7, "x"), (1, "5")),
    }
    with pytest.raises(DataError) as caught:
        read("lamp", tmp_path, files)
    assert str(caught.value) == (
        f"{tmp_path / 'b.json'}: record 1: the output of id '1' is '5', and '4' in record 0 of "
        f"{tmp_path / 'a.json'}; keep the one that is right"
    )


def test_lamp_outputs_that_repeat_or_answer_no_question_are_counted(tmp_path: Path) -> None:
    files = {
        "questions.json": SCORES,
        "outputs.json": golds((1, "4"), (1, "4"), (8, "2"), (9, "1")),
    }
    users, left_out = read("lamp", tmp_path, files)
    assert users["questions-1"].pairs[0].chosen == "4"
    assert left_out == {
        "outputs that are there twice for one question": 1,
        "outputs without a question": 2,
    }


# MovieLens: letters and times


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_movielens_films_are_read_in_the_letters_they_are_in(encoding: str, tmp_path: Path) -> None:
    films = "0::Am\xe9lie (2001)::Comedy\n" + ML_1M["movies.dat"].split("\n", 1)[1]
    files = {**ML_1M, "movies.dat": films.encode(encoding)}
    users, _ = read("movielens", tmp_path, files, pairs=0)
    titles = {s.item for s in users["movielens-1"].signals if isinstance(s, Rating)}
    assert "Am\xe9lie (2001); Comedy" in titles


def test_movielens_letters_are_those_of_the_whole_file(tmp_path: Path) -> None:
    films = f"{ML_1M['movies.dat']}8::Am\xe9lie::Comedy\n".encode() + "9::Clich\xe9::War\n".encode(
        "latin-1"
    )
    files = {"movies.dat": films, "ratings.dat": "1::8::5::1\n1::9::5::2\n"}
    users, _ = read("movielens", tmp_path, files, pairs=0)
    titles = [s.item for s in users["movielens-1"].signals if isinstance(s, Rating)]
    assert titles == ["Am\xc3\xa9lie; Comedy", "Clich\xe9; War"]


def test_movielens_a_last_letter_that_ends_too_early_is_an_old_one(tmp_path: Path) -> None:
    files = {"movies.dat": "1::A::Clich\xe9".encode("latin-1"), "ratings.dat": "1::1::5::1\n"}
    users, _ = read("movielens", tmp_path, files)
    assert users["movielens-1"].signals == (Rating("A; Clich\xe9", 5, (1, 5)),)


def stars_of(user: User) -> list[tuple[str, float]]:
    return [(s.item[:6], s.rating) for s in user.signals if isinstance(s, Rating)]


RATED = [(5, 3, "400"), (1, 4, "100"), (5, 1, "50"), (2, 2, "300"), (3, 5, "200"), (4, 1, "200")]


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.dat"])
def test_movielens_ratings_come_in_the_order_of_time_and_a_films_newest_counts(
    name: str, tmp_path: Path
) -> None:
    rows = [("1", str(film), str(stars), time) for film, stars, time in RATED]
    keys = ("userId", "movieId", "rating", "timestamp")
    content: Any = "".join("::".join(row) + "\n" for row in rows)
    if name.endswith(".csv"):
        content = [dict(zip(keys, row, strict=True)) for row in rows]
    files = {name: content, "movies.csv": MOVIELENS["movies.csv"]}
    users, left_out = read("movielens", tmp_path, files, pairs=0)
    assert stars_of(users["movielens-1"]) == [
        *(("Film 1", 4), ("Film 3", 5), ("Film 4", 1), ("Film 2", 2), ("Film 5", 3))
    ]
    assert left_out == {"ratings of a film that the same person rated again later": 1}
    latest, _ = read("movielens", tmp_path, files, pairs=0, signals=3)
    assert stars_of(latest["movielens-1"]) == [("Film 4", 1), ("Film 2", 2), ("Film 5", 3)]


def test_movielens_ratings_without_times_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [{"userId": "1", "movieId": str(film), "rating": str(s)} for film, s, _ in RATED]
    files = {"ratings.csv": rows, "movies.csv": MOVIELENS["movies.csv"]}
    users, _ = read("movielens", tmp_path, files, pairs=0)
    assert stars_of(users["movielens-1"]) == [
        *(("Film 1", 4), ("Film 5", 1), ("Film 2", 2), ("Film 3", 5), ("Film 4", 1))
    ]


@pytest.mark.parametrize("time", ["yesterday", "", "nan"])
def test_movielens_times_that_are_no_numbers_are_refused(time: str, tmp_path: Path) -> None:
    files = {**ML_1M, "ratings.dat": f"1::1::5::7\n1::2::5::{time}\n"}
    with pytest.raises(DataError, match=r"ratings\.dat:2: 'timestamp' is .*, expected a number"):
        read("movielens", tmp_path, files)


# PAHF and PRISM: what is there twice


def test_pahf_refuses_a_second_folder(tmp_path: Path) -> None:
    save(tmp_path / "a", PAHF)
    save(tmp_path / "b", PAHF)
    with pytest.raises(DataError) as caught:
        read_paths("pahf", [str(tmp_path / "a"), str(tmp_path / "b")])
    assert str(tmp_path / "a" / "persona_info.json") in str(caught.value)
    assert str(tmp_path / "b" / "persona_info.json") in str(caught.value)


def test_pahf_takes_a_file_that_is_named_twice_once(tmp_path: Path) -> None:
    paths = save(tmp_path, PAHF)
    assert read_paths("pahf", [str(tmp_path), *paths]) == read_paths("pahf", paths)


def test_prism_people_who_are_in_the_survey_again_are_counted(tmp_path: Path) -> None:
    again = {**SURVEY[0], "system_string": "Be long.", "self_description": "Another."}
    expected, left_out = read("prism", tmp_path, PRISM)
    users, more = read("prism", tmp_path, {**PRISM, "survey.jsonl": [*SURVEY, again]})
    assert users == expected
    assert more == {**left_out, "people who are in the survey again": 1}


@pytest.mark.parametrize("name", ["conversations.jsonl", "again/conversations.jsonl"])
def test_prism_conversations_that_are_there_again_are_counted(name: str, tmp_path: Path) -> None:
    held = PRISM["conversations.jsonl"]
    expected, left_out = read("prism", tmp_path, PRISM)
    files = {**PRISM, name: [*(held if "/" not in name else []), held[1], held[0]]}
    users, more = read("prism", tmp_path, files)
    assert users == expected
    assert more == {**left_out, "conversations that are there again": 2}


def test_prism_answers_that_are_there_again_are_counted(tmp_path: Path) -> None:
    expected, left_out = read("prism", tmp_path, PRISM_UTTERANCES)
    files = {**PRISM_UTTERANCES, "utterances.jsonl": [*UTTERANCES, *UTTERANCES[:4]]}
    users, more = read("prism", tmp_path, files)
    assert users == expected
    assert more == {**left_out, "answers that are there again": 4}


# users named after files


def votes(name: str) -> list[dict[str, str]]:
    return [{key: f"{value} {name}" for key, value in contrast(i).items()} for i in range(2)]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["a/votes.jsonl"], ["votes"]),
        (["a/votes.jsonl", "b/others.jsonl"], ["votes", "others"]),
        (["a/votes.jsonl", "b/votes.jsonl"], ["a/votes", "b/votes"]),
        (["a/votes.jsonl", "a/votes.json"], ["a/votes.jsonl", "a/votes.json"]),
        (["x/a/votes.jsonl", "y/a/votes.json"], ["x/a/votes", "y/a/votes"]),
        (
            ["a/votes.jsonl", "a/votes.json", "b/votes.json.jsonl"],
            ["a/votes.jsonl", "a/votes.json", "votes.json"],
        ),
    ],
)
def test_files_without_users_are_a_user_each_whatever_their_names(
    names: list[str], ids: list[str], tmp_path: Path
) -> None:
    users, left_out = read("preferences", tmp_path, {name: votes(name) for name in names})
    assert list(users) == ids
    for name, user in zip(names, users.values(), strict=True):
        assert [pair.chosen.split(" ", 2)[2] for pair in user.pairs] == [name]
        assert len(user.signals) == 1
    assert left_out == {}


def test_a_file_that_is_given_twice_is_one_user(tmp_path: Path) -> None:
    [path] = save(tmp_path / "a", {"votes.jsonl": votes("a")})
    users, left_out = read_paths("preferences", [path, f"{tmp_path}/a/../a/votes.jsonl"])
    assert list(users) == ["votes"]
    assert left_out == {"rows that are there twice for one user": 2}


def test_chat_logs_of_one_name_are_a_user_each(tmp_path: Path) -> None:
    files = {
        f"{folder}/log.jsonl": [{"prompt": folder, "response": "r", "feedback": "up"}]
        for folder in ("a", "b")
    }
    users, _ = read("chat", tmp_path, files)
    assert list(users) == ["a/log", "b/log"]


def test_users_of_a_column_are_the_same_in_every_file(tmp_path: Path) -> None:
    rows = PREFERENCES["votes.jsonl"][:3]
    users, _ = read("preferences", tmp_path, {"a/votes.jsonl": rows[:2], "b/votes.jsonl": rows[2:]})
    assert list(users) == ["7"]


# how files are written


@pytest.fixture
def usual_limit() -> Any:
    """The limit of Python's CSV reader, which is one for the process."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("usual_limit")
@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl"])
def test_long_texts_are_read_from_tables_as_from_json(name: str, tmp_path: Path) -> None:
    rows = [contrast(0), {**contrast(1), "chosen": "long " * 100_000}]
    users, _ = read("preferences", tmp_path, {name: rows}, pairs=0)
    texts = [s.chosen for s in users["votes"].signals if isinstance(s, Preference)]
    assert sorted(map(len, texts)) == [6, 500_000]


@pytest.mark.usefixtures("usual_limit")
def test_a_quote_without_end_is_refused_before_all_of_it_is_held(tmp_path: Path) -> None:
    content = b'chosen,rejected\n"' + (b"x" * 1023 + b"\n") * (1 << 15) + b"x\n"
    with pytest.raises(DataError, match=r"field larger than field limit \(33554432\)"):
        read("preferences", tmp_path, {"votes.csv": content})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("votes.json", json.dumps(contrast(1), indent=2)),
        ("votes.json", json.dumps({"data": [contrast(1), contrast(2)]}, indent=1)),
        ("votes.jsonl", '{"data": [\n' + json.dumps(contrast(1)) + "\n]}\n"),
        ("votes.jsonl", json.dumps(contrast(1))[:-1] + "\n}\n"),
    ],
)
def test_an_object_over_several_lines_is_refused_with_what_is_expected(
    name: str, content: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read("preferences", tmp_path, {name: content})
    assert str(caught.value).startswith(f"{tmp_path / name}:1: is not valid JSON: ")
    assert str(caught.value).endswith(
        "; expected JSON Lines, each line a whole object, or a JSON array"
    )


def test_other_damage_of_a_line_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read("preferences", tmp_path, {"votes.jsonl": b'{"chosen": NaN}\n'})
    assert str(caught.value) == f"{tmp_path / 'votes.jsonl'}:1: holds NaN, which is not JSON"


def test_a_folder_named_like_the_hubs_package_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", ModuleType("datasets"))
    with pytest.raises(UsageError) as caught:
        list(import_users("preferences", ["hf://owner/name"]).users)
    assert "pip install datasets" in str(caught.value)


@pytest.mark.parametrize(
    ("drop", "problem"),
    [
        ("label", "has no 'label' or 'det_choice'; it has "),
        ("scorer_level", "has no 'scorer_level'; it has "),
    ],
)
def test_fspo_names_the_column_that_is_missing(drop: str, problem: str, tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != drop} for row in ELIX["elix.jsonl"]]
    with pytest.raises(DataError) as caught:
        read("fspo", tmp_path, {"elix.jsonl": rows})
    assert str(caught.value).startswith(f"{tmp_path / 'elix.jsonl'}:1: {problem}")


def test_fspo_reads_the_choice_where_there_is_no_label(tmp_path: Path) -> None:
    rows = [
        {"det_choice" if key == "label" else key: value for key, value in row.items()}
        for row in ELIX["elix.jsonl"]
    ]
    users, _ = read("fspo", tmp_path, {"elix.jsonl": rows})
    assert users == read("fspo", tmp_path, ELIX)[0]


def test_fspo_roleplay_rows_miss_their_own_columns(tmp_path: Path) -> None:
    row = {"x": "ask", "yl": "plain", "level": 7}
    with pytest.raises(DataError, match=r"roleplay\.jsonl:1: has no 'yw'; it has "):
        read("fspo", tmp_path, {"roleplay.jsonl": [row]})
