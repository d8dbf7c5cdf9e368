"""popi-prompt data anonymise"""

from __future__ import annotations

import os
from pathlib import Path

import click

from popi_prompt.cli.data_options import as_json_option, file_argument, output_option

SALT = "POPI_PROMPT_SALT"


@click.command(name="anonymise", short_help="Hash ids; mask e-mail addresses and phone numbers.")
@file_argument
@click.option(
    "--salt-file",
    type=click.Path(path_type=Path),
    help=f"Holds the salt.  [default: ${SALT}, else a new one that is printed]",
)
@output_option
@as_json_option
def command(data: Path, salt_file: Path | None, output: Path, as_json: bool) -> None:
    """Write DATA with hashed ids, and e-mail addresses and phone numbers masked in every text.

    Names, addresses and what people tell of themselves stay: read what you publish. Who has the
    salt can find out whose an id is; with the same salt a user has the same id again.

    \b
    Example:
      popi-prompt data anonymise users.jsonl --salt-file salt.txt -o anonymous.jsonl
    """
    from popi_prompt.anonymise import anonymise_all
    from popi_prompt.cli.render import print_json
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.files import check_writable

    check_writable(output, reading=[data, *([salt_file] if salt_file else [])])
    given = _salt(salt_file)
    users = load_users(data)
    done = anonymise_all(users, given)
    write_users(output, done.users)
    if as_json:
        made = done.salt if given is None else None
        print_json(
            {
                "output": str(output),
                "users": len(users),
                "masked_users": done.masked,
                "new_salt": made,
            }
        )
        return
    click.echo(f"Wrote {len(users)} users to {output}; texts of {done.masked} had to be masked")
    if given is None:
        click.echo(f"New salt, to keep secret or forget: {done.salt}")


def _salt(path: Path | None) -> str | None:
    """As given; None where a new one is needed. Raises `UsageError` for one that can be guessed."""
    from popi_prompt.anonymise import checked_salt
    from popi_prompt.files import read_bytes

    if path is not None:
        return checked_salt(read_bytes(path).decode("utf-8", "surrogateescape"), str(path))
    return checked_salt(os.environ[SALT], f"${SALT}") if SALT in os.environ else None
