"""Runs on disk: what was asked for first, then trials and what was kept, the program at the end."""

from popi_prompt.runs.config import resolve
from popi_prompt.runs.folder import RunFolder, default_folder, open_run
from popi_prompt.runs.run import Run, Unrecorded

__all__ = ["Run", "RunFolder", "Unrecorded", "default_folder", "open_run", "resolve"]
