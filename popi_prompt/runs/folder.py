"""The folder of a run: made for one run, which may be interrupted and go on in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from popi_prompt.errors import DataError, UsageError, WriteError
from popi_prompt.events import Noted, Observer
from popi_prompt.files import parse_json, read_bytes, write_text
from popi_prompt.lock import held
from popi_prompt.runs.config import VERSION_KEY, Config, differences, digest
from popi_prompt.runs.run import Run, Unrecorded

_CONFIG = "config.json"
_LOCK = ".lock"
_ELSE = "name another --run-dir"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run is kept. `storage` is the URL of a database for its trials, as SQLAlchemy has it.

    Without a `storage` they are in a journal in the folder.
    """

    path: str | Path
    storage: str | None = None


def open_run(
    folder: RunFolder | None, config: Config, observer: Observer, *, keeps_answers: bool
) -> Run:
    """Make the folder, or go on with the run in it; without a folder nothing is written.

    Raises `UsageError` for a folder that holds another run or something else, that another process
    works in, or that cannot be written; also where the same run is in it, but no answers of it
    were kept.
    """
    if folder is None:
        return Unrecorded(observer)
    from popi_prompt.runs.recorded import Recorded
    from popi_prompt.runs.trials import open_storage

    path = Path(folder.path)
    lock = _locked(path)
    try:
        if _belongs(path, config) and not keeps_answers:
            raise UsageError(
                f"the run folder {str(path)!r} holds this run, but without a cache it cannot go "
                f"on: no answers are kept; {_ELSE}"
            )
        storage = open_storage(path / "journal.log", folder.storage)
        run = Recorded(path, f"popi-prompt {digest(config)}", storage, observer, lock.release)
    except (OSError, ValueError, DataError, WriteError) as error:
        lock.release()
        raise UsageError(
            f"the run folder {str(path)!r} cannot be used ({error}); {_ELSE}"
        ) from None
    except BaseException:
        lock.release()
        raise
    observer(Noted(run.described()))
    return run


def default_folder(output: Path, config: Config, *, keeps_answers: bool) -> Path:
    """Beside the program, by what decides the run; without a cache one that is not there yet."""
    path = output.with_name(f"{output.stem}.runs") / digest(config)
    number = 1
    found = path
    while not keeps_answers and found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _locked(path: Path) -> FileLock:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot make the run folder {str(path)!r}: {reason}; {_ELSE}") from None
    return held(path / _LOCK, f"the run folder {str(path)!r}", _ELSE)


def _belongs(path: Path, config: Config) -> bool:
    """Whether this run is there already; its config is written into a new folder."""
    file = path / _CONFIG
    if not file.exists():
        others = sorted(each.name for each in path.iterdir() if each.name != _LOCK)
        if others:
            raise UsageError(
                f"the run folder {str(path)!r} is not empty and holds no run "
                f"({', '.join(others[:3])}); {_ELSE}"
            )
        write_text(file, json.dumps(config, indent=2) + "\n", private=True)
        return False
    differ = differences(_config(file), config)
    if differ:
        raise UsageError(f"the run folder {str(path)!r} holds another run: {differ}; {_ELSE}")
    return True


def _config(file: Path) -> Config:
    found: Any = parse_json(read_bytes(file).decode("utf-8", "replace"), file)
    if not (isinstance(found, dict) and VERSION_KEY in found):
        raise DataError("is not the config of a run", path=file)
    routes = found.get("models")
    if not (isinstance(routes, dict) and all(isinstance(each, dict) for each in routes.values())):
        raise DataError("names no models", path=file)
    return found
