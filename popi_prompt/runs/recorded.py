"""A run that is written into its folder as it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from popi_prompt.events import Event, Noted, Observer, TrialFinished
from popi_prompt.files import write_text
from popi_prompt.lines import Lines
from popi_prompt.models.door import Door
from popi_prompt.models.failures import Failures
from popi_prompt.models.ledger import Ledger
from popi_prompt.models.spent import Spent
from popi_prompt.optimizers import Kept
from popi_prompt.program import Program
from popi_prompt.runs.trials import TrialLog

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class Recorded:
    """A run in a folder that this process has locked; `lock` is released at the end.

    `found` counts trials that were there. A run that ended in an error has decided nothing, so the
    calls that failed in it are asked again by the next one.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        storage: BaseStorage,
        observer: Observer,
        lock: Callable[[], None],
    ):
        self._path, self._name, self._storage, self._told = path, name, storage, observer
        self._lock = lock
        self._minutes: Callable[[], float] | None = None
        self._order = 0
        with ExitStack() as opened:
            self._curve = Lines(path / "curve.jsonl")
            opened.callback(self._curve.close)
            self._failures = Failures(path / "failures.jsonl")
            opened.callback(self._failures.close)
            self._ledger = Ledger(path / "spent.jsonl")
            self._trials = TrialLog(storage, name, self._note)
            self.found = len(self._trials)
            opened.pop_all()

    def __enter__(self) -> Recorded:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files: all of them, also where the disk is full."""
        with ExitStack() as closing:
            closing.callback(self._lock)
            closing.callback(self._curve.close)
            closing.callback(self._failures.close, forget=isinstance(error, Exception))
            closing.callback(self._ledger.close, 0.0 if self._minutes is None else self._minutes())

    def described(self) -> str:
        """Where it is, and what was there already."""
        sent = sum(each.calls for each in self._ledger.before.spent.values())
        if not (self.found or sent):
            return f"run folder {self._path}"
        failed = len(self._failures)
        again = f", {failed} of which failed and are not repeated" if failed else ""
        return (
            f"run folder {self._path}, goes on: {self.found} trials were there already, "
            f"{sent} calls had been sent{again}"
        )

    def door(self, door: Door) -> Door:
        """See `Run`."""
        door.meter.go_on(self._ledger.before, self._ledger)
        self._minutes = door.meter.minutes
        return door.for_run(self._failures)

    def observer(self, fold: int | None = None) -> Observer:
        """See `Run`."""
        trials = self._trials
        if fold is not None:
            trials = TrialLog(self._storage, f"{self._name} fold {fold}", self._note)

        def tell(event: Event) -> None:
            if isinstance(event, TrialFinished):
                trials.add(event)
            self._told(event)

        return tell

    def keep(self, kept: Kept, program: Program) -> Kept:
        """See `Run`."""
        told = {"reward": kept.reward, "program": json.loads(json.dumps(program.as_record()))}
        before = self._curve.found[self._order :][:1]
        self._order += 1
        if before and {name: before[0].get(name) for name in told} == told:
            return replace(kept, spent=Spent(**before[0]["spent"]))
        self._curve.append({**told, "spent": asdict(kept.spent)})
        return kept

    def finish(self, program: Program, report: Mapping[str, Any]) -> None:
        """See `Run`."""
        self._write("program.json", program.as_record())
        self._write("report.json", report)

    def _write(self, name: str, record: Mapping[str, Any]) -> None:
        """A file of before that says something else is kept under another name."""
        path = self._path / name
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") != text:
            older = _free(path)
            path.rename(older)
            self._note(f"{path} came out differently than before; the older one is {older}")
        write_text(path, text, private=True)

    def _note(self, text: str) -> None:
        self._told(Noted(text))


def _free(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return found
