"""A benchmark's cells on disk: one row of one family on one generator, without any text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError, UsageError
from popi_prompt.evaluation import Failure, Outcome, Result
from popi_prompt.fields import is_number
from popi_prompt.files import make_folder, parse_json, read_bytes, write_text
from popi_prompt.models.spent import Spent
from popi_prompt.rows import Row
from popi_prompt.scorers.scorer import PairScore

_NO_SLUG = re.compile(r"[^A-Za-z0-9.]+")
_LONGEST = 80
_USUAL: dict[str, Any] = {"routes": {}}  # of cells that do not say


@dataclass(frozen=True, slots=True)
class Cell:
    """A measured row; `conditions` are what decides its figures, `seconds` what it took."""

    family: str
    generator: str
    row: Row
    conditions: Mapping[str, Any]
    seconds: float


class Cells:
    """Cells in a folder, a file each, written as soon as they are measured: mode 0600."""

    def __init__(self, folder: Path):
        self._folder = folder / "cells"

    def read(
        self, family: str, generator: str, name: str, conditions: Mapping[str, Any]
    ) -> Cell | None:
        """The cell, if it was measured; what else decided it than `conditions` does not matter.

        Raises `UsageError` where it was measured under other conditions, `DataError` for a file
        that is no cell.
        """
        path = self._path(family, generator, name)
        if not path.exists():
            return None
        try:
            cell = _cell(_checked(parse_json(read_bytes(path).decode("utf-8"), path), name))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            problem = "is no cell of a benchmark; remove it, and it is measured again"
            raise DataError(problem, path=path) from None
        told = {"family": family, "generator": generator, **conditions}
        before = {"family": cell.family, "generator": cell.generator, **cell.conditions}
        for key, now in told.items():
            there = before.get(key, _USUAL.get(key))
            if there != now:
                raise UsageError(
                    f"{str(path)!r} was measured with {key} {there!r}, this run has {now!r}; "
                    "remove it to measure it again, or name another folder with -o"
                )
        return cell

    def write(self, cell: Cell) -> Cell:
        """Keep a cell; gives it as it will be read, without any text."""
        make_folder(self._folder)
        record = {
            "family": cell.family,
            "generator": cell.generator,
            "conditions": dict(cell.conditions),
            "seconds": round(cell.seconds, 1),
            **_row_record(cell.row),
        }
        path = self._path(cell.family, cell.generator, cell.row.name)
        write_text(path, json.dumps(record, indent=1) + "\n", private=True)
        return _cell(record)

    def _path(self, family: str, generator: str, name: str) -> Path:
        return self._folder / f"{slug(family)}--{slug(generator)}--{slug(name)}.json"


def slug(name: str) -> str:
    """The name as part of a file's name; what that cannot hold is told apart by a digest."""
    found = _NO_SLUG.sub("-", name).strip("-.")
    if name.isascii() and 0 < len(found) <= _LONGEST:
        return found
    return f"{found[-_LONGEST:]}-{sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "row": row.name,
        "results": [_result_record(each) for each in row.results],
        "also": {label: [_result_record(r) for r in each] for label, each in row.also.items()},
        "spent": {role: asdict(each) for role, each in row.spent.items()},
    }


def _result_record(result: Result) -> dict[str, Any]:
    if isinstance(result, Failure):
        return asdict(result)
    return {
        "user_id": result.user_id,
        "tokens": result.tokens,
        "reward": result.reward,
        "scores": [[each.margin, each.prefers, each.weight] for each in result.scores],
    }


def _checked(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The record as it is. Raises `ValueError` where it is of another row or cannot add up."""
    every = [each for results in (record["results"], *record["also"].values()) for each in results]
    figures = [record["seconds"]]
    for each in every:
        if "reason" not in each:
            figures += [each["tokens"], each["reward"], *chain.from_iterable(each["scores"])]
    for spent in record["spent"].values():
        figures += [value for key, value in spent.items() if (key, value) != ("usd", None)]
    texts = [each[key] for each in every for key in ("user_id", "reason") if key in each]
    if (
        record["row"] != name
        or not record["results"]
        or not all(each.get("scores", True) for each in every)
        or not all(weight > 0 for each in every for *_, weight in each.get("scores", ()))
        or not all(isinstance(text, str) for text in texts)
        or not all(map(is_number, figures))
    ):
        raise ValueError(name)
    return record


def _cell(record: Mapping[str, Any]) -> Cell:
    return Cell(
        record["family"],
        record["generator"],
        _row(record),
        dict(record["conditions"]),
        float(record["seconds"]),
    )


def _row(record: Mapping[str, Any]) -> Row:
    return Row(
        record["row"],
        _results(record["results"]),
        {label: _results(each) for label, each in record["also"].items()},
        {role: Spent(**each) for role, each in record["spent"].items()},
    )


def _results(records: Sequence[Mapping[str, Any]]) -> tuple[Result, ...]:
    return tuple(
        Failure(each["user_id"], each["reason"])
        if "reason" in each
        else Outcome(
            each["user_id"],
            None,
            each["tokens"],
            tuple(PairScore(*score) for score in each["scores"]),
            each["reward"],
        )
        for each in records
    )
