"""What a run tells its folder while it runs; without a folder it is told to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from popi_prompt.events import Observer
from popi_prompt.models.door import Door
from popi_prompt.models.failures import Failures
from popi_prompt.optimizers import Kept
from popi_prompt.program import Program


class Run(Protocol):
    """For `with`. Nothing that it is told changes what the run decides."""

    def __enter__(self) -> Run: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def door(self, door: Door) -> Door:
        """The door that the run goes through: a call that failed fails again."""
        ...

    def observer(self, fold: int | None = None) -> Observer:
        """Who is told of the search on the whole split, or on a fold."""
        ...

    def keep(self, kept: Kept, program: Program) -> Kept:
        """A candidate was kept; back comes what was spent when it was kept first."""
        ...

    def finish(self, program: Program, report: Mapping[str, Any]) -> None:
        """What came out."""
        ...


class Unrecorded:
    """A run without a folder."""

    def __init__(self, observer: Observer):
        self._observer = observer

    def __enter__(self) -> Unrecorded:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    def door(self, door: Door) -> Door:
        """See `Run`."""
        return door.for_run(Failures())

    def observer(self, fold: int | None = None) -> Observer:
        """See `Run`."""
        return self._observer

    def keep(self, kept: Kept, program: Program) -> Kept:
        """See `Run`."""
        return kept

    def finish(self, program: Program, report: Mapping[str, Any]) -> None:
        """See `Run`."""
