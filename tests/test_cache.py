"""The cache of answers: what is put is got, by threads and processes; bounded; it can forget."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.errors import CacheError, UsageError
from popi_prompt.models.cache import AnswerCache, cache_key, default_path
from popi_prompt.models.cache_batch import Batch
from popi_prompt.models.cache_file import CacheFile

MEBI = 1 << 20
KNOWN_KEY = "2a761ae99fe92f366c8053b1f83b24cd6849a3ade9a978e037dd836c37b148c5"
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
unhurried = settings(deadline=None)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.dictionaries(TEXT, VALUES, max_size=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "answers.sqlite"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def cache(path: Path, told: list[str]) -> Iterator[AnswerCache]:
    opened = AnswerCache(path, notify=told.append)
    yield opened
    opened.close()


def bytes_of(path: Path) -> bytes:
    """Every byte on disk: the file and what SQLite keeps beside it."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))


def identity(value: Any) -> Any:
    """Equal exactly where two values are the same JSON: 1, 1.0 and True are three values."""
    match value:
        case dict():
            return {key: identity(each) for key, each in value.items()}
        case list() | tuple():
            return [identity(each) for each in value]
        case float():
            return ("float", "nan" if math.isnan(value) else value.hex())
    return (type(value).__name__, value)


# keys


@unhurried
@given(PARTS, st.randoms())
def test_the_order_of_keys_does_not_matter(parts: dict[str, Any], draw: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(each) for each in value]
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        draw.shuffle(items)
        return {key: shuffled(each) for key, each in items}

    assert cache_key(shuffled(parts)) == cache_key(parts)


@unhurried
@given(PARTS, PARTS)
def test_keys_are_equal_only_for_equal_parts(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (cache_key(one) == cache_key(other)) is (identity(one) == identity(other))


def test_values_that_look_alike_have_keys_of_their_own() -> None:
    pair, one = "\ud83d\ude00", "\U0001f600"
    alike: list[Any] = [1, True, "1", 1.0, "1.0", None, "null", [1], ["1"], {"1": 1}, "", [], {}]
    alike += [0.0, -0.0, math.nan, "NaN", math.inf, 0.1 + 0.2, 0.3, pair, one, "\ud83d", "e\u0301"]
    alike += ["\u00e9", "\\ud83d", "a\x00b", "ab"]
    assert len({cache_key({"x": value}) for value in alike}) == len(alike)


def test_keys_do_not_change_between_versions() -> None:
    known = {"b": [1, "\u00e9", 0.5], "a": None, "\ud83d": True}
    assert cache_key(known) == KNOWN_KEY


@pytest.mark.parametrize("value", [{1: "x"}, [{True: 1}], {"a": {None: 1}}, {1, 2}, b"x", Path()])
def test_what_is_not_json_is_refused(value: Any, cache: AnswerCache) -> None:
    with pytest.raises(TypeError):
        cache_key({"x": value})
    with pytest.raises(TypeError):
        cache.put("k", value, users=())


# put and get


@pytest.mark.slow
@unhurried
@given(value=VALUES.filter(lambda value: value is not None))
def test_what_is_put_is_got(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cache") / "answers.sqlite"
    first = AnswerCache(path)
    first.put("k", value, users=("u",))
    assert identity(first.get("k")) == identity(value)
    first.close()
    second = AnswerCache(path)
    assert identity(second.get("k")) == identity(value)
    second.close()


def test_a_miss_is_none_and_hits_and_misses_are_counted(cache: AnswerCache) -> None:
    assert cache.get("k") is None
    cache.put("k", {"text": "Water."}, users=("u",))
    assert cache.get("k") == {"text": "Water."}
    stats = cache.stats()
    assert (stats.entries, stats.hits, stats.misses) == (1, 1, 1)
    assert stats.oldest is not None
    assert stats.oldest == stats.newest
    assert abs(stats.oldest - time.time()) < 600
    assert stats.bytes == len(bytes_of(cache.path)) - len(
        cache.path.with_name(cache.path.name + "-shm").read_bytes()
    )
    assert json.loads(json.dumps(stats.as_record()))["entries"] == 1


def test_the_later_value_stays(path: Path) -> None:
    for text in ("first", "second"):
        cache = AnswerCache(path)
        cache.put("k", text, users=())
        cache.close()
    cache = AnswerCache(path)
    assert cache.get("k") == "second"
    assert cache.stats().entries == 1
    cache.close()


def test_only_the_owner_may_read_the_files(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o666)
    path.chmod(0o666)
    cache = AnswerCache(path)
    cache.put("k", "x", users=())
    cache.stats()
    files = sorted(path.parent.iterdir())
    assert len(files) == 3
    for each in files:
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    cache.close()


def test_after_close_nothing_is_kept_and_nothing_raises(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("a", 1, users=())
    cache.close()
    cache.close()
    cache.put("b", 2, users=())
    assert cache.get("a") is None
    with pytest.raises(CacheError, match="not open"):
        cache.stats()
    again = AnswerCache(path)
    assert (again.get("a"), again.get("b")) == (1, None)
    again.close()


def test_the_default_path_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_path() == tmp_path / "xdg" / "popi-prompt" / "answers.sqlite"
    for unusable in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert default_path() == tmp_path / "home" / ".cache" / "popi-prompt" / "answers.sqlite"


# many at once


def test_threads_share_a_cache(cache: AnswerCache) -> None:
    def work(worker: int) -> int:
        draw = random.Random(worker)
        wrong = 0
        for _ in range(300):
            number = draw.randrange(200)
            found = cache.get(f"k{number}")
            wrong += found not in (None, [number] * 50)
            cache.put(f"k{number}", [number] * 50, users=(f"u{number % 7}",))
            wrong += cache.get(f"k{number}") != [number] * 50
        return wrong

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 0
    stats = cache.stats()
    assert stats.entries == 200
    assert stats.hits + stats.misses == 16 * 600


def _work(path: Path, worker: int) -> None:
    """A process that puts its own answers and reads everybody's."""
    told: list[str] = []
    cache = AnswerCache(path, notify=told.append)
    for number in range(150):
        cache.put(f"{worker}-{number}", "x" * 2000 + f"{worker}-{number}", users=(f"u{worker}",))
        other = f"{(worker + 1) % 4}-{number}"
        found = cache.get(other)
        assert found is None or found.endswith(other)
    cache.close()
    assert told == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_share_a_file(path: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    context: Any = multiprocessing.get_context(method)
    # Open here too: forked processes inherit it, and the file is new for those spawned.
    mine = AnswerCache(path) if method == "fork" else None
    workers = [context.Process(target=_work, args=(path, worker)) for worker in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert [each.exitcode for each in workers] == [0, 0, 0, 0]
    cache = mine or AnswerCache(path)
    assert cache.stats().entries == 600
    assert cache.get("3-149") == "x" * 2000 + "3-149"
    assert cache.forget_user("u2") == 150
    cache.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def _child(cache: AnswerCache, number: int) -> None:
    assert cache.get("before") == "parent"
    cache.put(f"child {number}", number, users=())
    cache.close()


def test_a_cache_may_be_carried_across_a_fork(path: Path, cache: AnswerCache) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    cache.put("before", "parent", users=())
    cache.stats()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_child, args=(cache, number)) for number in range(4)]
    for each in children:
        each.start()
        cache.put(f"meanwhile {each.name}", 1, users=())
    for each in children:
        each.join()
    assert [each.exitcode for each in children] == [0, 0, 0, 0]
    assert [cache.get(f"child {number}") for number in range(4)] == [0, 1, 2, 3]
    assert cache.stats().entries == 9


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


def test_a_process_that_ends_without_close_loses_nothing(path: Path) -> None:
    code = """
import sys
from pathlib import Path
from popi_prompt.models.cache import AnswerCache
cache = AnswerCache(Path(sys.argv[1]))
for number in range(100):
    cache.put(f"k{number}", number, users=())
"""
    done = run(code, path)
    assert (done.returncode, done.stderr) == (0, "")
    cache = AnswerCache(path)
    assert cache.stats().entries == 100
    cache.close()


def test_a_killed_process_loses_nothing_that_put_has_returned_for(path: Path) -> None:
    code = """
import os, signal, sys, threading
from pathlib import Path
from popi_prompt.models.cache import AnswerCache
cache = AnswerCache(Path(sys.argv[1]))
def put(start):
    for number in range(start, 100, 8):
        cache.put(f"k{number}", number, users=())
threads = [threading.Thread(target=put, args=(start,)) for start in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(code, path).returncode == -signal.SIGKILL
    cache = AnswerCache(path)
    assert [cache.get(f"k{number}") for number in range(100)] == list(range(100))
    cache.close()


# the bound


@pytest.mark.slow
@pytest.mark.parametrize("size", [20, 3_000, 50_000])
def test_the_file_never_grows_over_its_limit(path: Path, size: int) -> None:
    limit = MEBI
    cache = AnswerCache(path, max_bytes=limit)
    draw = random.Random(size)
    largest = 0
    for number in range(3 * limit // (size + 200)):
        cache.put(f"k{number}", "x" * draw.randrange(size), users=(f"u{number}",))
        if number % 20 == 0:
            cache.stats()
            largest = max(largest, path.stat().st_size)
    newest = f"k{number}"
    assert cache.get(newest) is not None
    assert cache.get("k0") is None
    assert cache.stats().entries > 5
    cache.close()
    assert largest <= limit
    assert limit // 2 < path.stat().st_size <= limit


def test_what_was_used_last_stays(path: Path) -> None:
    cache = AnswerCache(path, max_bytes=MEBI)
    cache.put("often", "x", users=())
    cache.put("never", "x", users=())
    for number in range(100):
        cache.put(f"k{number}", "y" * 40_000, users=())
        assert cache.get("often") == "x"
        cache.stats()
    assert cache.get("never") is None
    assert cache.get("k0") is None
    assert cache.get("k99") is not None
    cache.close()


def test_opening_with_a_smaller_limit_removes_nothing_by_itself(path: Path) -> None:
    cache = AnswerCache(path, max_bytes=8 * MEBI)
    for number in range(50):
        cache.put(f"k{number}", "x" * 50_000, users=())
    cache.close()
    cache = AnswerCache(path, max_bytes=MEBI)
    assert cache.stats().entries == 50
    cache.put("one more", 1, users=())
    assert cache.stats().entries < 25
    cache.close()
    assert path.stat().st_size <= MEBI


def test_an_answer_too_large_is_not_kept_and_that_is_said_once(path: Path, told: list[str]) -> None:
    cache = AnswerCache(path, max_bytes=MEBI, notify=told.append)
    cache.put("small", "x", users=())
    for number in range(3):
        cache.put(f"k{number}", "x" * MEBI, users=())
    assert cache.get("k0") is None
    assert cache.get("small") == "x"
    cache.close()
    assert len(told) == 1
    assert "too large" in told[0]


def test_a_limit_too_small_is_a_usage_error(path: Path) -> None:
    with pytest.raises(UsageError, match="too small"):
        AnswerCache(path, max_bytes=1000)
    assert not path.exists()


# forgetting


@pytest.mark.parametrize("seed", [5, 10, 38])
def test_no_byte_stays_on_pages_that_were_rebalanced(path: Path, seed: int) -> None:
    """These seeds leave texts behind where secure_delete alone is trusted."""
    draw = random.Random(seed)
    file = CacheFile(path, 16 * MEBI)
    moment = 0
    for _ in range(draw.randrange(20, 60)):
        answers: dict[str, bytes] = {}
        owners: list[tuple[bytes, str]] = []
        used: dict[str, int] = {}
        for _ in range(draw.randrange(1, 60)):
            user = draw.randrange(20)
            key = f"k{user}-{draw.randrange(60)}"
            moment += 1
            answers[key] = f"<user{user:02d}>".encode() * draw.choice([1, 3, 20, 90, 400, 1200])
            owners.append((file.owner(f"u{user}"), key))
            used[key] = moment
        file.write(answers, owners, used)
    for user in range(20):
        assert f"<user{user:02d}>".encode() in bytes_of(path)
        assert file.forget(f"u{user}") > 0
        assert f"<user{user:02d}>".encode() not in bytes_of(path)
    assert file.usage()[0] == 0
    file.close()


def test_evicted_answers_are_overwritten(path: Path) -> None:
    file = CacheFile(path, MEBI)
    for number in range(60):
        key = f"k{number}"
        file.write({key: f"<evicted {number:02d}>".encode() * 3000}, [], {key: number})
    evicted = [number for number in range(60) if file.read(f"k{number}") is None]
    file.close()
    assert len(evicted) > 25
    assert b"<evicted 59>" in bytes_of(path)
    assert [n for n in evicted if f"<evicted {n:02d}>".encode() in bytes_of(path)] == []


@pytest.mark.parametrize("seed", range(2))
def test_no_byte_of_a_forgotten_user_stays(tmp_path: Path, seed: int) -> None:
    """Also after updates and evictions."""
    path = tmp_path / "answers.sqlite"
    draw = random.Random(seed)
    cache = AnswerCache(path, max_bytes=draw.choice([MEBI, 8 * MEBI]))
    for _ in range(draw.randrange(5, 25)):
        for _ in range(draw.randrange(1, 60)):
            user = draw.randrange(12)
            text = f"<text of {user:02d}>" * draw.choice([1, 3, 20, 90, 400, 1200])
            cache.put(f"k{user}-{draw.randrange(60)}", text, users=(f"name{user:02d}",))
        cache.stats()
    before = cache.stats().entries
    for user in (3, 7):
        removed = cache.forget_user(f"name{user:02d}")
        before -= removed
        assert cache.stats().entries == before
        assert all(cache.get(f"k{user}-{number}") is None for number in range(60))
        assert f"<text of {user:02d}>".encode() not in bytes_of(path)
    assert b"<text of 05>" in bytes_of(path)
    cache.close()
    assert b"<text of 03>" not in bytes_of(path)


def test_forgetting_reaches_what_is_not_saved_yet(path: Path, cache: AnswerCache) -> None:
    cache.put("k", "text of a person", users=("u",))
    assert cache.forget_user("u") == 1
    assert cache.get("k") is None
    assert b"text of a person" not in bytes_of(path)


def test_an_answer_got_for_a_second_user_is_theirs_too(cache: AnswerCache) -> None:
    cache.put("shared", 1, users=("first",))
    cache.put("unasked", 2, users=())
    assert cache.get("shared", users=("second",)) == 1
    assert cache.get("unasked", users=("second",)) == 2
    assert cache.forget_user("second") == 2
    assert cache.stats().entries == 0


def test_a_user_without_answers_is_nothing_to_forget(cache: AnswerCache) -> None:
    cache.put("k", 1, users=("u",))
    assert cache.forget_user("somebody else") == 0
    assert cache.get("k") == 1


def test_user_ids_are_not_in_the_file_and_hashes_differ_between_files(tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        path = tmp_path / name / "answers.sqlite"
        cache = AnswerCache(path)
        cache.put("k", 1, users=("ada@example.org",))
        cache.close()
        assert b"ada@example.org" not in bytes_of(path)
        db = sqlite3.connect(path)
        hashes.add(db.execute("SELECT user FROM owners").fetchall()[0][0])
        db.close()
    assert len(hashes) == 2


def test_clear_removes_all_and_shrinks_the_file(path: Path, cache: AnswerCache) -> None:
    for number in range(200):
        cache.put(f"k{number}", "some text " * 500, users=())
    assert cache.stats().bytes > MEBI
    assert cache.clear() == 200
    stats = cache.stats()
    assert (stats.entries, stats.oldest, stats.newest) == (0, None, None)
    assert stats.bytes < 100_000
    assert b"some text" not in bytes_of(path)
    cache.put("k", 1, users=())
    assert cache.stats().entries == 1


def test_forgetting_says_so_where_another_reader_keeps_the_log(
    path: Path, cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popi_prompt.models.cache_schema.BUSY_SECONDS", 0.05)
    other = AnswerCache(path)
    other.put("k", "x", users=("u",))
    other.stats()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM answers").fetchall()
    with pytest.raises(CacheError, match="may still be in .*run this again"):
        other.forget_user("u")
    reader.execute("COMMIT")
    reader.close()
    assert other.forget_user("u") == 0
    assert other.get("k") is None
    other.close()


# damage


def foreign(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes (text)")
    db.execute("INSERT INTO notes VALUES ('mine')")
    db.commit()
    db.close()


def newer(path: Path) -> None:
    AnswerCache(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()


def overwritten(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "x" * 10_000, users=())
    cache.close()
    path.write_bytes(b"\x55" * 5000 + path.read_bytes()[5000:])


def text_file(path: Path) -> None:
    path.write_text("this is not a database at all, it is a letter. " * 30)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (foreign, "a database of something else"),
        (newer, "has version 2"),
        (overwritten, "damaged or not a cache"),
        (text_file, "damaged or not a cache"),
    ],
)
def test_a_file_that_is_not_a_cache_is_one_clear_error_and_stays_as_it_is(
    tmp_path: Path, damage: Any, says: str
) -> None:
    path = tmp_path / "answers.sqlite"
    damage(path)
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(CacheError, match=says) as caught:
        AnswerCache(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_damage_while_open_is_a_miss_and_said_once(
    path: Path, cache: AnswerCache, told: list[str]
) -> None:
    cache.put("k", "x", users=())
    cache.stats()
    db = sqlite3.connect(path)
    db.execute("UPDATE answers SET value = ?", (b'{"cut',))
    db.commit()
    db.close()
    assert [cache.get("k"), cache.get("k")] == [None, None]
    assert len(told) == 1
    assert "damaged" in told[0]
    cache.put("k", "again", users=())
    assert cache.get("k") == "again"


# disks that fail


@pytest.fixture
def unopenable(tmp_path: Path) -> Path:
    """A path under a file: nobody can make it, root included."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "answers.sqlite"


def test_a_path_that_cannot_be_made_leaves_answers_in_memory(
    unopenable: Path, told: list[str]
) -> None:
    cache = AnswerCache(unopenable, notify=told.append)
    for number in range(10):
        cache.put(f"k{number}", number, users=())
    assert [cache.get(f"k{number}") for number in range(10)] == list(range(10))
    assert cache.get("none") is None
    with pytest.raises(CacheError, match="not open"):
        cache.forget_user("u")
    assert len(told) == 1
    cache.close()
    assert len(told) == 2
    assert "not saved: 10" in told[1]


def test_what_could_not_be_saved_is_saved_once_it_can(unopenable: Path, told: list[str]) -> None:
    cache = AnswerCache(unopenable, notify=told.append)
    cache.put("k", "paid for", users=("u",))
    unopenable.parent.unlink()
    cache.close()
    assert len(told) == 1
    again = AnswerCache(unopenable)
    assert again.get("k") == "paid for"
    assert again.forget_user("u") == 1
    again.close()


def test_without_permission_answers_stay_in_memory(path: Path, told: list[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    path.parent.mkdir(mode=0o500)
    cache = AnswerCache(path, notify=told.append)
    cache.put("k", 1, users=())
    assert cache.get("k") == 1
    assert len(told) == 1
    cache.close()


def test_a_full_disk_loses_no_answer_of_this_process(path: Path) -> None:
    """The file may not grow over 300 kB: what SQLite sees is an I/O error in a real write."""
    code = """
import json, resource, sys
from pathlib import Path
from popi_prompt.models.cache import AnswerCache
told = []
cache = AnswerCache(Path(sys.argv[1]), notify=told.append)
cache.put("first", "saved", users=())
cache.stats()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
for number in range(100):
    cache.put(f"k{number}", "x" * 20_000, users=("u",))
    if number % 25 == 0:
        cache.stats()
got = sum(cache.get(f"k{number}") == "x" * 20_000 for number in range(100))
early = len(told)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([got, cache.get("first"), early, told[0], cache.stats().entries]))
"""
    pytest.importorskip("resource")
    done = run(code, path)
    assert done.stderr == ""
    got, first, told, problem, entries = json.loads(done.stdout)
    assert (got, first, told, entries) == (100, "saved", 1, 101)
    assert "cannot be written" in problem
    cache = AnswerCache(path)
    assert cache.get("k99") == "x" * 20_000
    cache.close()


def test_a_file_locked_by_somebody_else_does_not_stop_reads(
    path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popi_prompt.models.cache_schema.BUSY_SECONDS", 0.05)
    cache = AnswerCache(path, notify=told.append)
    cache.put("k", 1, users=())
    cache.stats()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    cache.put("later", 2, users=())
    assert cache.stats().entries == 1
    assert (cache.get("k"), cache.get("later")) == (1, 2)
    assert len(told) == 1
    assert "locked" in told[0]
    other.execute("ROLLBACK")
    other.close()
    assert cache.stats().entries == 2
    cache.close()


def test_what_is_put_while_a_commit_fails_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popi_prompt.models.cache_schema.BUSY_SECONDS", 0.05)
    # The notice comes when the commit has failed and its answers are not back in memory yet.
    mine = AnswerCache(path, notify=lambda _: mine.put("meanwhile", 2, users=("u",)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    mine.put("first", 1, users=("u",))
    assert mine.stats().entries == 0
    assert (mine.get("first"), mine.get("meanwhile")) == (1, 2)
    other.execute("ROLLBACK")
    other.close()
    assert mine.forget_user("u") == 2
    mine.close()


def test_opening_waits_for_a_process_that_is_making_the_file(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
    release.start()
    told: list[str] = []
    cache = AnswerCache(path, notify=told.append)
    release.join()
    other.close()
    cache.put("k", 1, users=())
    assert cache.stats().entries == 1
    assert told == []
    cache.close()


def test_threads_may_make_the_file_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def opened(path: Path) -> bytes:
        together.wait()
        file = CacheFile(path, MEBI)
        file.close()
        return file.owner("u")

    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            hashes = list(pool.map(opened, [tmp_path / f"{number}.sqlite"] * 8))
            assert len(set(hashes)) == 1


# what waits in memory


def test_memory_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("popi_prompt.models.cache_batch._MOST_BYTES", 100)
    batch = Batch()
    for number in range(10):
        batch.put(f"k{number}", b"x" * 30)
    batch.put("k9", b"y" * 30)
    assert list(batch.answers) == ["k7", "k8", "k9"]
    assert batch.size == 90
    batch.put("large", b"z" * 1000)
    assert (list(batch.answers), batch.size) == (["large"], 1000)


def test_memory_forgets_users() -> None:
    batch, newer = Batch(), Batch()
    for key, user in (("a", "u"), ("b", "v"), ("c", "u")):
        batch.put(key, b"1")
        batch.owners.add((user, key))
    newer.put("a", b"22")
    newer.owners.add(("v", "a"))
    batch.add(newer)
    assert batch.forget("u") == 2
    assert (batch.answers, batch.owners, batch.size) == ({"b": b"1"}, {("v", "b")}, 1)
    assert batch.forget(None) == 1
    assert (batch.answers, batch.owners, batch.size) == ({}, set(), 0)


# secrets


def test_an_answer_that_holds_a_key_is_not_kept(
    path: Path, cache: AnswerCache, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "planted/key-of-41")
    for number in range(3):
        cache.put(f"k{number}", {"text": "you sent planted/key-of-41"}, users=())
    cache.put("fine", {"text": "api_key=yours goes here"}, users=())
    assert cache.get("k0") is None
    assert cache.get("fine") is not None
    assert cache.stats().entries == 1
    assert b"planted" not in bytes_of(path)
    assert len(told) == 1
    assert "planted" not in told[0]


# what is known to be new


def test_an_answer_of_another_cache_is_seen_within_a_moment(path: Path) -> None:
    mine, other = AnswerCache(path), AnswerCache(path)
    assert mine.get("k") is None
    other.put("k", "theirs", users=())
    other.close()
    for _ in range(50):
        if mine.get("k") == "theirs":
            break
        time.sleep(0.02)
    assert mine.get("k") == "theirs"
    mine.close()


def test_answers_after_all_were_cleared_elsewhere_are_seen(path: Path) -> None:
    mine, other = AnswerCache(path), AnswerCache(path)
    for number in range(20):
        other.put(f"old{number}", "x", users=())
    other.stats()
    assert mine.get("old3") == "x"
    other.clear()
    other.put("new", "y", users=())
    other.stats()
    time.sleep(0.12)
    assert mine.get("new") == "y"
    assert mine.get("old3") is None
    mine.close()
    other.close()


@pytest.mark.parametrize("news", [5, 20, 30])
def test_answers_after_a_user_was_forgotten_elsewhere_are_seen(path: Path, news: int) -> None:
    """Ids of answers that are gone are given again."""
    mine, other = AnswerCache(path), AnswerCache(path)
    for number in range(10):
        other.put(f"kept{number}", "x", users=("v",))
    for number in range(20):
        other.put(f"old{number}", "x", users=("u",))
    assert mine.get("old3") == "x"
    assert other.forget_user("u") == 20
    for number in range(news):
        other.put(f"new{number}", number, users=())
    time.sleep(0.12)
    assert [mine.get(f"new{number}") for number in range(news)] == list(range(news))
    assert mine.get("kept3") == "x"
    assert mine.get("old3") is None
    mine.close()
    other.close()


def test_an_answer_that_comes_back_at_its_old_place_hides_no_other(path: Path) -> None:
    mine, other = AnswerCache(path), AnswerCache(path)
    for key in ("one", "two"):
        other.put(key, "x", users=("u",))
    assert mine.get("two") == "x"
    other.forget_user("u")
    for key in ("new", "two"):
        other.put(key, "y", users=())
    time.sleep(0.12)
    assert mine.get("new") == "y"
    mine.close()
    other.close()


def test_a_file_with_more_keys_than_are_remembered_is_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popi_prompt.models.cache_index._MOST_KEYS", 10)
    first = AnswerCache(path)
    for number in range(30):
        first.put(f"k{number}", number, users=())
    first.close()
    second = AnswerCache(path)
    assert [second.get(f"k{number}") for number in range(31)] == [*range(30), None]
    second.close()
