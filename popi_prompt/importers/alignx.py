"""AlignX benchmark files (P-Soups part): one held-out pair, four signal pairs, a gold persona.

Format: github.com/JinaLeejnl/AlignX, `benchmark/P-Soups/*.json`, a JSON array of records. The
signal pairs are a JSON array or, in some releases, a string that holds one. The noisy `profile` is
not used: it describes demographics and needs that contradict the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.files import parse_json, read_bytes
from popi_prompt.importers.imported import Imported
from popi_prompt.records import parse_user
from popi_prompt.schema import User, prompts_in_signals
from popi_prompt.split import normal

SIGNALS = "Pair-wise Comparative Feedback"
LEAKED = "held-out prompt is among the record's own signals"


def import_alignx(path: Path) -> Imported:
    """Read an AlignX file. Records whose held-out prompt is among their signals are left out."""
    try:
        text = read_bytes(path).decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"is not valid UTF-8 at byte {error.start + 1}", path=path) from None
    records = parse_json(text, path)
    if not isinstance(records, list) or not records:
        raise DataError("is not an AlignX file: expected a JSON array of records", path=path)
    users: list[User] = []
    for i, record in enumerate(records):
        try:
            users.append(_user(record, f"{path.stem}-{i:04d}"))
        except DataError as error:
            raise DataError(f"record {i}: {error.problem}", path=path) from None
    kept = tuple(user for user in users if not _leaks(user))
    return Imported(kept, {LEAKED: len(users) - len(kept)})


def _user(record: Any, user_id: str) -> User:
    if not isinstance(record, Mapping):
        raise DataError("is not an object")
    for key in ("prompt", "chosen", "rejected", SIGNALS):
        if key not in record:
            raise DataError(f"has no {key!r}; is this an AlignX P-Soups file?")
    signals = record[SIGNALS]
    if isinstance(signals, str):
        try:
            signals = parse_json(signals)
        except DataError as error:
            raise DataError(f"{SIGNALS!r} {error.problem}") from None
    if not isinstance(signals, list) or not all(isinstance(item, Mapping) for item in signals):
        raise DataError(f"{SIGNALS!r} is not a list of objects")
    return parse_user(
        {
            "user_id": user_id,
            "signals": [{**item, "kind": "preference"} for item in signals],
            "pairs": [{key: record[key] for key in ("prompt", "chosen", "rejected")}],
            "gold": record.get("ground_truth_persona"),
            "group": record.get("ground_truth_persona"),
        }
    )


def _leaks(user: User) -> bool:
    own = {normal(prompt) for prompt in prompts_in_signals(user)}
    return any(normal(pair.prompt) in own for pair in user.pairs)
