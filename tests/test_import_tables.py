"""Tables as programs write them, and what is no file."""

from __future__ import annotations

import io
import json
import os
import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from public_formats import ELIX, contrast, read, read_paths

from popi_prompt.errors import DataError
from popi_prompt.importers import import_users

# what is no file


@pytest.fixture
def in_time() -> Iterator[None]:
    """Who waits for a pipe that nobody writes waits for ever."""

    def stop(*_: Any) -> None:
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize(
    ("format_", "name"),
    [
        ("preferences", "votes.csv"),
        ("preferences", "votes.jsonl"),
        ("preferences", "votes.parquet"),
        ("alignx", "x.json"),
        ("lamp", "questions.json"),
        ("prism", "survey.jsonl"),
        ("prefeval", "hotels.json"),
    ],
)
def test_a_pipe_is_refused(format_: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError) as caught:
        read_paths(format_, [str(tmp_path / name)])
    assert str(caught.value) == (f"{tmp_path / name}: is not a regular file; write it to one first")


@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl"])
def test_a_folder_is_refused_and_a_link_to_a_file_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder" / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot be read \(is a directory\)"):
        read_paths("preferences", [str(tmp_path / "folder" / name)])
    expected = read("preferences", tmp_path, {name: [contrast(i) for i in range(3)]})
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / name).symlink_to(tmp_path / name)
    assert read_paths("preferences", [str(tmp_path / "links" / name)]) == expected


# columns


@pytest.mark.parametrize("twice", ["chosen", "prompt", "other"])
def test_a_parquet_file_with_two_columns_of_one_name_is_refused(twice: str, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = [*contrast(0), *(["other"] if twice == "other" else []), twice]
    table = arrow.Table.from_arrays([[f"{i}"] for i in range(len(names))], names=names)
    file = io.BytesIO()
    parquet.write_table(table, file)
    with pytest.raises(DataError) as caught:
        read("preferences", tmp_path, {"votes.parquet": file.getvalue()})
    assert str(caught.value) == (
        f"{tmp_path / 'votes.parquet'}: has two columns of the same name: {twice!r}"
    )


@pytest.mark.parametrize("blank", ["\n", "\n\n", "  \n", "\ufeff\n", "\r\n \r\n"])
def test_blank_lines_before_the_header_of_a_csv_are_skipped_and_counted(
    blank: str, tmp_path: Path
) -> None:
    text = f"{blank}prompt,chosen,rejected\np,a,b\n\nq,a,b\n"
    users, left_out = read("preferences", tmp_path, {"votes.csv": text})
    assert (len(users["votes"].signals), len(users["votes"].pairs)) == (1, 1)
    assert left_out == {}
    line = blank.count("\n") + 3
    with pytest.raises(DataError, match=rf"votes\.csv:{line}: has 2 columns, the header has 3"):
        read("preferences", tmp_path, {"votes.csv": text.replace("\n\nq,a,b", "\nq,a")})
    with pytest.raises(DataError, match=rf"votes\.csv:{line - 2}: has two columns of the same na"):
        read("preferences", tmp_path, {"votes.csv": text.replace("prompt", "chosen")})


@pytest.mark.parametrize(
    ("name", "mark", "problem"),
    [
        ("votes.csv", ";", "is separated by ';'; expected ','"),
        ("votes.csv", "\t", "is separated by tabs; expected ','"),
        ("votes.tsv", ",", "is separated by ','; expected tabs"),
        ("votes.tsv", ";", "is separated by ';'; expected tabs"),
    ],
)
@pytest.mark.parametrize("text", ["ok", "1,5"])
def test_a_table_with_other_separators_is_refused_with_those(
    name: str, mark: str, problem: str, text: str, tmp_path: Path
) -> None:
    lines = [mark.join(contrast(0)), mark.join(["p", text, "b"])]
    with pytest.raises(DataError) as caught:
        read("preferences", tmp_path, {name: "\n".join(lines)})
    assert str(caught.value) == f"{tmp_path / name}:1: {problem}"


def test_separators_within_names_of_columns_are_none(tmp_path: Path) -> None:
    text = 'chosen,rejected,"why; in\twords, please",prompt\na,b,c,d\n'
    users, _ = read("preferences", tmp_path, {"votes.csv": text})
    assert len(users["votes"].signals) == 1


# files larger than memory


def test_fspo_holds_less_of_a_file_than_its_prompts(tmp_path: Path) -> None:
    read("fspo", tmp_path, ELIX)  # what is loaded once is no matter
    path = tmp_path / "long.jsonl"
    row, long = ELIX["elix.jsonl"][0], "x" * 10_000
    with path.open("w", encoding="utf-8") as file:
        for i in range(400):
            file.write(json.dumps({**row, "prompt": f"{long}{i}"}) + "\n")
    tracemalloc.start()
    signals = sum(len(user.signals) for user in import_users("fspo", [str(path)]).users)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert signals > 250
    assert most < path.stat().st_size / 3
