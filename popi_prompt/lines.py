"""JSON lines that are appended one by one, and outlive a process that is killed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.files import append, parse_json


class Lines:
    """A file of mode 0600, one JSON object a line. Thread-safe; one process at a time.

    `found` are the records that were there when it was opened; a line that a killed process did
    not finish is cut off. Raises `DataError` for a line that is damaged, `OSError` where the file
    cannot be opened, `WriteError` where it cannot be appended to.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.found = self._read()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, record: dict[str, Any]) -> None:
        """On return the record is no longer the process's: the system has it."""
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._lock:
            append(self._file, line.encode("utf-8", "surrogatepass"), self.path)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _read(self) -> list[dict[str, Any]]:
        whole = cut_to_lines(self.path)
        found = []
        for number, line in enumerate(whole.splitlines(), start=1):
            record = parse_json(line.decode("utf-8", "surrogatepass"), self.path, number)
            if not isinstance(record, dict):
                raise DataError("is not a JSON object", path=self.path, line=number)
            found.append(record)
        return found


def cut_to_lines(path: Path) -> bytes:
    """The file's whole lines; what stands behind the last one is removed from it."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        os.truncate(path, end)
    return data[:end]
