"""What importers make of the names of files, and of names within them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from public_formats import (
    ALIGNX,
    CHAT,
    ELIX,
    LAMP,
    PAHF,
    PREFEVAL,
    contrast,
    read,
    read_paths,
    save,
)

from popi_prompt.errors import DataError, PopiError
from popi_prompt.importers import import_users
from popi_prompt.schema import Interaction, Rating

# names of files that are no names of users

VOTES = {"votes.jsonl": [contrast(1), contrast(2)]}
LOG = {"log.jsonl": CHAT["chat.jsonl"][-1:]}


def without_ids(content: Any) -> Any:
    return [{key: value for key, value in row.items() if key != "user_id"} for row in content]


@pytest.mark.parametrize(
    ("name", "files", "renamed"),
    [
        ("preferences", VOTES, "caf\udce9.jsonl"),
        ("preferences", VOTES, " .jsonl"),
        ("chat", {"log.jsonl": without_ids(LOG["log.jsonl"])}, "caf\udce9.jsonl"),
        ("chat", {"log.jsonl": without_ids(LOG["log.jsonl"])}, " .jsonl"),
        ("lamp", LAMP, "caf\udce9.json"),
        ("alignx", ALIGNX, "caf\udce9.json"),
    ],
)
def test_a_file_whose_name_can_be_no_users_id_is_refused(
    name: str, files: dict[str, Any], renamed: str, tmp_path: Path
) -> None:
    path, *more = save(tmp_path, files)
    moved = str(Path(path).rename(tmp_path / renamed))
    with pytest.raises(DataError) as caught:
        read_paths(name, [moved, *more])
    assert str(caught.value).startswith(moved)
    assert "id" in caught.value.problem
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("topic", ["caf\udce9", " "])
def test_a_topic_that_can_be_no_group_is_refused(topic: str, tmp_path: Path) -> None:
    for name in PREFEVAL:
        [path] = save(tmp_path, {name: PREFEVAL[name]})
        Path(path).rename(Path(path).with_name(f"{topic}.json"))
    with pytest.raises(DataError, match=r"\.json: the topic, which is the file's name, "):
        read_paths("prefeval", [str(tmp_path)])


def test_a_column_of_users_makes_the_name_of_the_file_no_matter(tmp_path: Path) -> None:
    [path] = save(tmp_path, {"votes.jsonl": [{"user": "u", **contrast(i)} for i in range(2)]})
    moved = str(Path(path).rename(tmp_path / "caf\udce9.jsonl"))
    users, _ = read_paths("preferences", [moved])
    assert list(users) == ["u"]


LONG = "x" * 300


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("prefeval", [LONG]),
        ("prefeval", [f"{LONG}/hotels.json"]),
        ("pahf", [LONG]),
        ("pahf", [f"{LONG}/phase1.json", f"{LONG}/phase2.json"]),
        ("lamp", [LONG]),
        ("alignx", [LONG]),
        ("alignx", ["nul\0.json"]),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_as_others_are(name: str, files: list[str]) -> None:
    with pytest.raises(PopiError, match=r"x{60}|nul"):
        list(import_users(name, files).users)


@pytest.mark.parametrize("name", ["prefeval", "pahf"])
def test_a_file_in_a_folder_that_one_may_not_enter_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def refusing(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *arguments, **more)

    # Not by the mode of a folder: tests that run as root may enter any.
    monkeypatch.setattr(os, "stat", refusing)
    with pytest.raises(DataError, match=r"locked/phase1\.json: cannot be read \(permission denied"):
        list(import_users(name, ["locked/phase1.json", "locked/phase2.json"]).users)


# users that come twice


def test_alignx_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    records = ALIGNX["alignx.json"]
    files = {"a/x.json": records[:2], "b/x.json": records[2:], "b/y.json": records[:1]}
    users, _ = read("alignx", tmp_path, files)
    assert list(users) == ["a/x-0000", "a/x-0001", "b/x-0000", "y-0000"]


def test_lamp_ids_that_are_there_twice_are_refused_with_the_record(tmp_path: Path) -> None:
    first, *others = LAMP["questions.json"]
    files = {"l_questions.json": others, "l2_questions.json": [first, *others, first]}
    with pytest.raises(DataError) as caught:
        read("lamp", tmp_path, files)
    assert str(caught.value) == (
        f"{tmp_path / 'l2_questions.json'}: record {len(files['l_questions.json']) + 1}: "
        "id '10' is there twice"
    )


def test_a_user_of_two_files_is_refused_with_the_names_of_both(tmp_path: Path) -> None:
    question = LAMP["questions.json"][0]
    files = {
        "a.json": [{**question, "id": "b-1"}],
        "a-b.json": [{**question, "id": "1"}],
    }
    paths = save(tmp_path, files)
    with pytest.raises(DataError) as caught:
        read_paths("lamp", paths)
    assert str(caught.value) == (
        f"{paths[0]}, {paths[1]}: user 'a-b-1' comes twice; give files with users of their own"
    )


def test_of_many_files_an_error_names_the_first(tmp_path: Path) -> None:
    files = {f"{i}.jsonl": b"" for i in range(20)}
    with pytest.raises(DataError) as caught:
        read("preferences", tmp_path, files)
    assert f"{tmp_path / '7.jsonl'} and 12 more: holds no users" in str(caught.value)
    assert "8.jsonl" not in str(caught.value)


# whole numbers that have been through a table with gaps


@pytest.mark.parametrize(
    ("thumb", "feedback"), [("1.0", "liked"), ("-1.0", "disliked"), (" 1.0", "liked"), ("", None)]
)
def test_thumbs_of_a_csv_may_be_whole_numbers_with_a_point(
    thumb: str, feedback: str | None, tmp_path: Path
) -> None:
    rows = [{"user": "u", "prompt": "p", "response": "r", "feedback": thumb}]
    users, _ = read("chat", tmp_path, {"chat.csv": rows})
    [signal] = users["u"].signals
    assert isinstance(signal, Interaction)
    assert signal.feedback == feedback


@pytest.mark.parametrize("thumb", ["0.0", "2.0", "1.5", "1.00", ".0"])
def test_thumbs_that_could_mean_either_are_refused_of_a_csv_too(thumb: str, tmp_path: Path) -> None:
    rows = [{"user": "u", "prompt": "p", "response": "r", "feedback": thumb}]
    with pytest.raises(DataError, match=r"chat\.csv:2: feedback is '.*expected up"):
        read("chat", tmp_path, {"chat.csv": rows})


def test_films_and_people_of_a_csv_may_be_whole_numbers_with_a_point(tmp_path: Path) -> None:
    files = {
        "ratings.csv": "userId,movieId,rating\n1.0,1.0,4.0\n1,2,3.0\n",
        "movies.csv": "movieId,title,genres\n1,Film 1,War\n2.0,Film 2,War\n",
    }
    users, left_out = read("movielens", tmp_path, files)
    assert users["movielens-1"].signals == (
        Rating("Film 1; War", 4, (0.5, 5)),
        Rating("Film 2; War", 3, (0.5, 5)),
    )
    assert left_out == {}


def test_a_user_is_the_same_in_a_csv_and_in_json_lines(tmp_path: Path) -> None:
    files = {
        "a.csv": [{"user": "1.0", **contrast(0)}, {"user": "-12.0", **contrast(5)}],
        "b.jsonl": [{"user": 1, **contrast(1)}, {"user": "1", **contrast(2)}],
        "c.jsonl": [{"user": 1.0, **contrast(3)}],
    }
    users, _ = read("preferences", tmp_path, files, pairs=0)
    assert {user_id: len(user.signals) for user_id, user in users.items()} == {"1": 4, "-12": 1}


@pytest.mark.parametrize("label", ["1.5", "1.00", "v1.0", "1.0.0", "1.0\n", ".0", "1e3"])
def test_other_labels_stay_as_they_are(label: str, tmp_path: Path) -> None:
    users, _ = read("preferences", tmp_path, {"a.jsonl": [{"user": label, **contrast(0)}]})
    assert list(users) == [label]


@pytest.mark.parametrize(("label", "chosen"), [("1.0", "deep"), ("0.0", "plain"), (" 1 ", "deep")])
def test_labels_of_fspo_in_text_are_read_as_numbers(
    label: str, chosen: str, tmp_path: Path
) -> None:
    rows = [{**row, "label": label} for row in ELIX["elix.jsonl"][:24]]
    users, _ = read("fspo", tmp_path, {"elix.jsonl": rows})
    assert {pair.chosen.split()[0] for user in users.values() for pair in user.pairs} == {chosen}


@pytest.mark.parametrize("label", ["", "2", "1.5", "x", True])
def test_other_labels_of_fspo_are_refused(label: Any, tmp_path: Path) -> None:
    rows = [{**ELIX["elix.jsonl"][0], "label": label}]
    with pytest.raises(DataError, match=r"elix\.jsonl:1: the label is .*, expected 0 or 1"):
        read("fspo", tmp_path, {"elix.jsonl": rows})


def test_pahf_is_read_of_its_folder(tmp_path: Path) -> None:
    paths = save(tmp_path, PAHF)
    assert read_paths("pahf", [str(tmp_path)]) == read_paths("pahf", paths)
