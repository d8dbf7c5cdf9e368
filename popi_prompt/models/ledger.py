"""What a run has spent, on disk: a killed one that goes on is charged for what it sent before."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.lines import Lines
from popi_prompt.models.spent import Charged, Spent


class Ledger:
    """A line before a request is sent, and one when it told its usage.

    `before` is what was spent when the file was opened: a request without its second line was under
    way at a kill. It may have been answered and billed, so it counts as unconfirmed. Raises
    `DataError` for a file that is no ledger, `OSError` where it cannot be opened.
    """

    def __init__(self, path: Path):
        self._lines = Lines(path)
        self._next = 1 + sum("role" in record for record in self._lines.found)
        try:
            self.before = _charged(self._lines.found)
        except (KeyError, TypeError, ValueError) as error:
            self._lines.close()
            raise DataError(
                f"holds a line that is none of a ledger ({error!r})", path=path
            ) from None

    def reserve(self, role: str, worst: Spent, minutes: float) -> int:
        """A request is about to be sent; its number."""
        number = self._next
        self._next += 1
        self._lines.append({"n": number, "role": role, "worst": astuple(worst), "minutes": minutes})
        return number

    def settle(self, number: int, used: Spent, minutes: float) -> None:
        """What the request used."""
        self._lines.append({"n": number, "used": astuple(used), "minutes": minutes})

    def close(self, minutes: float) -> None:
        """The run pauses or ends after so many minutes."""
        try:
            self._lines.append({"minutes": minutes})
        finally:
            self._lines.close()


def _charged(records: list[dict[str, Any]]) -> Charged:
    spent: dict[str, Spent] = {}
    held = Spent()
    minutes = 0.0
    under_way: dict[int, tuple[str, Spent]] = {}
    for record in records:
        minutes = max(minutes, float(record["minutes"]))
        if "role" in record:
            under_way[record["n"]] = record["role"], Spent(*record["worst"])
        elif "used" in record:
            role, worst = under_way.pop(record["n"])
            used = Spent(*record["used"])
            spent[role] = spent.get(role, Spent()).plus(used)
            if used.unconfirmed:
                held = held.plus(replace(worst, calls=0))
    for role, worst in under_way.values():
        spent[role] = spent.get(role, Spent()).plus(Spent(calls=1, unconfirmed=1))
        held = held.plus(replace(worst, calls=0))
    return Charged(spent, held, minutes, len(under_way))
