"""Nobody's words go into a program before whoever runs it has said so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.schema import User
    from popi_prompt.settings import Settings

_NAMED = 8


def agreed(users: Sequence[User], settings: Settings, yes: bool) -> None:
    """Say whose signals the program may hold, and ask; data marked public needs no question.

    Raises `UsageError` without a terminal to ask on, `click.Abort` for a no.
    """
    from popi_prompt.workflow import embeddable

    ids = embeddable(users, settings)
    if not ids or all(user.public for user in users):
        return
    named = ", ".join(repr(each) for each in ids[:_NAMED])
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    who = f"some of these {len(ids):,} training users, word for word: {named}{more}"
    if yes:
        click.echo(f"The program may hold signals of {who}", err=True)
    elif not sys.stdin.isatty():
        raise UsageError(
            f"--demos real writes signals of some of {len(ids):,} training users into the program, "
            "and there is no terminal to ask on; add --yes, or use --demos synthetic"
        )
    else:
        click.confirm(f"The program may hold signals of {who}. Go on?", abort=True, err=True)
