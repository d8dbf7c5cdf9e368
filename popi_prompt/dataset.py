"""Files of users: JSONL in and out, and the fingerprint that says which data a result is from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError, UsageError
from popi_prompt.files import parse_json, read_lines, writing
from popi_prompt.records import parse_user, user_record
from popi_prompt.schema import User

NO_USERS = "holds no users; expected one JSON object a line"


def load_users(path: str | Path, *, need_pairs: bool = False) -> tuple[User, ...]:
    """Read users from JSONL, one a line; blank lines are skipped.

    Raises `DataError` with file and line for anything that is not a valid user, for a `user_id`
    that occurs twice, for a file without users, and with `need_pairs` for a user without pairs.
    """
    path = Path(path)
    users: list[User] = []
    for _, found in read_users(path, need_pairs=need_pairs):
        if isinstance(found, DataError):
            raise found
        users.append(found)
    if not users:
        raise DataError(NO_USERS, path=path)
    return tuple(users)


def read_users(path: Path, *, need_pairs: bool = False) -> Iterator[tuple[int, User | DataError]]:
    """Each line's number and user, or what is wrong with it; lines after it are read all the same.

    Raises `DataError` where the file itself cannot be read.
    """
    lines: dict[str, int] = {}
    for line, raw in enumerate(read_lines(path), start=1):
        try:
            text = _text(raw, path, line)
            if not text:
                continue
            user = _user(parse_json(text, path, line), need_pairs)
            if user.user_id in lines:
                first = lines[user.user_id]
                raise DataError(
                    f"user_id {user.user_id!r} is on line {first} already; ids must be unique"
                )
        except DataError as error:
            yield line, DataError(error.problem, path=path, line=line)
            continue
        lines[user.user_id] = line
        yield line, user


def _user(raw: Any, need_pairs: bool) -> User:
    user = parse_user(raw)
    if need_pairs and not user.pairs:
        raise DataError(f"user {user.user_id!r} has no pairs, and they are needed here")
    return user


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, JSON value). Raises `DataError` for bytes that are not UTF-8 JSON."""
    for line, raw in enumerate(read_lines(path), start=1):
        text = _text(raw, path, line)
        if text:
            yield line, parse_json(text, path, line)


def _text(raw: bytes, path: Path, line: int) -> str:
    if b"\x00" in raw:
        raise DataError("holds a NUL byte; is this a text file?", path=path, line=line)
    try:
        return raw.decode("utf-8-sig" if line == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        problem = f"is not valid UTF-8 at byte {error.start + 1} of the line"
        raise DataError(problem, path=path, line=line) from None


def pick_user(users: Sequence[User], user_id: str | None, path: Path) -> User:
    """The user with this id, or the only one. Raises `UsageError` where it is not clear."""
    if user_id is None:
        if len(users) == 1:
            return users[0]
        raise UsageError(f"{path} holds {len(users)} users; say which with --user")
    for user in users:
        if user.user_id == user_id:
            return user
    raise UsageError(f"{path} holds no user {user_id!r}")


def write_users(path: str | Path, users: Iterable[User]) -> None:
    """Write users as JSONL, whole or not at all, for their owner alone: mode 0600."""
    with writing(Path(path), private=True) as file:
        file.writelines(user_lines(users))


def user_lines(users: Iterable[User]) -> Iterator[str]:
    """Each user as a line of JSON."""
    return _lines(user_record(user) for user in users)


def write_jsonl(path: Path, records: Iterable[Any]) -> None:
    """Write JSON values, one a line, whole or not at all; they hold text of users: mode 0600."""
    with writing(path, private=True) as file:
        file.writelines(_lines(records))


def _lines(records: Iterable[Any]) -> Iterator[str]:
    return (json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def fingerprint(users: Sequence[User]) -> str:
    """SHA-256 over the users' canonical JSON, whatever their order, marked public or not."""
    digest = hashlib.sha256()
    for user in sorted(users, key=attrgetter("user_id")):
        line = json.dumps(
            user_record(replace(user, public=False)), sort_keys=True, separators=(",", ":")
        )
        digest.update(line.encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"
