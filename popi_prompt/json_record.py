"""JSON records of ours, read from files with everything in them checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from popi_prompt.errors import DataError, ProgramError
from popi_prompt.fields import is_number, is_unicode
from popi_prompt.files import parse_json, read_bytes

T = TypeVar("T")
NUMBER = (int, float)


def read_record(path: Path, parse: Callable[[Any], T]) -> T:
    """What a JSON file holds. Raises `ProgramError` with the path and what is wrong."""
    try:
        return parse(parse_json(read_bytes(path).decode("utf-8"), path))
    except UnicodeDecodeError as error:
        raise ProgramError(f"{path}: is not valid UTF-8 at byte {error.start + 1}") from None
    except DataError as error:
        raise ProgramError(str(error)) from None
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from None


def versioned(raw: Any, key: str, newest: int, what: str) -> dict[str, Any]:
    """The JSON object of a schema that is understood. Raises `ProgramError` for another."""
    if not isinstance(raw, dict) or key not in raw:
        raise ProgramError(f"is {what}: there is no {key!r}")
    version = raw[key]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProgramError(f"has schema version {version!r}, expected {newest}")
    if version > newest:
        raise ProgramError(
            f"was written by a newer popi-prompt (schema {version}, this one reads {newest}); run: "
            "pip install -U popi-prompt"
        )
    return raw


def fields_of(raw: Any, where: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The object with exactly these keys and kinds of value.

    Numbers are finite, and texts valid Unicode.
    """
    if not isinstance(raw, dict):
        raise ProgramError(f"{where} is not an object")
    unknown = [key for key in raw if key not in kinds]
    missing = [key for key in kinds if key not in raw]
    if unknown or missing:
        found = f"unknown key {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise ProgramError(f"{where} has {found}; is it damaged or from another version?")
    for key, kind in kinds.items():
        if not isinstance(raw[key], kind) or (isinstance(raw[key], bool) and kind is not bool):
            raise ProgramError(f"{where} has a {key!r} of the wrong type: {raw[key]!r:.60}")
        if isinstance(raw[key], NUMBER) and not (kind is bool or is_number(raw[key])):
            raise ProgramError(f"{where} has a {key!r} that is no number: {raw[key]!r:.60}")
        if isinstance(raw[key], str) and not is_unicode(raw[key]):
            raise ProgramError(f"{where} has a {key!r} that is not valid Unicode: {raw[key]!r:.60}")
    return {key: raw[key] for key in kinds}
