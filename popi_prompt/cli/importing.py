"""popi-prompt import"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.schema import User


def _list(ctx: click.Context, option: click.Parameter, given: bool) -> bool:
    """Of --list and of --json, since either may come first; the second one lists the formats."""
    asked: dict[str | None, bool] = ctx.meta.setdefault(__name__, {})
    asked[option.name] = given
    if len(asked) == 2 and asked["list_"] and not ctx.resilient_parsing:
        _print_formats(asked["as_json"])
        ctx.exit()
    return given


def _print_formats(as_json: bool) -> None:
    from popi_prompt.importers import FORMATS

    if as_json:
        from popi_prompt.cli.render import print_json

        shown = ("name", "describes", "files", "columns")
        print_json([{key: getattr(each, key) for key in shown} for each in FORMATS.values()])
        return
    width = max(map(len, FORMATS))
    for each in FORMATS.values():
        click.echo(f"{each.name:<{width}}  {each.describes}")
        click.echo(f"{'':<{width}}  {each.files}")
        if each.columns:
            click.echo(f"{'':<{width}}  columns: {', '.join(each.columns)}")


@click.command(name="import", short_help="Turn a public data set into users.")
@click.argument("format_", metavar="FORMAT")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="JSONL file.")
@click.option("--signals", type=click.IntRange(1), help="Keep at most the last so many a user.")
@click.option("--pairs", type=click.IntRange(0), help="Hold out at most so many a user.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="What a column is called in the file: user=annotator. Of preferences and chat.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all draws.")
@click.option(
    "--list",
    "list_",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List formats.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_list,
    help="Print the counts, or with --list the formats, as JSON.",
)
def command(
    format_: str,
    files: tuple[str, ...],
    output: Path,
    signals: int | None,
    pairs: int | None,
    columns: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Read FILE... in a public FORMAT and write users as JSONL; what is left out is counted.

    No pair's prompt is among the signals of its user. `--list` says which formats there are and
    which files they need; hf://OWNER/NAME[/CONFIG][:SPLIT] reads from the Hugging Face Hub.

    \b
    Examples:
      popi-prompt import --list
      popi-prompt import alignx student_phd.json -o users.jsonl
      popi-prompt import preferences votes.csv --column user=annotator -o users.jsonl
    """
    from popi_prompt.dataset import write_users
    from popi_prompt.files import check_writable
    from popi_prompt.importers import FORMATS, Wanted, import_users

    wanted = Wanted(signals, pairs, _columns(columns), seed)
    imported = import_users(format_, files, wanted)
    check_writable(output, reading=FORMATS[format_].paths(files))
    counts: Counter[str] = Counter(users=0, signals=0, pairs=0)
    write_users(output, _counted(imported.users, counts))
    left_out = {reason: count for reason, count in imported.left_out.items() if count}
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json({"output": str(output), **counts, "left_out": left_out})
        return
    click.echo(
        f"Wrote {counts['users']} users to {output}: {counts['signals']} signals, "
        f"{counts['pairs']} pairs"
    )
    for reason, count in left_out.items():
        click.echo(f"Left out {count}: {reason}")


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    named: dict[str, str] = {}
    for each in given:
        ours, separator, theirs = each.partition("=")
        if not (ours and separator and theirs):
            raise UsageError(f"--column is {each!r}, expected OURS=THEIRS, as user=annotator")
        if ours in named:
            raise UsageError(f"--column names {ours!r} twice")
        named[ours] = theirs
    return named


def _counted(users: Iterator[User], counts: Counter[str]) -> Iterator[User]:
    for user in users:
        counts["users"] += 1
        counts["signals"] += len(user.signals)
        counts["pairs"] += len(user.pairs)
        yield user
