"""One family on one generator: a cell a row, from disk or measured now."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from popi_prompt.bench.cells import Cell, Cells
from popi_prompt.bench.compiling import compiled, kept, program_path
from popi_prompt.bench.conditions import conditions
from popi_prompt.bench.families import Family
from popi_prompt.bench.settings import BenchSettings
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.comparison import Scoring, measure
from popi_prompt.contexts import Context, context
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import at_most
from popi_prompt.errors import BudgetExceeded
from popi_prompt.events import Noted, Observer
from popi_prompt.inference import summarizer
from popi_prompt.models.door import Door
from popi_prompt.program import Program
from popi_prompt.retrieval import Embeddings, Retrieval, Words
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import COMPILED, RETRIEVED
from popi_prompt.runs.config import unusual
from popi_prompt.schema import User
from popi_prompt.scorers import make_scorer
from popi_prompt.seen import held_out
from popi_prompt.settings import DEFAULT_MODEL
from popi_prompt.split import split_users


class TimeOver(Exception):
    """No further cell may be begun."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the cells of a block have in common."""

    family: str
    generator: str
    candidate: Candidate
    users: Sequence[User]
    scoring: Scoring


class Measuring:
    """Makes cells in a folder by the settings; begins none after `until`, a monotonic time."""

    def __init__(
        self, settings: BenchSettings, folder: Path, observer: Observer, until: float = math.inf
    ):
        self._settings = settings
        self._folder = folder
        self._cells = Cells(folder)
        self._observer = observer
        self._until = until

    def stop(self) -> None:
        """Begin nothing more: what is on disk is still read."""
        self._until = -math.inf

    def cells(self, family: Family, generator: str) -> Iterator[Cell]:
        """The cells of all rows that these users have, each as soon as it is on disk.

        Those that are there already come first. Raises `TimeOver` and `BudgetExceeded` before one
        that cannot be begun or ended.
        """
        ended: TimeOver | BudgetExceeded | None = None
        try:
            program = self._program(family, generator)
        except (TimeOver, BudgetExceeded) as error:
            program, ended = None, error
        with self._settings.access.door(self._names(program, generator), self._observer) as door:
            subject = _Subject(
                family.name,
                generator,
                UNTUNED_CANDIDATE if program is None else program.candidate,
                self._users(family, program),
                self._scoring(door),
            )
            users = fingerprint(subject.users)
            missing = {}
            for name in self._settings.rows:
                if name == COMPILED and program is None:
                    continue
                under = self._conditions(name, subject, users)
                cell = self._cells.read(family.name, generator, name, under)
                if cell is None:
                    missing[name] = under
                else:
                    yield cell
            if ended is not None:
                raise ended
            for name, under in missing.items():
                cell = self._measured(name, subject, under)
                if cell is not None:
                    yield cell

    def _conditions(self, name: str, subject: _Subject, users: str) -> dict[str, Any]:
        found = conditions(name, subject.candidate, users, subject.scoring)
        if name == RETRIEVED:
            embeds, routes = self._settings.embedding_model, subject.scoring.door.routes
            found |= {"retrieve": self._settings.retrieve, "similarity": embeds or "words"}
            if embeds and (route := unusual(routes["embedding"])):
                found["routes"] = {**found["routes"], "embedding": route}
        return found

    def _measured(self, name: str, subject: _Subject, under: Mapping[str, Any]) -> Cell | None:
        told = self._told(name, subject)
        if told is None:
            return None
        if time.monotonic() > self._until:
            raise TimeOver
        started = time.monotonic()
        row = measure(name, told, subject.users, subject.scoring, self._observer)
        seconds = time.monotonic() - started
        cell = Cell(subject.family, subject.generator, row, under, seconds)
        # Where everybody failed, nothing was measured: the next run tries again.
        return self._cells.write(cell) if row.scored else cell

    def _told(self, name: str, subject: _Subject) -> Context | None:
        candidate, users, door = subject.candidate, subject.users, subject.scoring.door
        if name == COMPILED:  # also where the untuned program is what was kept
            return Context(candidate, summarizer(candidate, door))
        embeds = self._settings.embedding_model is not None
        retrieval = Retrieval(Embeddings(door) if embeds else Words(users), self._settings.retrieve)
        return context(name, candidate, users, door, retrieval=retrieval)

    def _names(self, program: Program | None, generator: str) -> dict[str, str]:
        access, settings = self._settings.access, self._settings
        own = DEFAULT_MODEL if program is None else program.models["inference"]
        return {
            "generator": generator,
            "inference": access.name("inference", settings.inference_model, own),
            **access.scoring_names(
                generator, judge=settings.judge, embedding=settings.embedding_model
            ),
        }

    def _users(self, family: Family, program: Program | None) -> tuple[User, ...]:
        """Those whom the program never saw, and as many pairs of theirs as are wanted."""
        settings = self._settings
        users = (
            split_users(family.users, seed=settings.seed).test
            if program is None
            else held_out(program, family.users, self._observer)
        )
        drawn = at_most(users, settings.held_out, settings.seed)
        return tuple(replace(user, pairs=user.pairs[: settings.pairs]) for user in drawn)

    def _scoring(self, door: Door) -> Scoring:
        first = make_scorer(None, door)
        also = ["choice"] if self._settings.choice and first.name != "choice" else []
        also += ["judge"] if self._judged() else []
        return Scoring(door, first, PopiReward(), tuple(make_scorer(each, door) for each in also))

    def _judged(self) -> bool:
        return self._settings.judge is not None or "judge" in self._settings.access.roles

    def _program(self, family: Family, generator: str) -> Program | None:
        """The family's, or the one that was compiled here, or a new one; None for none.

        Raises `TimeOver` before a search that cannot be begun, `BudgetExceeded` at a cap in one.
        """
        if family.program is not None:
            return family.program
        path = program_path(self._folder, family, generator)
        program = kept(path, family, generator, self._settings)
        if program is not None or COMPILED not in self._settings.rows:
            return program
        if not self._settings.compiles:
            text = f"family {family.name!r} has no program for {generator!r}, and --quick compiles"
            instead = f"drop --quick, or name one with --program {family.name}=PATH"
            self._observer(Noted(f"{text} none: no row {COMPILED!r}; {instead}"))
            return None
        if time.monotonic() > self._until:
            raise TimeOver
        return compiled(path, family, generator, self._settings, self._observer)
