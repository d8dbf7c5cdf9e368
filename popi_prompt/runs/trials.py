"""The trials of a run in an Optuna storage, where `optuna-dashboard` shows them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from popi_prompt.errors import UsageError
from popi_prompt.events import TrialFinished
from popi_prompt.lines import cut_to_lines
from popi_prompt.models.redaction import redact

_NUMBER = "number"


def open_storage(journal: Path, url: str | None) -> BaseStorage:
    """The journal in a run folder that this process alone writes, or a database.

    Raises `UsageError` for a URL that leads to none.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        journal.touch(mode=0o600)
        cut_to_lines(journal)
        return JournalStorage(
            JournalFileBackend(str(journal), lock_obj=_FolderIsLocked(str(journal)))
        )
    try:
        return RDBStorage(url)
    except Exception as error:  # drivers raise their own
        scheme = url.partition("://")[0]
        reason = " ".join(redact(str(error).replace(url, f"{scheme}://...")).split())
        raise UsageError(
            f"--storage {scheme!r}: no database of trials could be opened there "
            f"({type(error).__name__}: {reason:.200}); a URL is like sqlite:///trials.db"
        ) from None


class _FolderIsLocked(JournalFileOpenLock):
    """Nothing to lock: a killed process would leave a lock file that the next one waits for."""

    def acquire(self) -> bool:
        """At once."""
        return True

    def release(self) -> None:
        """Nothing was taken."""


@dataclass(frozen=True, slots=True)
class _Known:
    state: TrialState
    value: float | None


class TrialLog:
    """One study of a storage, made if it is not there. Thread-safe.

    A trial that is there with the same reward is not added again. A storage that fails later on
    costs no run: `notify` is told once.
    """

    def __init__(self, storage: BaseStorage, name: str, notify: Callable[[str], None]):
        self._notify = notify
        self._lock = threading.Lock()
        self._failed = False
        if name in optuna.get_all_study_names(storage):
            self._study = optuna.load_study(study_name=name, storage=storage)
        else:
            self._study = optuna.create_study(
                study_name=name, storage=storage, direction="maximize"
            )
        self._known = {
            trial.user_attrs.get(_NUMBER): _Known(trial.state, trial.value)
            for trial in self._study.get_trials(deepcopy=False)
        }

    def __len__(self) -> int:
        return len(self._known)

    def add(self, event: TrialFinished) -> None:
        """Write a trial, unless it is there."""
        trial = _trial(event)
        with self._lock:
            found = self._known.get(event.number)
            if self._failed or found == _Known(trial.state, trial.value):
                return
            if found is not None:
                self._notify(
                    f"trial {event.number} came out differently than before; both are kept"
                )
            try:
                self._study.add_trial(trial)
            except (OSError, ValueError, optuna.exceptions.OptunaError) as error:
                self._failed = True
                reason = " ".join(str(error).split())
                self._notify(f"trials cannot be recorded any more ({reason:.200})")
                return
            self._known[event.number] = _Known(trial.state, trial.value)


def _trial(event: TrialFinished) -> FrozenTrial:
    """Texts are attributes: a parameter's choices would have to be known beforehand."""
    scored = event.reward is not None and math.isfinite(event.reward)
    numbers = {
        name: value
        for name, value in event.params.items()
        if not isinstance(value, str) and math.isfinite(value)
    }
    attributes = {name: each for name, each in event.params.items() if name not in numbers}
    tokens = {} if event.tokens is None else {"tokens": event.tokens}
    return create_trial(
        state=TrialState.COMPLETE if scored else TrialState.PRUNED,
        value=event.reward if scored else None,
        params=numbers,
        distributions={name: _distribution(value) for name, value in numbers.items()},
        user_attrs={**attributes, **tokens, _NUMBER: event.number},
    )


def _distribution(value: int | float) -> BaseDistribution:
    """From 0 to the value: what else could have been chosen is not known here."""
    if isinstance(value, int):
        return IntDistribution(min(0, value), max(0, value))
    return FloatDistribution(min(0.0, value), max(0.0, value))
