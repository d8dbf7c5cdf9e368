"""popi-prompt infer"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import AccessOptions, access_options, print_bill

if TYPE_CHECKING:
    from popi_prompt.evaluation import Failure
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
    like: `respond --summaries FILE --user ID` uses it. An earlier FILE with other texts stays, as
    NAME.before.jsonl; of users who fail the new one has what it had. Exit code 1 if a user failed.

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
    from popi_prompt.cli.render import plain
    from popi_prompt.inferring import infer_all

    with Display() as display, access.door(access.names(loaded.models), display) as door:
        summaries, failures = infer_all(loaded.through(door), people, display)
    print_bill(door.spent())
    for failure in failures:
        click.echo(plain(f"Failed: {failure.reason}"), err=True)
    if output is None:
        _print(summaries)
    else:
        _write(summaries, failures, output, as_json)
    if failures:
        ctx.exit(1)


def _print(summaries: Sequence[Summary]) -> None:
    from popi_prompt.cli.render import print_json

    for each in summaries:
        print_json(each.as_record(), indent=None)


def _write(
    summaries: Sequence[Summary], failures: Sequence[Failure], output: Path, as_json: bool
) -> None:
    from popi_prompt.cli.render import print_json
    from popi_prompt.summaries import save_summaries

    saved = save_summaries(output, summaries, [each.user_id for each in failures])
    if as_json:
        counts = {"summaries": len(summaries), "failures": len(failures)}
        before = None if saved.before is None else str(saved.before)
        print_json({"output": str(output), **counts, "kept": saved.kept, "before": before})
        return
    if not summaries:
        click.echo(f"There is no summary, so {output} was not written")
        return
    click.echo(f"Wrote {len(summaries)} summaries to {output}")
    if saved.kept:
        click.echo(f"Of {saved.kept} users who failed it has what it had before")
    if saved.before is not None:
        click.echo(f"Its texts were others before: that file is {saved.before} now")
