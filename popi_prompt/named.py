"""What users bring along in Python: a function or class, found by `module:name`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from popi_prompt.errors import UsageError


def load_named(path: str, what: str, kind: str, example: str) -> Callable[..., Any]:
    """The function or class at `module:name`; the other arguments are for the error.

    The working directory is searched after what is installed. Raises `UsageError` for a module that
    cannot be imported, a name it has not, or one that cannot be called.
    """
    module_name, _, attribute = path.partition(":")
    if not all(map(str.isidentifier, (*module_name.split("."), *attribute.split(".")))):
        raise UsageError(f"{what} is not module:{kind}, such as {example}")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(
            f"{what}: module {module_name!r} cannot be imported ({reason:.200}); it is "
            f"looked for among installed packages and in {folder!r}"
        ) from error
    found: object = module
    for name in attribute.split("."):
        found = getattr(found, name, None)
    if callable(found):
        return found
    where = getattr(module, "__file__", None) or "built in"
    problem = f"has no {attribute!r}"
    if found is not None:
        problem = f"has a {attribute!r}, which is no {kind.casefold()}"
    raise UsageError(f"{what}: module {module_name!r} ({where}) {problem}")
