"""A lock that one process at a time holds, and that goes with it, however it ends."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from popi_prompt.errors import UsageError


def held(path: Path, what: str, otherwise: str) -> FileLock:
    """The lock file at `path`, acquired without waiting, its owner's alone.

    Raises `UsageError` where another process holds it or it cannot be made; its message says `what`
    is worked in, and what to do `otherwise`.
    """
    try:
        lock = FileLock(path, timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        raise UsageError(f"another process works in {what}; wait for it, or {otherwise}") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot work in {what}: {reason}; {otherwise}") from None
    return lock
