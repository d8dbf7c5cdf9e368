"""`popi-prompt data`: what is printed and written, and one clear line where it cannot work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from full_disk import room

from popi_prompt.cli.main import cli
from popi_prompt.dataset import load_users, write_users
from popi_prompt.drawing import sample
from popi_prompt.schema import Pair, Persona, Preference, User
from popi_prompt.split import split_users


def person(i: int) -> User:
    chosen, rejected = (f"short words {i}", f"terminology {i}")
    if i % 2:
        chosen, rejected = rejected, chosen
    return User(
        f"u{i:02d}",
        (Preference(f"signal {i}", chosen, rejected), Persona(f"likes number {i * 37} most")),
        (Pair(f"pair {i}", chosen, rejected),),
        gold=chosen,
        group="odd" if i % 2 else "even",
    )


PEOPLE = tuple(person(i) for i in range(20))


@pytest.fixture
def users(tmp_path: Path) -> Path:
    write_users(tmp_path / "users.jsonl", PEOPLE)
    return tmp_path / "users.jsonl"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["data", *(str(each) for each in arguments)])


def done(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def record(*arguments: object) -> Any:
    return json.loads(done(*arguments, "--json"))


def refused(code: int, says: str, *arguments: object) -> None:
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert says in result.stderr
    assert result.stdout == ""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


COMMANDS = ("stats", "validate", "split", "sample", "dedupe", "anonymise")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(name: str) -> None:
    assert f"popi-prompt data {name} " in done(name, "--help").split("Example")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_file_is_one_line_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    more = [] if name in ("stats", "validate") else ["-o", tmp_path / "out"]
    more += ["--count", 3] if name == "sample" else []
    refused(1, "no.jsonl: no such file", name, tmp_path / "no.jsonl", *more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["sample", "dedupe", "anonymise"])
def test_an_output_that_cannot_be_written_is_said_before_reading(name: str, tmp_path: Path) -> None:
    more = ["--count", 3] if name == "sample" else []
    output = tmp_path / "no" / "out.jsonl"
    refused(2, "cannot write", name, tmp_path / "no.jsonl", "-o", output, *more)


@pytest.mark.parametrize("name", ["sample", "dedupe", "anonymise"])
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_read_is_not_written(linked: bool, name: str, users: Path, tmp_path: Path) -> None:
    before = users.read_bytes()
    output = tmp_path / "link.jsonl" if linked else users
    if linked:
        output.symlink_to(users)
    more = ["--count", 3] if name == "sample" else []
    refused(2, f"cannot write {str(output)!r}: it is being read", name, users, "-o", output, *more)
    assert users.read_bytes() == before


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_split_does_not_write_what_it_reads(part: str, users: Path, tmp_path: Path) -> None:
    data = users.rename(tmp_path / f"{part}.jsonl")
    refused(2, f"{part}.jsonl': it is being read", "split", data, "-o", tmp_path)
    assert load_users(data) == PEOPLE
    assert list(tmp_path.iterdir()) == [data]


def test_a_salt_is_not_written_over(users: Path, tmp_path: Path) -> None:
    salt = tmp_path / "salt.txt"
    salt.write_text("a" * 16)
    refused(2, "it is being read", "anonymise", users, "-o", salt, "--salt-file", salt)


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(users: Path, tmp_path: Path) -> None:
    output = tmp_path / "many.jsonl"
    options = ["--count", 5000, "--copies", "-o", output]
    with room(8192):
        refused(1, f"cannot write {str(output)!r}: file too large", "sample", users, *options)
    assert list(tmp_path.iterdir()) == [users]


def test_a_split_that_a_full_disk_ends_leaves_no_part(users: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    largest_last = ["--fractions", "0.2,0.2,0.6"]
    size = users.stat().st_size
    with room(size // 2):
        refused(1, "test.jsonl': file too large", "split", users, "-o", parts, *largest_last)
    assert list(parts.iterdir()) == []
    done("split", users, "-o", parts, *largest_last)
    assert sorted(path.stem for path in parts.iterdir()) == ["test", "train", "val"]


def test_stats(users: Path) -> None:
    assert record("stats", users) == {
        "users": 20,
        "without_signals": 0,
        "without_pairs": 0,
        "with_gold": 20,
        "groups": {"even": 10, "odd": 10},
        "signals": {"preference": 20, "persona": 20},
        "signals_per_user": {"least": 2, "median": 2, "most": 2},
        "signal_characters": {"least": 53, "median": 56.5, "most": 58},
        "pairs": 20,
        "pairs_per_user": {"least": 1, "median": 1, "most": 1},
        "answer_characters": {"least": 13, "median": 13.5, "most": 14},
        "prompts": 20,
        "shared_prompts": 0,
        "longer_chosen": 0.5,
        "fingerprint": record("stats", users)["fingerprint"],
    }
    text = done("stats", users)
    assert "users     20\n" in text
    assert "20 preference, 20 persona" in text
    assert "the longer answer is chosen in 50.0%" in text
    assert "groups    10 even\n          10 odd" in text


def test_stats_of_users_who_lack_this_and_that(tmp_path: Path) -> None:
    pairs = (Pair("P  q", "longer", "short"), Pair("r", "x", "y"))
    write_users(tmp_path / "u.jsonl", [User("a", ()), User("b", (), pairs), User("c", (), pairs)])
    found = record("stats", tmp_path / "u.jsonl")
    assert (found["without_signals"], found["without_pairs"]) == (3, 1)
    assert (found["prompts"], found["shared_prompts"], found["longer_chosen"]) == (2, 2, 0.75)
    assert "3 without signals, 1 without pairs" in done("stats", tmp_path / "u.jsonl")
    write_users(tmp_path / "u.jsonl", [User("a", ())])
    assert record("stats", tmp_path / "u.jsonl")["longer_chosen"] is None
    assert "signals   none" in done("stats", tmp_path / "u.jsonl")


def test_a_valid_file(users: Path) -> None:
    assert record("validate", users) == {
        "file": str(users),
        "valid": True,
        "users": 20,
        "without_signals": 0,
        "without_pairs": 0,
        "problems": [],
    }
    assert done("validate", users) == "20 users can be read; 0 problems\n"


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    path.write_bytes(
        b'{"user_id": "a"}\n\xff\n{"user_id": "a"}\n\n{"user_id": 1}\n{"user_id": "b", "x": 1}\n{'
    )
    result = call("validate", path)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines[:-1]] == [
        f"{path}:{i}" for i in (2, 3, 5, 6, 7)
    ]
    assert "user_id 'a' is on line 1 already" in lines[1]
    assert lines[-1] == "1 users can be read, 1 without signals, 1 without pairs; 5 problems"
    found = json.loads(call("validate", path, "--json").stdout)
    assert found["valid"] is False
    assert [each["line"] for each in found["problems"]] == [2, 3, 5, 6, 7]
    paired = json.loads(call("validate", path, "--need-pairs", "--json").stdout)
    assert paired["users"] == 0
    assert paired["problems"][0]["problem"] == "user 'a' has no pairs, and they are needed here"


def test_validate_says_what_loading_says(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    path.write_text('{"user_id": "a", "pair": []}\n')
    refused(1, f"{path}:1: ", "stats", path)
    said = call("stats", path).stderr.removeprefix("Error: ")
    assert call("validate", path).stdout.startswith(said)
    path.write_text("\n")
    assert call("validate", path).stdout.startswith(f"{path}: holds no users")
    assert call("validate", path).exit_code == 1


def test_many_problems_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    path.write_text("[]\n" * 30)
    lines = call("validate", path).stdout.splitlines()
    assert len(lines) == 22
    assert lines[20] == "... and 10 more; --json prints all"


def test_split_writes_what_the_package_splits(users: Path, tmp_path: Path) -> None:
    found = record("split", users, "-o", tmp_path / "parts", "--seed", 3)
    expected = split_users(PEOPLE, seed=3)
    for name, part in expected.parts.items():
        path = tmp_path / "parts" / f"{name}.jsonl"
        assert load_users(path) == part
        assert mode(path) == 0o600
        told = {"file": str(path), "users": len(part), "pairs": len(part)}
        assert found["parts"][name] == told
    assert found["dropped"] == {"users": 0, "pairs": 0}
    assert "Wrote 8 users with 8 pairs" in done("split", users, "-o", tmp_path / "parts")


def test_split_cuts_a_file_in_any_order_as_optimize_does(tmp_path: Path) -> None:
    write_users(tmp_path / "u.jsonl", PEOPLE[::-1])
    record("split", tmp_path / "u.jsonl", "-o", tmp_path / "parts", "--seed", 3)
    expected = split_users(sample(PEOPLE[::-1], None, 3), seed=3)
    for name, part in expected.parts.items():
        assert load_users(tmp_path / "parts" / f"{name}.jsonl") == part


def test_split_by_other_fractions_and_without_users_that_have_no_pairs(tmp_path: Path) -> None:
    write_users(tmp_path / "u.jsonl", [*PEOPLE, User("none", ())])
    options = ["-o", tmp_path / "parts", "--fractions", "0.6,0.2,0.2"]
    found = record("split", tmp_path / "u.jsonl", *options)
    assert {name: each["users"] for name, each in found["parts"].items()} == {
        "train": 12,
        "val": 4,
        "test": 4,
    }
    assert found["without_pairs"] == 1
    assert "Left out 1 users without pairs" in done("split", tmp_path / "u.jsonl", *options)


def test_split_counts_what_it_leaves_out(tmp_path: Path) -> None:
    pairs = tuple(Pair(f"p {i}", "x", "y") for i in range(6))
    write_users(tmp_path / "u.jsonl", [User(f"u{i}", (), pairs) for i in range(12)])
    text = done("split", tmp_path / "u.jsonl", "-o", tmp_path)
    assert "Left out to keep prompts apart: 0 users, " in text


@pytest.mark.parametrize(
    "given", ["0.5,0.5", "1,0,0", "0.5,0.4,0.2", "a,b,c", "nan,0.5,0.5", "1e9,1,1"]
)
def test_fractions_that_cannot_work(users: Path, tmp_path: Path, given: str) -> None:
    refused(2, f"--fractions is {given!r}", "split", users, "-o", tmp_path, "--fractions", given)


def test_too_few_users_to_split_leave_nothing_behind(tmp_path: Path) -> None:
    write_users(tmp_path / "u.jsonl", PEOPLE[:2])
    refused(1, "too few", "split", tmp_path / "u.jsonl", "-o", tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_a_folder_that_is_a_file_is_refused(users: Path) -> None:
    refused(2, "cannot write", "split", users, "-o", users)


def test_sample_draws_the_same_by_the_same_seed(users: Path, tmp_path: Path) -> None:
    drawn: dict[int, tuple[User, ...]] = {}
    for seed in (0, 0, 1):
        output = tmp_path / "some.jsonl"
        found = record("sample", users, "--count", 5, "--seed", seed, "-o", output)
        assert found == {"output": str(output), "users": 5, "copies": 0, "seed": seed}
        drawn.setdefault(seed, load_users(output))
        assert drawn[seed] == load_users(output)
        assert set(drawn[seed]) < set(PEOPLE)
        assert mode(output) == 0o600
    assert drawn[0] != drawn[1]


def test_copies_are_numbered_and_can_be_split(users: Path, tmp_path: Path) -> None:
    output = tmp_path / "many.jsonl"
    refused(2, "20 users, fewer than 50; --copies", "sample", users, "--count", 50, "-o", output)
    assert not output.exists()
    options = ["--count", 50, "--copies", "-o", output]
    assert "30 are copies" in done("sample", users, *options)
    many = load_users(output)
    assert len(many) == 50
    assert many[:20] == PEOPLE
    copied = next(user for user in many if user.user_id == "u03#2")
    assert copied.signals[0] == Preference("signal 3 (copy 2)", "terminology 3", "short words 3")
    assert copied.pairs == (Pair("pair 3 (copy 2)", "terminology 3", "short words 3"),)
    assert sum(user.user_id.endswith("#3") for user in many) == 10
    assert split_users(many).dropped_users == 0


def test_copies_of_copies_have_new_names(users: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    done("sample", users, "--count", 45, "--copies", "-o", one)
    done("sample", one, "--count", 130, "--copies", "-o", other)
    assert len(load_users(other)) == 130


def test_dedupe(users: Path, tmp_path: Path) -> None:
    twice = [*PEOPLE, User("again", *_of(PEOPLE[4])), User("double", (), PEOPLE[0].pairs * 2)]
    write_users(tmp_path / "u.jsonl", twice)
    output = tmp_path / "unique.jsonl"
    found = record("dedupe", tmp_path / "u.jsonl", "-o", output)
    assert found["repeats"] == [{"user_id": "again", "first": "u04", "how": "same"}]
    assert (found["users"], found["same_pairs"], found["near_pairs"]) == (21, 1, 0)
    assert load_users(output) == (*PEOPLE, User("double", (), PEOPLE[0].pairs))
    assert mode(output) == 0o600
    assert "Left out 1 users who are the same as another, 0 near" in done(
        "dedupe", tmp_path / "u.jsonl", "-o", output
    )


def _of(user: User) -> tuple[Any, ...]:
    return user.signals, user.pairs, user.gold, user.group


def test_anonymise_prints_the_salt_it_made(users: Path, tmp_path: Path) -> None:
    write_users(users, [User("ada", (Persona("a@b.org"),)), User("bob", ())])
    output = tmp_path / "anonymous.jsonl"
    text = done("anonymise", users, "-o", output)
    assert "Wrote 2 users to" in text
    assert "texts of 1 had to be masked" in text
    salt = text.strip().rpartition(" ")[2]
    first = load_users(output)
    assert first[0].signals == (Persona("[email 1]"),)
    assert {user.user_id for user in first}.isdisjoint({"ada", "bob"})
    assert mode(output) == 0o600
    (tmp_path / "salt.txt").write_text(f"{salt}\n")
    found = record("anonymise", users, "-o", output, "--salt-file", tmp_path / "salt.txt")
    assert found == {"output": str(output), "users": 2, "masked_users": 1, "new_salt": None}
    assert load_users(output) == first
    assert record("anonymise", users, "-o", output)["new_salt"] != salt
    assert load_users(output) != first


def test_the_salt_may_come_from_the_environment(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "anonymous.jsonl"
    found = []
    for salt in ("a" * 16, "a" * 16, "b" * 16):
        monkeypatch.setenv("POPI_PROMPT_SALT", salt)
        assert salt not in done("anonymise", users, "-o", output)
        found.append(load_users(output))
    assert found[0] == found[1] != found[2]
    monkeypatch.setenv("POPI_PROMPT_SALT", "short")
    refused(2, "$POPI_PROMPT_SALT has 5 characters", "anonymise", users, "-o", output)
    no_file = tmp_path / "no.txt"
    refused(1, "no such file", "anonymise", users, "-o", output, "--salt-file", no_file)


def test_an_output_that_others_could_read_becomes_its_owners_alone(
    users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "some.jsonl"
    output.write_text("old")
    os.chmod(output, 0o644)
    done("sample", users, "--count", 3, "-o", output)
    assert mode(output) == 0o600


def test_a_file_name_that_stdout_cannot_say_is_escaped(users: Path, tmp_path: Path) -> None:
    output = str(tmp_path / os.fsdecode(b"caf\xe9.jsonl"))
    code = "from popi_prompt.cli.main import run; run()"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "data",
            "sample",
            users,
            "--count",
            "3",
            "-o",
            output,
            "--json",
        ],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["output"] == output
