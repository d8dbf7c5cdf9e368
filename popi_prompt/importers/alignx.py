"""AlignX benchmark files (P-Soups part): one held-out pair, four signal pairs, a gold persona.

Format: github.com/JinaLeejnl/AlignX, `benchmark/P-Soups/*.json`, a JSON array of records. The
signal pairs are a JSON array or, in some releases, a string that holds one. The noisy `profile` is
not used: it describes demographics and needs that contradict the pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.files import parse_json
from popi_prompt.importers.file_names import file_names
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import is_array, read_array
from popi_prompt.records import parse_user
from popi_prompt.schema import User, prompts_in_signals
from popi_prompt.split import normal

SIGNALS = "Pair-wise Comparative Feedback"
LEAKED = "records whose held-out prompt is among their own signals"


def read_alignx(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Every record is a user. Records whose held-out prompt is among their signals are left out."""
    names = file_names(files)
    for source in files:
        if not is_array(source):
            raise DataError("is not an AlignX file: expected a JSON array of records", path=source)
        for row in read_array(source):
            user = _user(row, f"{names[source]}-{row.number:04d}")
            if _leaks(user):
                left_out[LEAKED] += 1
            else:
                yield user


def _user(row: Row, user_id: str) -> User:
    for key in ("prompt", "chosen", "rejected", SIGNALS):
        if key not in row.values:
            raise row.error(f"has no {key!r}; is this an AlignX P-Soups file?")
    raw = {
        "user_id": user_id,
        "signals": [{**item, "kind": "preference"} for item in _signals(row)],
        "pairs": [{key: row.values[key] for key in ("prompt", "chosen", "rejected")}],
        "gold": row.values.get("ground_truth_persona"),
        "group": row.values.get("ground_truth_persona"),
    }
    try:
        return parse_user(raw)
    except DataError as error:
        raise row.error(error.problem) from None


def _signals(row: Row) -> list[Mapping[str, Any]]:
    signals = row.values[SIGNALS]
    if isinstance(signals, str):
        try:
            signals = parse_json(signals)
        except DataError as error:
            raise row.error(f"{SIGNALS!r} {error.problem}") from None
    if not isinstance(signals, list) or not all(isinstance(item, Mapping) for item in signals):
        raise row.error(f"{SIGNALS!r} is not a list of objects")
    return signals


def _leaks(user: User) -> bool:
    own = {normal(prompt) for prompt in prompts_in_signals(user)}
    return any(normal(pair.prompt) in own for pair in user.pairs)
