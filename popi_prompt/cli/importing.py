"""popi-prompt import"""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="import", short_help="Turn a public data set into users.")
@click.argument("format_", metavar="FORMAT", type=click.Choice(["alignx"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="JSONL file.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(format_: str, file: Path, output: Path, as_json: bool) -> None:
    """Read FILE in a public FORMAT and write users as JSONL; what is left out is counted.

    \b
    Example:
      popi-prompt import alignx student_phd.json -o users.jsonl
    """
    from popi_prompt.dataset import write_users
    from popi_prompt.files import check_writable
    from popi_prompt.importers import FORMATS

    check_writable(output)
    imported = FORMATS[format_].read(file)
    write_users(output, imported.users)
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json(
            {
                "output": str(output),
                "users": len(imported.users),
                "left_out": imported.left_out,
            }
        )
        return
    click.echo(f"Wrote {len(imported.users)} users to {output}")
    for reason, count in imported.left_out.items():
        if count:
            click.echo(f"Left out {count}: {reason}")
