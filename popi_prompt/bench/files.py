"""What a benchmark leaves beside its cells: bench.json, bench.md and bench.svg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from popi_prompt.bench.markdown import markdown
from popi_prompt.bench.plot import plot
from popi_prompt.bench.run import Bench
from popi_prompt.files import write_text

RESULTS = ("bench.json", "bench.md", "bench.svg")


def write_results(folder: Path, done: Bench, command: str) -> dict[str, Any]:
    """Write the three files and give the record.

    They hold no ids of users, and no text but error messages, which may quote an answer.
    """
    record = {"command": command, **done.as_record()}
    for block in record["blocks"]:
        for row in block["rows"]:
            row["failures"] = [{"reason": _nameless(each)} for each in row["failures"]]
    texts = (
        json.dumps(record, indent=1, ensure_ascii=False) + "\n",
        markdown(record, command),
        plot(record),
    )
    for name, text in zip(RESULTS, texts, strict=True):
        write_text(folder / name, text)
    return record


def _nameless(failure: dict[str, Any]) -> str:
    return str(failure["reason"]).replace(f"user {failure['user_id']!r}", "a user")
