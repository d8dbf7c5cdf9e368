"""Files of summaries: what `infer` writes and a person may edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popi_prompt.dataset import read_jsonl, write_jsonl
from popi_prompt.errors import DataError, UsageError
from popi_prompt.fields import text_value
from popi_prompt.files import set_aside


@dataclass(frozen=True, slots=True)
class Summary:
    """One user's summary; `tokens` by the generator's tokenizer, as inserted."""

    user_id: str
    text: str
    tokens: int

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"user_id": self.user_id, "summary": self.text, "tokens": self.tokens}


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of an earlier file in the place of a new one.

    `kept` lines of it are in the new one as they were, though their users failed. Where another
    text of it is not, perhaps one that was edited by hand, it is `before`, whole.
    """

    kept: int = 0
    before: Path | None = None


def save_summaries(path: Path, summaries: Sequence[Summary], failed: Sequence[str]) -> Saved:
    """Write a line for each; of users who `failed` what the file said before stays.

    Without any summary nothing is written.
    """
    if not summaries:
        return Saved()
    earlier, whole = _earlier(path)
    kept = [earlier[name] for name in failed if name in earlier]
    told = {each.user_id: each.text for each in summaries}
    told |= {record["user_id"]: record["summary"] for record in kept}
    before = None
    if not whole or any(told.get(name) != each["summary"] for name, each in earlier.items()):
        before = _free(path)
        set_aside(path, before)
    write_jsonl(path, [*(each.as_record() for each in summaries), *kept])
    return Saved(len(kept), before)


def load_summary(path: Path, user_id: str | None) -> tuple[str, str]:
    """One user of a JSONL file and their summary; keys other than user_id and summary are ignored.

    Raises `DataError` with file and line for lines that are no summaries, `UsageError` where it is
    not clear who is meant.
    """
    found = {name: str(record["summary"]) for name, record in _lines(path)}
    if user_id is None and len(found) == 1:
        return next(iter(found.items()))
    if user_id is None:
        raise UsageError(f"{path} holds {len(found)} summaries; say which with --user")
    if user_id not in found:
        raise UsageError(f"{path} holds no summary of user {user_id!r}")
    return user_id, found[user_id]


def _earlier(path: Path) -> tuple[dict[str, dict[str, Any]], bool]:
    """The lines of an earlier file by user, and whether they are all that it holds."""
    found: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return found, True
    try:
        for name, record in _lines(path):
            found[name] = record
    except DataError:
        return found, False
    return found, True


def _free(path: Path) -> Path:
    """Beside the file; what an earlier run set aside stays."""
    before, number = path.with_name(f"{path.stem}.before{path.suffix}"), 1
    while before.exists():
        number += 1
        before = path.with_name(f"{path.stem}.before-{number}{path.suffix}")
    return before


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    seen: set[str] = set()
    for line, raw in read_jsonl(path):
        record = raw if isinstance(raw, dict) else {}
        try:
            name = text_value(record.get("user_id"), "'user_id'")
            text_value(record.get("summary"), "'summary'")
        except DataError as error:
            problem = f"is not an object with texts 'user_id' and 'summary': {error}"
            raise DataError(problem, path=path, line=line) from None
        if name in seen:
            raise DataError(f"user_id {name!r} occurs twice", path=path, line=line)
        seen.add(name)
        yield name, record
