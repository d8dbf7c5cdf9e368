"""Options that several commands share, given to them as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def gathered(options: Sequence[Decorator], kind: type[Any], parameter: str) -> Decorator:
    """Adds click options to a command, which gets them as `parameter`: a dataclass of `kind`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def gathering(*args: Any, **values: Any) -> None:
            own = {field.name: values.pop(field.name) for field in fields(kind)}
            command(*args, **values, **{parameter: kind(**own)})

        decorated: Callable[..., None] = gathering
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
