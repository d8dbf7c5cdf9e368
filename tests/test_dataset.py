"""Files of users: what is read, what is refused with file and line, what is written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from full_disk import room
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt.dataset import fingerprint, load_users, read_jsonl, write_jsonl, write_users
from popi_prompt.errors import DataError, UsageError, WriteError
from popi_prompt.files import (
    check_writable,
    make_folder,
    parse_json,
    read_bytes,
    write_text,
    writing,
)
from popi_prompt.lines import Lines
from popi_prompt.schema import Dialogue, Pair, Persona, Rating, Turn, User

some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def record(user_id: str, **more: Any) -> dict[str, Any]:
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    return {
        "user_id": user_id,
        "signals": [{"kind": "persona", "text": "a nurse"}],
        "pairs": [pair],
        **more,
    }


def line_of(value: Any) -> bytes:
    return json.dumps(value).encode()


def good_lines(count: int) -> list[bytes]:
    return [line_of(record(f"good-{i}")) for i in range(count)]


def user(user_id: str = "u", text: str = "a nurse") -> User:
    return User(user_id, (Persona(text), Rating("x", 2.0, (1.0, 3.0))), (Pair("p", "c", "r"),))


def save(folder: Path, content: bytes, name: str = "users.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(read: Callable[[], object]) -> str | None:
    """What a `DataError` says, if there is one; every other error passes through."""
    try:
        read()
    except DataError as error:
        return str(error)
    return None


BROKEN: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"user_id": "u", }', "is not valid JSON"),
    "cut off": (b'{"user_id": "u"', "is not valid JSON"),
    "lone CR": (b'{"user_id": "u"}\r{"user_id": "v"}', "is not valid JSON"),
    "two values": (b'{"user_id": "u"} {"user_id": "v"}', "is not valid JSON"),
    "unknown kind": (
        line_of(record("u", signals=[{"kind": "persone", "text": "x"}])),
        "did you mean 'persona'?",
    ),
    "unknown key": (line_of(record("u", pair=[])), "unknown key 'pair' (did you mean 'pairs'?)"),
    "no user_id": (b'{"signals": []}', "has no 'user_id'"),
    "the same text": (
        line_of(record("u", pairs=[{"prompt": "p", "chosen": "c", "rejected": "c"}])),
        "user 'u', pairs[0]: chosen and rejected are the same",
    ),
    "NUL byte": (b'{"user_id": "u\x00"}', "NUL byte"),
    "NUL escape": (b'{"user_id": "u\\u0000"}', "NUL character"),
    "lone surrogate": (b'{"user_id": "u\\ud83d"}', "surrogate"),
    "encoded surrogate": (b'{"user_id": "u\xed\xa0\xbd"}', "is not valid UTF-8 at byte 15"),
    "Latin-1": (b'{"user_id": "\xe9t\xe9"}', "is not valid UTF-8 at byte 14"),
    "BOM in the middle": (b'\xef\xbb\xbf{"user_id": "u"}', "is not valid JSON"),
    "NaN": (
        b'{"user_id": "u", "signals": [{"kind": "rating", "item": "x", "rating": NaN, '
        b'"scale": [1, 5]}]}',
        "holds NaN",
    ),
    "Infinity": (b'{"user_id": -Infinity}', "holds -Infinity"),
    "overflow": (
        b'{"user_id": "u", "signals": [{"kind": "rating", "item": "x", "rating": 1e999, '
        b'"scale": [1, 5]}]}',
        "expected a number",
    ),
    "huge integer": (
        b'{"user_id": "u", "signals": [{"kind": "rating", "item": "x", "rating": 1'
        + b"0" * 400
        + b', "scale": [1, 5]}]}',
        "rating",
    ),
    "endless integer": (b'{"user_id": ' + b"1" * 5000 + b"}", "too many digits"),
    "a list": (b'[{"user_id": "u"}]', "expected an object"),
    "a text": (b'"u"', "expected an object"),
    "deep lists": (b"[" * 100_000, "is nested too deeply"),
    "deep objects": (b'{"user_id":' * 100_000, "is nested too deeply"),
    "signals as object": (line_of(record("u", signals={})), "expected a list"),
    "duplicate": (line_of(record("good-4")), "user_id 'good-4' is on line 5 already"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    broken, problem = BROKEN[name]
    lines = [*good_lines(13), broken, *good_lines(1)]
    path = save(tmp_path, b"\n".join(lines))
    with pytest.raises(DataError) as caught:
        load_users(path)
    assert str(caught.value).startswith(f"{path}:14: ")
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert (caught.value.path, caught.value.line) == (path, 14)


def test_blank_lines_count_for_line_numbers(tmp_path: Path) -> None:
    path = save(tmp_path, b"\n \n" + b"\n".join(good_lines(2)) + b"\n\t\r\n{\n")
    with pytest.raises(DataError) as caught:
        load_users(path)
    assert str(caught.value).startswith(f"{path}:6: is not valid JSON")


def test_broken_json_names_its_column(tmp_path: Path) -> None:
    path = save(tmp_path, b'{"user_id" "u"}')
    with pytest.raises(DataError, match=r"column 12$"):
        load_users(path)


@pytest.mark.parametrize("more", [{"pairs": []}, {}])
def test_a_user_without_pairs_is_refused_only_where_pairs_are_needed(
    more: dict[str, Any], tmp_path: Path
) -> None:
    path = save(tmp_path, b"\n".join([*good_lines(2), line_of({"user_id": "bare", **more})]))
    assert load_users(path)[2] == User("bare", ())
    with pytest.raises(DataError) as caught:
        load_users(path, need_pairs=True)
    assert str(caught.value).startswith(f"{path}:3: user 'bare' has no pairs")


@pytest.mark.parametrize("content", [b"", b"\n", b"\n \r\n\t\n", b"\xef\xbb\xbf"])
def test_a_file_without_users_is_refused(content: bytes, tmp_path: Path) -> None:
    path = save(tmp_path, content)
    with pytest.raises(DataError) as caught:
        load_users(path)
    assert str(caught.value).startswith(f"{path}: holds no users")
    assert caught.value.line is None


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    with pytest.raises(DataError) as caught:
        load_users(path)
    assert str(caught.value) == f"{path}: no such file"


def test_a_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_users(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read (is a directory)"


@pytest.mark.parametrize("name", ["file/users.jsonl", "x" * 300, "nul\x00byte"])
def test_a_path_that_cannot_exist_is_a_data_error(name: str, tmp_path: Path) -> None:
    save(tmp_path, b"", "file")
    with pytest.raises(DataError):
        read_bytes(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + b"\n".join(good_lines(2)),
        b"\r\n".join(good_lines(2)) + b"\r\n",
        b"\xef\xbb\xbf\r\n" + b"\r\n".join(good_lines(2)),
        b"\n\n" + b"\n\n".join(good_lines(2)),
        b"\n".join(b"  " + line + b"\t" for line in good_lines(2)),
    ],
    ids=["BOM", "CRLF", "BOM and CRLF", "blank lines", "padded"],
)
def test_files_of_windows_and_of_people_are_read(content: bytes, tmp_path: Path) -> None:
    users = load_users(str(save(tmp_path, content)), need_pairs=True)
    assert [user.user_id for user in users] == ["good-0", "good-1"]


def test_an_escaped_emoji_is_whole(tmp_path: Path) -> None:
    path = save(tmp_path, b'{"user_id": "\\ud83d\\ude00"}')
    assert load_users(path)[0].user_id == "\N{GRINNING FACE}"


@given(content=st.binary(max_size=200))
@some
def test_arbitrary_bytes_are_users_or_a_data_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = save(tmp_path_factory.getbasetemp(), content, "arbitrary.jsonl")
    problem = refusal(lambda: load_users(path))
    assert problem is None or problem.startswith(str(path))


@given(st.integers(0, 400), st.integers(0, 30), st.binary(max_size=8))
@some
def test_a_damaged_file_is_users_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, damage: bytes
) -> None:
    whole = b"\n".join(good_lines(3))
    content = whole[:start] + damage + whole[start + length :]
    path = save(tmp_path_factory.getbasetemp(), content, "damaged.jsonl")
    problem = refusal(lambda: load_users(path, need_pairs=True))
    assert problem is None or problem.startswith(str(path))


def test_read_jsonl_gives_line_numbers_and_values(tmp_path: Path) -> None:
    path = save(tmp_path, b'\n1\n\n{"a": [2]}')
    assert list(read_jsonl(path)) == [(2, 1), (4, {"a": [2]})]


def test_json_of_many_lines_names_line_and_column() -> None:
    with pytest.raises(DataError) as caught:
        parse_json('{\n"a": 1,\n!}', Path("x.json"))
    assert str(caught.value).startswith("x.json: is not valid JSON")
    assert str(caught.value).endswith("at line 3, column 1")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=3))
@some
def test_users_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    texts = [f"x{text.replace(chr(0), '')}" for text in texts]
    users = tuple(user(f"u{i}", text) for i, text in enumerate(["\x85a\u2028b\rc", *texts]))
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    path.unlink(missing_ok=True)
    write_users(path, users)
    assert load_users(path) == users
    assert fingerprint(load_users(path)) == fingerprint(users)
    assert path.read_bytes().count(b"\n") == len(users)


def test_jsonl_keeps_text_readable(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_jsonl(path, [{"a": "é"}, [1]])
    assert path.read_bytes() == '{"a": "é"}\n[1]\n'.encode()


def test_nothing_is_written_if_a_user_cannot_be_made(tmp_path: Path) -> None:
    path = save(tmp_path, b"old")

    def users() -> Iterator[User]:
        yield user()
        raise DataError("bad")

    with pytest.raises(DataError):
        write_users(path, users())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_fingerprint_is_the_hash_of_canonical_json() -> None:
    line = (
        '{"gold":"\\u00e9","group":"g","pairs":[{"chosen":"c","prompt":"p","rejected":"r"}],'
        '"signals":[{"kind":"dialogue","messages":[{"content":"hi","role":"user"}]}],'
        '"user_id":"u"}\n'
    )
    dialogue = Dialogue((Turn("user", "hi"),))
    found = fingerprint([User("u", (dialogue,), (Pair("p", "c", "r"),), gold="é", group="g")])
    assert found == f"sha256:{hashlib.sha256(line.encode()).hexdigest()}"


def test_the_fingerprint_changes_with_content_and_not_with_order() -> None:
    one, two = user("one"), user("two")
    found = [
        fingerprint(users) for users in ([], [one], [two], [one, two], [user("one", "a judge")])
    ]
    assert len(set(found)) == len(found)
    assert fingerprint([two, one]) == fingerprint([one, two])
    assert fingerprint([replace(one, public=True)]) == fingerprint([one])


def test_equal_users_have_one_fingerprint_whether_ratings_are_whole_numbers_or_not() -> None:
    whole = User("u", (Rating("x", 2, (1, 3)),))
    read = User("u", (Rating("x", 2.0, (1.0, 3.0)),))
    assert whole == read
    assert fingerprint([whole]) == fingerprint([read])


@pytest.mark.parametrize("value", [0.0, -0.0, 5.0, -3.0, 2.5, 1e16, 1e300])
def test_equal_ratings_are_written_alike(value: float) -> None:
    whole = int(value) if value.is_integer() else value
    one = User("u", (Rating("x", value, (value, value + 1)),))
    other = User("u", (Rating("x", whole, (whole, value + 1)),))
    assert one == other
    assert fingerprint([one]) == fingerprint([other])


def test_whole_ratings_are_written_without_a_point(tmp_path: Path) -> None:
    write_users(tmp_path / "out.jsonl", [User("u", (Rating("x", 2.5, (1.0, 5.0)),))])
    written = (tmp_path / "out.jsonl").read_text()
    assert '"rating": 2.5, "scale": [1, 5]' in written


def test_a_text_is_written_as_it_is_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = save(tmp_path, b"old and longer than the new one", "out.txt")
    write_text(path, "é\r\nb\n")
    assert path.read_bytes() == "é\r\nb\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "out.txt", "x")
    finally:
        after = os.umask(before)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640
    assert after == 0o027


@pytest.mark.parametrize("size", [3000, 100_000], ids=["at the end", "half way"])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_disk_that_is_full_is_told_and_leaves_what_was_there(
    size: int, old: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "out.txt"
    if old is not None:
        path.write_bytes(old)
    with room(2048), pytest.raises(WriteError) as caught:
        write_text(path, "x" * size)
    assert str(caught.value).startswith(f"cannot write {str(path)!r}: file too large; ")
    assert (path.read_bytes() if path.exists() else None) == old
    assert list(tmp_path.iterdir()) == ([] if old is None else [path])


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "of another file"), DataError("x"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("old", [b"old", None])
def test_a_block_that_raises_keeps_its_error_and_leaves_what_was_there(
    failure: BaseException, old: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "out.txt"
    if old is not None:
        path.write_bytes(old)

    def write() -> None:
        with writing(path) as file:
            file.write("new " * 10_000)
            raise failure

    with pytest.raises(type(failure)) as caught:
        write()
    assert caught.value is failure
    assert (path.read_bytes() if path.exists() else None) == old
    assert list(tmp_path.iterdir()) == ([] if old is None else [path])


def test_a_disk_without_room_for_a_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(WriteError, match=r"out.txt': no space left on device"):
        write_text(tmp_path / "out.txt", "new")


def test_a_line_that_does_not_fit_is_told_and_not_half_there(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "lines.jsonl")
    lines.append({"a": 1})
    with room(1000), pytest.raises(WriteError, match=r"lines.jsonl': file too large"):
        lines.append({"b": "x" * 2000})
    lines.append({"c": 3})
    lines.close()
    assert Lines(lines.path).found == [{"a": 1}, {"c": 3}]


def test_a_folder_is_made_unless_it_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "new")
    assert (tmp_path / "new").is_dir()
    with pytest.raises(UsageError, match="does not exist"):
        make_folder(tmp_path / "none" / "new")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(WriteError, match=r"link': file exists"):
        make_folder(tmp_path / "link")


def test_a_folder_that_another_process_makes_meanwhile_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def late(path: Path, *given: Any, **options: Any) -> None:
        make(path)
        make(path, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", late)
        make_folder(tmp_path / "new")
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    make_folder(tmp_path / "new")
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def linked(tmp_path: Path, target: str) -> tuple[Path, Path]:
    """A link in a folder of its own, over another link, and where it leads."""
    (tmp_path / "links").mkdir()
    (tmp_path / "files").mkdir()
    link = tmp_path / "links" / "link.txt"
    link.symlink_to("hop.txt")
    (tmp_path / "links" / "hop.txt").symlink_to(target)
    return link, tmp_path / "files" / "real.txt"


@pytest.mark.parametrize("old", [b"old", None])
def test_of_a_link_the_target_is_written(old: bytes | None, tmp_path: Path) -> None:
    link, real = linked(tmp_path, "../files/real.txt")
    if old is not None:
        real.write_bytes(old)
    write_text(link, "new")
    assert real.read_text() == link.read_text() == "new"
    assert link.is_symlink()
    assert not real.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "hop.txt",
        "link.txt",
        "real.txt",
    ]


def test_a_link_into_a_folder_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    link, _ = linked(tmp_path, "../gone/real.txt")
    for check in (check_writable, lambda target: write_text(target, "x")):
        with pytest.raises(
            UsageError, match=r"is a link into the folder '.*/gone', which does not"
        ):
            check(link)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(UsageError, match="too many levels of symbolic links"):
        check_writable(link)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no such folder here")
def test_what_the_system_has_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """As `/dev/stdout` is, where a shell has redirected it: a link to a file without a flaw."""
    with (tmp_path / "redirected.txt").open("w") as file:
        standard = f"/proc/self/fd/{file.fileno()}"
        (tmp_path / "link.txt").symlink_to(standard)
        for path in (standard, f"/dev/fd/{file.fileno()}", tmp_path / "link.txt"):
            assert Path(path).is_file()
            with pytest.raises(UsageError, match="leads through '/(dev|proc)', which holds no"):
                check_writable(Path(path))
    with pytest.raises(UsageError, match="leads through '/dev'"):
        check_writable(Path("/dev/popi-prompt.jsonl"))


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no such folder here")
def test_the_file_system_in_memory_may_be_written() -> None:
    check_writable(Path("/dev/shm/popi-prompt.jsonl"))


def test_a_file_that_is_being_read_is_not_written(tmp_path: Path) -> None:
    path, other = save(tmp_path, b"old", "in.txt"), save(tmp_path, b"old", "other.txt")
    (tmp_path / "link.txt").symlink_to(path)
    for output in (path, tmp_path / "link.txt"):
        with pytest.raises(UsageError, match="it is being read, and would be lost; name another"):
            check_writable(output, reading=[other, path])
    check_writable(tmp_path / "out.txt", reading=[path])
    check_writable(path, reading=[other, tmp_path / "none.txt"])


def test_a_rename_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, b"old", "out.txt")

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match=r"out.txt': permission denied"):
        write_text(path, "new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "none" / "out.txt"
    for check in (check_writable, lambda target: write_text(target, "x")):
        with pytest.raises(UsageError, match="does not exist") as caught:
            check(path)
        assert repr(str(path.parent)) in str(caught.value)
    assert not path.parent.exists()


def test_a_folder_as_target_is_a_usage_error(tmp_path: Path) -> None:
    for check in (check_writable, lambda target: write_text(target, "x")):
        with pytest.raises(UsageError, match="is a folder"):
            check(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/out.txt", "nul\x00byte"])
def test_a_target_that_cannot_exist_is_a_usage_error(name: str, tmp_path: Path) -> None:
    for check in (check_writable, lambda target: write_text(target, "x")):
        with pytest.raises(UsageError, match="cannot write"):
            check(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_text(path, "x")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_as_target_is_a_usage_error_and_stays_one(linked: bool, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(tmp_path / "pipe")
    for check in (check_writable, lambda target: write_text(target, "x")):
        with pytest.raises(UsageError, match="not a regular file"):
            check(path)
    assert path.is_fifo()


def test_a_device_as_target_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not a regular file"):
        check_writable(Path(os.devnull))


def test_a_folder_without_permission_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(UsageError, match="no permission"):
        write_text(tmp_path / "out.txt", "x")
    assert list(tmp_path.iterdir()) == []


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "out.txt")
    assert list(tmp_path.iterdir()) == []
