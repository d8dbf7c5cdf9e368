"""`popi-prompt cache` and `popi-prompt trace`: what they show, remove, and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from popi_prompt.cli.main import cli
from popi_prompt.cli.render import plain, size
from popi_prompt.models.cache import AnswerCache, default_path
from popi_prompt.models.trace import Call, Trace
from popi_prompt.prompts import Message


def call(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments], input=answer)


def succeeded(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result, code: int, says: str) -> None:
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def filled() -> Path:
    cache = AnswerCache(default_path())
    for number in range(30):
        cache.put(f"k{number}", "an answer " * 1000, users=(f"u{number % 3}",))
    cache.close()
    return default_path()


def entries(path: Path) -> int:
    cache = AnswerCache(path)
    found = cache.stats().entries
    cache.close()
    return found


# cache


@pytest.mark.parametrize("command", ["stats", "clear", "forget-user"])
def test_every_cache_command_has_an_example(command: str) -> None:
    shown = succeeded(call("cache", command, "--help"))
    assert f"popi-prompt cache {command}" in shown.split("Example")[1]


def test_stats(filled: Path) -> None:
    shown = succeeded(call("cache", "stats"))
    assert f"path     {filled}\n" in shown
    assert "answers  30\n" in shown
    assert "KiB of at most 1.0 GiB" in shown
    assert "added    20" in shown
    record = json.loads(succeeded(call("cache", "stats", "--json")))
    assert (record["path"], record["entries"]) == (str(filled), 30)
    assert record["bytes"] == filled.stat().st_size


def test_looking_at_no_cache_makes_none() -> None:
    assert "(not made yet)" in succeeded(call("cache", "stats"))
    assert json.loads(succeeded(call("cache", "stats", "--json")))["entries"] == 0
    assert "Removed 0 answers" in succeeded(call("cache", "clear"))
    assert "Removed 0 answers" in succeeded(call("cache", "forget-user", "u1"))
    assert not default_path().parent.exists()


def test_another_path(filled: Path, home: Path) -> None:
    elsewhere = home / "elsewhere.sqlite"
    filled.rename(elsewhere)
    assert "answers  30\n" in succeeded(call("cache", "stats", "--path", elsewhere))


def test_clear_asks_first(filled: Path) -> None:
    asked = call("cache", "clear", answer="n\n")
    assert asked.exit_code == 1
    assert "Remove 30 answers from" in asked.stderr
    assert asked.stdout == ""
    assert entries(filled) == 30
    done = succeeded(call("cache", "clear", answer="y\n"))
    assert "Removed 30 answers" in done
    assert "KiB freed" in done
    assert entries(filled) == 0


def test_clear_with_yes_or_json(filled: Path) -> None:
    refused(call("cache", "clear", "--json"), 2, "--yes")
    record = json.loads(succeeded(call("cache", "clear", "--yes", "--json")))
    assert record["removed"] == 30
    assert record["freed_bytes"] > 200_000
    assert "Removed 0 answers" in succeeded(call("cache", "clear", "--yes"))


def test_forget_user(filled: Path) -> None:
    assert "Removed 10 answers" in succeeded(call("cache", "forget-user", "u1"))
    assert entries(filled) == 20
    record = json.loads(succeeded(call("cache", "forget-user", "u1", "--json")))
    assert record["removed"] == 0


@pytest.mark.parametrize("command", [["stats"], ["clear", "--yes"], ["forget-user", "u1"]])
def test_a_file_that_is_no_cache_is_refused_and_kept(command: list[str], home: Path) -> None:
    letter = home / "letter.txt"
    letter.write_text("Dear Ada, " * 100)
    refused(call("cache", *command, "--path", letter), 1, "damaged or not a cache")
    assert letter.read_text() == "Dear Ada, " * 100
    refused(call("cache", *command, "--path", home), 1, "cannot be opened")


# trace

CALL: dict[str, Any] = {
    "role": "generator",
    "model": "openai/gpt-4o-mini",
    "kind": "chat",
    "messages": (Message("system", "Be brief."), Message("user", "What is rain?")),
    "answer": "Water that falls.",
    "tokens_in": 12,
    "tokens_out": 5,
    "usd": 0.0002,
    "seconds": 0.25,
    "cached": False,
    "retries": 0,
    "candidate": "c3",
    "user_id": "u1",
    "error": None,
    "started": 1_790_000_000.25,
}
CALLS: list[dict[str, Any]] = [
    {},
    {"cached": True, "usd": 0.0, "answer": "From memory."},
    {"role": "inference", "model": "local/smollm2-135m", "usd": None, "answer": "Likes rain."},
    {"user_id": "u2", "answer": None, "error": "RateLimited: slow down", "retries": 3},
    {"kind": "odds", "candidate": "c4", "answer": (0.25, 0.75), "quoted": ("u7", "u8")},
]


def traced(path: Path, *changes: dict[str, Any]) -> Path:
    trace = Trace(path)
    for each in changes:
        trace.write(Call(**{**CALL, **each}))
    trace.close()
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return traced(tmp_path / "run.trace.jsonl", *CALLS)


def test_trace_shows_a_line_a_call_and_what_they_add_up_to(run: Path) -> None:
    shown = succeeded(call("trace", run))
    lines = shown.splitlines()
    assert "openai/gpt-4o-mini  chat  12+5 tokens  0.25s  $0.000200  user u1" in lines[0]
    assert lines[0].endswith("-> Water that falls.")
    assert "cached" in lines[1]
    assert "$ unknown" in lines[2]
    assert "3 retries" in lines[3]
    assert "FAILED RateLimited: slow down" in lines[3]
    assert lines[4].endswith("-> 0.25, 0.75")
    assert "Be brief." not in shown
    cells = [[cell.strip() for cell in line.split("\u2502")[1:-1]] for line in lines]
    assert ["generator", "4", "1 (25%)", "1", "36", "15", "0.0006", "0.8"] in cells
    assert ["inference", "1", "0 (0%)", "0", "12", "5", "unknown", "0.2"] in cells
    assert ["all", "5", "1 (20%)", "1", "48", "20", "0.0006+", "1.0"] in cells
    assert "The price of 1 sent calls is unknown" in shown
    assert "failed 1: RateLimited" in shown


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ([], [0, 1, 2, 3, 4]),
        (["--role", "inference"], [2]),
        (["--user", "u2"], [3]),
        (["--user", "u8"], [4]),
        (["--candidate", "c4"], [4]),
        (["--model", "local/smollm2-135m"], [2]),
        (["--failed"], [3]),
        (["--cached"], [1]),
        (["--sent"], [0, 2, 3, 4]),
        (["--sent", "--user", "u1", "--role", "generator"], [0, 4]),
        (["--role", "judge"], []),
    ],
)
def test_filters(run: Path, filters: list[str], kept: list[int]) -> None:
    lines = [
        json.loads(line) for line in succeeded(call("trace", run, *filters, "--json")).splitlines()
    ]
    whole = [json.loads(line) for line in run.read_text().splitlines()[1:]]
    assert lines == [whole[number] for number in kept]
    shown = succeeded(call("trace", run, *filters))
    assert shown.count("user u") == len(kept)
    assert ("No call matches." in shown) is (not kept)


def test_full_shows_messages_whole(run: Path) -> None:
    shown = succeeded(call("trace", run, "--full", "--candidate", "c4"))
    assert "  system\n    Be brief.\n  user\n    What is rain?\n  answer\n    0.25, 0.75\n" in shown


HOSTILE = "[red]not red[/red] [/] \x1b[31m\x07\x9b2J\u202eabc\ud800\r\nnext \\[x"


@pytest.mark.parametrize("options", [[], ["--full"], ["--json"]])
def test_text_of_users_cannot_drive_the_terminal(tmp_path: Path, options: list[str]) -> None:
    fields = ("role", "model", "answer", "candidate", "user_id")
    hostile: dict[str, Any] = dict.fromkeys(fields, HOSTILE)
    hostile["messages"] = (Message("user", HOSTILE),)
    path = traced(tmp_path / "t.jsonl", hostile, {**hostile, "error": f"Bad: {HOSTILE}"})
    shown = succeeded(call("trace", path, *options))
    assert "[red]not red[/red] [/] " in shown
    for control in ("\x1b", "\x07", "\x9b", "\u202e", "\ud800", "\r"):
        assert control not in shown


def test_a_cut_line_is_noted_on_stderr(run: Path) -> None:
    run.write_bytes(run.read_bytes()[:-20])
    result = call("trace", run, "--json")
    assert len(succeeded(result).splitlines()) == 4
    assert result.stderr.startswith("Note: ")
    assert f"{run}:6:" in result.stderr


def test_what_is_not_a_trace_is_refused(tmp_path: Path) -> None:
    refused(call("trace", tmp_path / "none"), 1, "no such file")
    users = tmp_path / "users.jsonl"
    users.write_text('{"user_id": "u1"}\n')
    refused(call("trace", users), 1, f"{users}:1: ")
    refused(call("trace", users, "--json"), 1, f"{users}:1: ")


def test_plain_and_size() -> None:
    assert plain("a\tb\nc\x00\x7f\u2066") == "a\tb\nc\ufffd\ufffd\ufffd"
    shown = [size(count) for count in (0, 1023, 1024, 1536 * 1024, 1 << 30, 1 << 41)]
    assert shown == ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "1.0 GiB", "2048.0 GiB"]
