"""The trace: every call is a line that can be read back; no secret and no unwanted text in it."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.errors import DataError, UsageError
from popi_prompt.models.call import Kind, Totals, totals
from popi_prompt.models.trace import Call, Trace, read_trace
from popi_prompt.prompts import Message

CALL = Call(
    role="generator",
    model="openai/gpt-4o-mini",
    kind="chat",
    messages=(Message("system", "Be brief."), Message("user", "What is rain?\nSay it.")),
    answer="Water that falls. \u6c34 \U0001f327",
    tokens_in=12,
    tokens_out=5,
    usd=0.0002,
    seconds=0.25,
    cached=False,
    retries=1,
    candidate="c3",
    user_id="ada@example.org",
    error=None,
    started=1_790_000_000.25,
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
unhurried = settings(deadline=None)
# Two surrogates that make a pair become one character in JSON.
WHOLE = TEXT.map(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
CALLS = st.builds(
    Call,
    role=WHOLE,
    model=WHOLE,
    kind=st.sampled_from(get_args(Kind)),
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), WHOLE), max_size=3
    ).map(tuple),
    answer=st.none() | WHOLE | st.lists(FLOATS, max_size=3).map(tuple),
    tokens_in=st.integers(0, 10**9),
    tokens_out=st.integers(0, 10**9),
    usd=st.none() | FLOATS,
    seconds=FLOATS,
    cached=st.booleans(),
    retries=st.integers(0, 9),
    requests=st.integers(0, 9),
    candidate=st.none() | WHOLE,
    user_id=st.none() | WHOLE,
    error=st.none() | WHOLE,
    started=FLOATS,
    quoted=st.lists(WHOLE, max_size=3).map(tuple),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.trace.jsonl"


def changed(**changes: Any) -> Call:
    return dataclasses.replace(CALL, **changes)


def traced(path: Path, *calls: Call, text: bool = True) -> Path:
    trace = Trace(path, text=text)
    for call in calls:
        trace.write(call)
    trace.close()
    return path


def read(path: Path, told: list[str] | None = None) -> list[Call]:
    return list(read_trace(path, notify=([] if told is None else told).append))


# there and back


@unhurried
@given(calls=st.lists(CALLS, max_size=4))
def test_calls_come_back_as_they_went(
    calls: list[Call], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = traced(tmp_path_factory.mktemp("trace") / "t.jsonl", *calls)
    assert read(path) == calls


def test_text_without_utf8_is_written_too(path: Path) -> None:
    call = changed(answer="a lone \ud83d surrogate")
    assert read(traced(path, call)) == [call]
    path.read_text(encoding="utf-8")


def test_a_line_is_there_when_write_returns_and_a_header_says_what_it_is(path: Path) -> None:
    trace = Trace(path)
    trace.write(CALL)
    header, line = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(header) == {"schema": "popi-prompt/trace/1", "text": True}
    record = json.loads(line)
    assert set(record) == {each.name for each in dataclasses.fields(Call)}
    assert record["messages"][1] == {"role": "user", "content": "What is rain?\nSay it."}
    assert "\u6c34" in line
    trace.close()


def test_a_trace_from_before_calls_named_who_they_quote_is_read(path: Path) -> None:
    lines = traced(path, CALL).read_text(encoding="utf-8").splitlines()
    older = {name: value for name, value in json.loads(lines[1]).items() if name != "quoted"}
    path.write_text(f"{lines[0]}\n{json.dumps(older)}\n", encoding="utf-8")
    assert read(path) == [CALL]
    path.write_text(f"{lines[0]}\n{json.dumps({**older, 'quoted': [1]})}\n", encoding="utf-8")
    with pytest.raises(DataError, match="'quoted' holds something else than ids"):
        read(path)


def test_a_trace_from_before_calls_told_their_requests_is_read(path: Path) -> None:
    """There a request was a call's first one or a retry."""
    traced(path, changed(retries=3))
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[1].pop("requests") == 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert [call.requests for call in read(path)] == [4]
    lines[1].update(cached=True, retries=0)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert [call.requests for call in read(path)] == [0]


def test_numbers_that_json_cannot_hold_do_not_break_the_file(path: Path) -> None:
    call = changed(kind="logprobs", answer=(-1.5, -math.inf, math.nan), usd=math.inf)
    (found,) = read(traced(path, call))
    assert isinstance(found.answer, tuple)
    assert found.answer[0] == -1.5
    assert all(map(math.isnan, found.answer[1:]))
    assert found.usd is None


def test_only_the_owner_may_read_it(path: Path) -> None:
    traced(path, CALL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    traced(path, CALL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_runs_are_appended(path: Path) -> None:
    traced(path, CALL)
    traced(path, changed(role="inference"))
    assert [call.role for call in read(path)] == ["generator", "inference"]


def test_threads_write_whole_lines(path: Path) -> None:
    trace = Trace(path)
    calls = [changed(answer=f"{number} " * 500, retries=number) for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(trace.write, calls))
    trace.close()
    assert sorted(read(path), key=lambda call: call.retries) == calls


def _work(path: Path, worker: int) -> None:
    traced(path, *(changed(retries=worker, answer="x" * 9000) for _ in range(100)))


@pytest.mark.slow
def test_processes_write_whole_lines(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(path, worker)) for worker in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert sorted(call.retries for call in read(path)) == [0] * 100 + [1] * 100 + [2] * 100


# without text


def test_without_text_there_are_lengths_and_no_word_of_anybody(path: Path) -> None:
    failed = changed(error="BadResponse: the answer 'Secretly' names none", answer=None)
    quoting = changed(user_id=None, quoted=("bob",))
    traced(path, CALL, failed, changed(user_id="bob"), quoting, text=False)
    written = path.read_text(encoding="utf-8")
    apart_from_digests = re.sub(r"\b[0-9a-f]{12,}\b", "", written)  # some spell "ada"
    for word in ("brief", "rain", "falls", "ada", "bob", "Secretly", "names none"):
        assert word not in apart_from_digests
    assert json.loads(written.splitlines()[0])["text"] is False
    first, second, other, nobody = read(path)
    assert [message.content for message in first.messages] == ["<9 characters>", "<21 characters>"]
    assert isinstance(CALL.answer, str)
    assert first.answer == f"<{len(CALL.answer)} characters>"
    assert (first.tokens_in, first.usd, first.candidate) == (12, 0.0002, "c3")
    assert second.error == "BadResponse"
    assert first.user_id == second.user_id != other.user_id
    assert nobody.user_id is None
    assert nobody.quoted == (other.user_id,)


def test_without_text_an_error_that_is_not_a_type_is_not_shown(path: Path) -> None:
    (found,) = read(traced(path, changed(error="Ada said: no"), text=False))
    assert found.error == "Error"


def test_without_text_users_cannot_be_followed_from_run_to_run(path: Path) -> None:
    traced(path, CALL, text=False)
    traced(path, CALL, text=False)
    one, other = read(path)
    assert one.user_id != other.user_id


def test_numbers_stay_without_text(path: Path) -> None:
    (found,) = read(traced(path, changed(kind="odds", answer=(0.25, 0.75)), text=False))
    assert found.answer == (0.25, 0.75)


# secrets


def test_a_planted_key_is_in_no_byte(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = 'planted "key"/with \\ and \u00e9'
    monkeypatch.setenv("MY_PROVIDER_API_KEY", key)
    for text in (True, False):
        call = changed(
            role=f"generator {key}",
            model=key,
            messages=(Message("user", f"My key is {key}, as JSON {json.dumps(key)}."),),
            answer=f"You said {key}",
            candidate=key,
            user_id=key,
            error=f"AuthenticationError: {key} was refused; Authorization: Bearer abcdefgh12345678",
        )
        traced(path, call, text=text)
    written = path.read_bytes()
    assert b"planted" not in written
    assert b"abcdefgh12345678" not in written
    assert written.count(b"[redacted]") > 8
    assert len(read(path)) == 2


# damage


def cut(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])


def test_a_last_line_cut_by_a_crash_is_left_out_and_said(path: Path) -> None:
    cut(traced(path, CALL, CALL, CALL))
    told: list[str] = []
    assert read(path, told) == [CALL, CALL]
    assert len(told) == 1
    assert f"{path}:4: " in told[0]


def test_a_run_appended_after_a_crash_is_whole(path: Path) -> None:
    cut(traced(path, CALL, CALL))
    later = changed(role="inference")
    traced(path, later)
    told: list[str] = []
    assert read(path, told) == [CALL, later]
    assert len(told) == 1


@pytest.mark.parametrize("size", range(1, 48))
def test_a_header_cut_by_a_crash_is_followed_by_a_whole_run(path: Path, size: int) -> None:
    traced(path, CALL)
    begun = path.read_bytes()
    path.write_bytes(begun + begun[:size])
    traced(path, CALL)
    assert read(path, []) == [CALL, CALL]


def test_a_killed_run_leaves_every_call_it_wrote(path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from popi_prompt.models.trace import Call, Trace
from popi_prompt.prompts import Message
trace = Trace(Path({str(path)!r}))
for _ in range(50):
    trace.write({CALL!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode < 0
    assert read(path) == [CALL] * 50


LINE = json.dumps({"schema": "popi-prompt/trace/1", "text": True})


def record(**changes: Any) -> str:
    fields = {
        **{field.name: getattr(CALL, field.name) for field in dataclasses.fields(Call)},
        "messages": [{"role": "user", "content": "x"}],
    }
    return json.dumps({**fields, **changes})


def without(name: str) -> str:
    fields = json.loads(record())
    del fields[name]
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "is not valid JSON"),
        ("[]", "expected a JSON object"),
        ("NaN", "NaN, which is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"role": "x\udc80"}', "not valid UTF-8"),
        (without("model"), "'model' is missing"),
        (record(tokens_in="many"), "'tokens_in' is a str"),
        (record(tokens_in=True), "'tokens_in' is a bool"),
        (record(cached=1), "'cached' is a int"),
        (record(kind="song"), "'kind' is 'song'"),
        (record(messages=["x"]), "'messages' holds something else"),
        (record(messages=[{"role": "king", "content": "x"}]), "'messages' holds"),
        (record(answer=["x"]), "'answer' is neither"),
        (record(answer={}), "'answer' is neither"),
        ('{"schema": "popi-prompt/trace/9"}', "has schema 'popi-prompt/trace/9'"),
    ],
)
def test_a_bad_line_is_named(path: Path, bad: str, says: str) -> None:
    lines = [LINE, record(), bad, record()]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=says) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, 3)
    path.write_bytes("".join(f"{line}\n" for line in lines[:3]).encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=says):
        read(path)


@pytest.mark.parametrize("content", ["", "\n\n", "{}\n", "hello", record() + "\n", "\x00" * 50])
def test_a_file_that_is_not_a_trace_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(path)
    path.mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read(path)


@pytest.mark.parametrize(
    "content", ["{}\n", "hello", record() + "\n", "\x00" * 5000, '{"schema": "of/another/1"}\n']
)
def test_nothing_is_appended_to_a_file_of_something_else(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o644)
    with pytest.raises(UsageError, match=r"run.trace.jsonl': it is not empty and no trace; name"):
        Trace(path)
    assert path.read_text() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_of_nothing_becomes_a_trace(path: Path, content: str) -> None:
    path.write_text(content)
    assert read(traced(path, CALL)) == [CALL]


@pytest.mark.parametrize("where", ["missing/run.jsonl", "."])
def test_a_path_that_cannot_be_written_is_refused_before_any_call(
    tmp_path: Path, where: str
) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        Trace(tmp_path / where)


def test_a_disk_that_fills_up_is_said_once_and_the_run_goes_on(path: Path) -> None:
    code = f"""
import json, resource
from pathlib import Path
from popi_prompt.models.trace import Call, Trace
from popi_prompt.prompts import Message
told = []
call = {CALL!r}
trace = Trace(Path({str(path)!r}), notify=told.append)
trace.write(call)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for _ in range(20):
    trace.write(call)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
trace.write(call)
trace.close()
trace.write(call)
print(json.dumps(told))
"""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert len(told) == 2
    assert "cannot be written" in told[0]
    kept = 22 - int(told[1].split(": ")[1].split()[0])
    cut_off: list[str] = []
    assert read(path, cut_off) == [CALL] * kept
    assert kept > 1
    assert len(cut_off) == 1


# totals


def test_totals_count_what_was_sent() -> None:
    calls = [
        CALL,
        changed(cached=True, usd=0.0),
        changed(usd=None, error="RateLimited: slow down"),
        changed(usd=0.5, error="RateLimited: slow down"),
        changed(error="BadResponse: empty", usd=0.1),
    ]
    assert totals(calls) == Totals(
        calls=5,
        cached=1,
        tokens_in=48,
        tokens_out=20,
        usd=0.6002,
        unpriced=1,
        seconds=1.0,
        failures={"RateLimited": 2, "BadResponse": 1},
    )
    assert totals([]) == Totals()
