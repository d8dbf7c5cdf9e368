"""Options of `optimize` that say where a run is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.gathered import gathered
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.runs import RunFolder
    from popi_prompt.schema import User
    from popi_prompt.settings import Settings

_OPTIONS = (
    click.option(
        "--run-dir",
        type=click.Path(path_type=Path),
        help="Folder of this run.  [default: one of its own in OUTPUT's .runs]",
    ),
    click.option("--storage", help="Database for trials, such as sqlite:///trials.db."),
)


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """The options as they were given."""

    run_dir: Path | None
    storage: str | None

    def check(self, outputs: Iterable[Path]) -> None:
        """Raise `UsageError` where the folder has the name of a file that is to be written."""
        for output in outputs:
            if self.run_dir is not None and self.run_dir.resolve() == output.resolve():
                raise UsageError(f"--run-dir and the output are both {str(output)!r}; name two")

    def folder(self, users: Sequence[User], settings: Settings, output: Path) -> RunFolder:
        """Where the run is kept."""
        from popi_prompt.runs import RunFolder, default_folder, resolve

        if self.run_dir is not None:
            return RunFolder(self.run_dir, self.storage)
        config = resolve(settings, users, settings.access.routes(settings.names()))
        path = default_folder(output, config, keeps_answers=settings.access.cache)
        return RunFolder(path, self.storage)


recording_options = gathered(_OPTIONS, RecordingOptions, "recording")
