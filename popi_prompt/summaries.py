"""Files of summaries: what `infer` writes and a person may edit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from popi_prompt.dataset import read_jsonl
from popi_prompt.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class Summary:
    """One user's summary; `tokens` by the generator's tokenizer, as inserted."""

    user_id: str
    text: str
    tokens: int


def load_summary(path: Path, user_id: str | None) -> tuple[str, str]:
    """One user of a JSONL file and their summary; keys other than user_id and summary are ignored.

    Raises `DataError` with file and line for lines that are no summaries, `UsageError` where it is
    not clear who is meant.
    """
    found: dict[str, str] = {}
    for line, raw in read_jsonl(path):
        text = raw.get("summary") if isinstance(raw, dict) else None
        name = raw.get("user_id") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not isinstance(text, str) or not text.strip():
            problem = "is not a summary: expected an object with texts 'user_id' and 'summary'"
            raise DataError(problem, path=path, line=line)
        if name in found:
            raise DataError(f"user_id {name!r} occurs twice", path=path, line=line)
        found[name] = text
    if user_id is None and len(found) == 1:
        return next(iter(found.items()))
    if user_id is None:
        raise UsageError(f"{path} holds {len(found)} summaries; say which with --user")
    if user_id not in found:
        raise UsageError(f"{path} holds no summary of user {user_id!r}")
    return user_id, found[user_id]
