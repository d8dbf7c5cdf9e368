"""One family on one generator: a cell a row, from disk or measured now."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from popi_prompt.bench.cells import Cell, Cells, slug
from popi_prompt.bench.families import Family
from popi_prompt.bench.settings import BenchSettings
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.comparison import Scoring, measure
from popi_prompt.contexts import Context, context
from popi_prompt.dataset import fingerprint
from popi_prompt.drawing import at_most
from popi_prompt.errors import BudgetExceeded
from popi_prompt.events import Observer
from popi_prompt.files import make_folder
from popi_prompt.inference import summarizer
from popi_prompt.models.door import Door
from popi_prompt.program import Program, load
from popi_prompt.retrieval import Embeddings, Retrieval, Words
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import COMPILED, NO_CONTEXT, RETRIEVED, UNTUNED
from popi_prompt.schema import User
from popi_prompt.scorers import make_scorer
from popi_prompt.seen import held_out
from popi_prompt.settings import DEFAULT_MODEL, Settings
from popi_prompt.split import split_users
from popi_prompt.workflow import optimize


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
        self._programs = folder / "programs"
        self._cells = Cells(folder)
        self._observer = observer
        self._until = until

    def cells(self, family: Family, generator: str) -> Iterator[Cell]:
        """The cells of all rows that these users have, each as soon as it is on disk.

        Those that are there already come first. Raises `TimeOver` and `BudgetExceeded` before one
        that cannot be begun or ended.
        """
        program = family.program or self._compiled(family, generator)
        names = self._names(program, generator)
        with self._settings.access.door(names, self._observer) as door:
            subject = _Subject(
                family.name,
                generator,
                UNTUNED_CANDIDATE if program is None else program.candidate,
                self._users(family, program),
                self._scoring(door),
            )
            shared = _conditions(subject.users, subject.scoring)
            missing = {}
            for name in self._settings.rows:
                if name == COMPILED and program is None:
                    continue
                conditions = {**shared, **_told_by(name, subject.candidate)}
                conditions |= self._retrieval() if name == RETRIEVED else {}
                cell = self._cells.read(family.name, generator, name, conditions)
                if cell is None:
                    missing[name] = conditions
                else:
                    yield cell
            for name, conditions in missing.items():
                cell = self._measured(name, subject, conditions)
                if cell is not None:
                    yield cell

    def _measured(self, name: str, subject: _Subject, conditions: Mapping[str, Any]) -> Cell | None:
        told = self._told(name, subject)
        if told is None:
            return None
        if time.monotonic() > self._until:
            raise TimeOver
        started = time.monotonic()
        row = measure(name, told, subject.users, subject.scoring, self._observer)
        seconds = time.monotonic() - started
        cell = Cell(subject.family, subject.generator, row, conditions, seconds)
        return self._cells.write(cell)

    def _told(self, name: str, subject: _Subject) -> Context | None:
        candidate, users, door = subject.candidate, subject.users, subject.scoring.door
        if name == COMPILED:  # also where the untuned program is what was kept
            return Context(candidate, summarizer(candidate, door))
        embeds = self._settings.embedding_model is not None
        retrieval = Retrieval(Embeddings(door) if embeds else Words(users), self._settings.retrieve)
        return context(name, candidate, users, door, retrieval=retrieval)

    def _retrieval(self) -> dict[str, Any]:
        embeds = self._settings.embedding_model
        return {"retrieve": self._settings.retrieve, "similarity": embeds or "words"}

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
            else held_out(program, family.users)
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

    def _compiled(self, family: Family, generator: str) -> Program | None:
        """The program that an earlier run compiled here, or a new one; None where none is wanted.

        Raises `BudgetExceeded` where a cap ended its search: half a search is no benchmark, and
        `TimeOver` before one that cannot be begun.
        """
        settings = self._settings
        path = self._programs / f"{slug(family.name)}--{slug(generator)}.json"
        if path.exists():
            return load(path)
        if not settings.compiles or COMPILED not in settings.rows:
            return None
        if time.monotonic() > self._until:
            raise TimeOver
        make_folder(self._programs)
        done = optimize(
            family.users,
            Settings(
                generator=generator,
                inference_model=settings.access.name(
                    "inference", settings.inference_model, DEFAULT_MODEL
                ),
                trials=settings.trials,
                max_users=settings.max_users,
                held_out=settings.held_out,
                seed=settings.seed,
                access=settings.access,
            ),
            observer=self._observer,
        )
        if done.stopped is not None:
            raise BudgetExceeded(done.stopped)
        done.program.save(path)
        return done.program


def _conditions(users: Sequence[User], scoring: Scoring) -> dict[str, Any]:
    """What decides the figures of every row, as plain JSON values."""
    names = scoring.door.names
    scorers = (scoring.scorer, *scoring.also)
    judged = any(scorer.name == "judge" for scorer in scorers)
    return {
        "users": fingerprint(users),
        "inference": names["inference"],
        "judge": names["judge"] if judged else None,
        "scorers": [[each.name, each.prefers_label, each.unit] for each in scorers],
    }


def _told_by(name: str, candidate: Candidate) -> dict[str, Any]:
    """What of the program decides a row: nothing, how it tells a text, or all of it."""
    if name in (NO_CONTEXT, UNTUNED):
        return {}
    conditioning = [candidate.conditioning.place, candidate.conditioning.wording]
    if name != COMPILED:
        return {"conditioning": conditioning}
    text = json.dumps(
        [
            candidate.instruction,
            candidate.view,
            [[demo.signals, demo.summary] for demo in candidate.demonstrations],
            conditioning,
            *([astuple(candidate.menu)] if candidate.menu else []),
        ]
    )
    return {"program": hashlib.sha256(text.encode()).hexdigest()[:16]}
