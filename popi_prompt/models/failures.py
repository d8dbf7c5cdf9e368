"""Calls that failed: within a run they fail again, so that nothing depends on who asks when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from popi_prompt import errors
from popi_prompt.errors import ModelError
from popi_prompt.lines import Lines


class Failures:
    """Errors by the key of their request; with a path also on disk, for a run that goes on.

    Raises `DataError` for a file that holds something else, `OSError` where it cannot be opened.
    """

    def __init__(self, path: Path | None = None):
        self._lines = None if path is None else Lines(path)
        found = () if self._lines is None else self._lines.found
        self._known = {str(record.get("key")): record for record in found}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> ModelError | None:
        """The error of this request, as the model raised it."""
        record = self._known.get(key)
        return None if record is None else _error(record)

    def put(self, key: str, error: ModelError) -> None:
        """The request failed."""
        record = {"key": key, "error": type(error).__name__, "problem": error.problem}
        if self._lines is not None:
            self._lines.append(record)
        self._known[key] = record

    def close(self, *, forget: bool = False) -> None:
        """Close the file, or remove it where the run is over and nothing was decided."""
        if self._lines is not None:
            self._lines.close()
            if forget:
                self._lines.path.unlink(missing_ok=True)


def _error(record: dict[str, Any]) -> ModelError:
    kind = getattr(errors, str(record.get("error")), ModelError)
    if not (isinstance(kind, type) and issubclass(kind, ModelError)):
        kind = ModelError
    return kind(str(record.get("problem")))
