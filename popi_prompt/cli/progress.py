"""A run's events, live on stderr: a bar in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from popi_prompt.cli.render import plain
from popi_prompt.events import (
    Advanced,
    BudgetUsed,
    Event,
    Improved,
    Noted,
    PhaseStarted,
    TrialFinished,
)
from popi_prompt.models.spent import shown
from popi_prompt.program import Program

_EVERY_SECONDS = 10.0


class Display:
    """An observer for `with`; `best` is the best program seen so far."""

    def __init__(self) -> None:
        self.best: Program | None = None
        # This stream, even while a search of DSPy's is kept from printing to stderr.
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._title = ""
        self._done = self._total = 0
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case PhaseStarted(title=title, total=total):
                self._begin(title, total)
            case Advanced():
                self._advance()
            case Noted(text=text):
                self._line(text)
            case TrialFinished():
                self._advance()
                self._line(_described(event))
            case BudgetUsed(cap=cap, used=used, limit=limit):
                self._line(f"{used / limit:.0%} of the cap is used: {_of(cap, used, limit)}")
            case Improved(program=program):
                self.best = program

    def _begin(self, title: str, total: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=total)
        self._title, self._done, self._total = title, 0, total
        if total and not self._console.is_terminal:
            self._line(f"{title} ({total})")

    def _advance(self) -> None:
        self._done += 1
        if self._task is not None:
            self._progress.advance(self._task)
        quiet = time.monotonic() - self._printed
        if not self._console.is_terminal and quiet > _EVERY_SECONDS:
            self._line(f"{self._title}: {self._done} of {self._total}")

    def _line(self, text: str) -> None:
        self._printed = time.monotonic()
        elapsed = int(self._printed - self._started)
        self._progress.print(f"{elapsed // 60}:{elapsed % 60:02d}  {plain(text)}", markup=False)


def _of(cap: str, used: float, limit: float) -> str:
    return f"{shown(cap, used)} of {shown(cap, limit)}"


def _described(trial: TrialFinished) -> str:
    reward = "stopped early" if trial.reward is None else f"reward {trial.reward:.3f}"
    return f"trial {trial.number}: {reward}, best {trial.best:.3f} ({trial.what})"
