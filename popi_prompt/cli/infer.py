"""popi-prompt infer"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import AccessOptions, access_options, print_bill

if TYPE_CHECKING:
    from popi_prompt.summaries import Summary


@click.command(name="infer", short_help="Write a summary for every user of a file.")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("users", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="JSONL file.  [default: stdout]"
)
@access_options
@click.option("--json", "as_json", is_flag=True, help="With -o: print counts as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    program: Path,
    users: Path,
    output: Path | None,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Infer a summary for each user of USERS, a JSONL file; pairs are not needed and not looked at.

    Each line of the output is {"user_id": ..., "summary": ..., "tokens": ...}. Edit the text as you
    like: `respond --summaries FILE --user ID` uses it. Exit code 1 if a user failed.

    \b
    Example:
      popi-prompt infer programs/tastes.json datasets/tastes.jsonl -o summaries.jsonl
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.program import load
    from popi_prompt.shipped import located

    options.check_outputs([output], located(program), users)
    access = options.access()
    loaded = load(program)
    people = load_users(users)

    from popi_prompt.cli.progress import Display
    from popi_prompt.inferring import infer_all

    with Display() as display, access.door(access.names(loaded.models), display) as door:
        summaries, failures = infer_all(loaded.through(door), people, display)
    print_bill(door.spent())
    _put(summaries, output)
    if output is not None:
        _say(len(summaries), len(failures), output, as_json)
    for failure in failures:
        click.echo(f"Failed: {failure.reason}", err=True)
    if failures:
        ctx.exit(1)


def _put(summaries: Sequence[Summary], output: Path | None) -> None:
    from popi_prompt.dataset import write_jsonl

    records = [
        {"user_id": each.user_id, "summary": each.text, "tokens": each.tokens} for each in summaries
    ]
    if output is not None:
        write_jsonl(output, records)
        return
    for record in records:
        click.echo(json.dumps(record, ensure_ascii=False))


def _say(summaries: int, failures: int, output: Path, as_json: bool) -> None:
    if as_json:
        counts = {"output": str(output), "summaries": summaries, "failures": failures}
        click.echo(json.dumps(counts))
    else:
        click.echo(f"Wrote {summaries} summaries to {output}")
