"""popi-prompt trace"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from popi_prompt.models.call import Call


@click.command(name="trace", short_help="Show the model calls of a run.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--role", help="Only calls of this role, for example generator.")
@click.option("--model", help="Only calls of this model.")
@click.option("--user", help="Only calls for this user, or that quote them.")
@click.option("--candidate", help="Only calls of this candidate.")
@click.option("--failed", is_flag=True, help="Only calls that failed.")
@click.option("--cached/--sent", default=None, help="Only answers from the cache, or only others.")
@click.option("--full", is_flag=True, help="Show messages and answers whole.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a call.")
def command(
    file: Path,
    role: str | None,
    model: str | None,
    user: str | None,
    candidate: str | None,
    failed: bool,
    cached: bool | None,
    full: bool,
    as_json: bool,
) -> None:
    """Show the calls in FILE, a trace, and what they add up to. Filters may be combined.

    \b
    Examples:
      popi-prompt trace run.trace.jsonl --failed
      popi-prompt trace run.trace.jsonl --role generator --user u001 --full
    """
    from popi_prompt.models.trace import read_trace

    wanted = {"role": role, "model": model, "candidate": candidate}
    wanted = {name: value for name, value in wanted.items() if value is not None}

    def matches(call: Call) -> bool:
        return (
            all(getattr(call, name) == value for name, value in wanted.items())
            and (user is None or user == call.user_id or user in call.quoted)
            and (call.error is not None or not failed)
            and (cached is None or call.cached is cached)
        )

    def told(problem: str) -> None:
        click.echo(f"Note: {problem}", err=True)

    _print(filter(matches, read_trace(file, notify=told)), full, as_json)


def _print(calls: Iterator[Call], full: bool, as_json: bool) -> None:
    if as_json:
        from popi_prompt.models.call import call_record

        for call in calls:
            # Escaped: no character of a user's text reaches a terminal raw.
            click.echo(json.dumps(call_record(call)))
        return
    from popi_prompt.cli.calls import print_calls

    print_calls(calls, full)
