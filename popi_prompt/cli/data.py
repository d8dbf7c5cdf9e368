"""popi-prompt data"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    pass

SALT = "POPI_PROMPT_SALT"
_SHOWN = 20

_file = click.argument("data", type=click.Path(path_type=Path))
_output = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="JSONL file."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_seed = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all draws."
)


@click.group(name="data", short_help="Count, check, split, draw, dedupe or anonymise users.")
def command() -> None:
    """Work on files of users. Files that are written are their owner's alone: mode 0600.

    \b
    Examples:
      popi-prompt data stats datasets/tastes.jsonl
      popi-prompt data split datasets/tastes.jsonl -o parts
    """


@command.command(short_help="Count what a file holds.")
@_file
@_json
def stats(data: Path, as_json: bool) -> None:
    """Count users, signals by kind, pairs, prompts and lengths in DATA; asks no model.

    \b
    Example:
      popi-prompt data stats datasets/tastes.jsonl
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.dataset_stats import statistics

    found = statistics(load_users(data))
    if as_json:
        _print_json(found.as_record())
        return
    from popi_prompt.cli.data_tables import print_statistics

    print_statistics(found)


@command.command(short_help="Find every bad line of a file.")
@_file
@click.option("--need-pairs", is_flag=True, help="A user without pairs is a problem, too.")
@_json
@click.pass_context
def validate(ctx: click.Context, data: Path, need_pairs: bool, as_json: bool) -> None:
    """Say of every bad line of DATA what is wrong with it. Exit code 1 if there is one.

    \b
    Example:
      popi-prompt data validate users.jsonl --need-pairs
    """
    from popi_prompt.validation import validate

    found = validate(data, need_pairs=need_pairs)
    if as_json:
        _print_json({"file": str(data), **found.as_record()})
    else:
        from popi_prompt.cli.data_tables import print_validation

        print_validation(found, data, _SHOWN)
    if not found.valid:
        ctx.exit(1)


@command.command(short_help="Write train, val and test without common users or prompts.")
@_file
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder; made if needed."
)
@click.option(
    "--fractions",
    default="0.4,0.25,0.35",
    show_default=True,
    help="Of users in train, val and test; the last two hold at most 152 each.",
)
@_seed
@_json
def split(data: Path, output: Path, fractions: str, seed: int, as_json: bool) -> None:
    """Cut DATA into OUTPUT/train.jsonl, val.jsonl and test.jsonl, as `optimize` does.

    No user is in two parts, and no prompt of a test pair is in the other two. Pairs that cannot be
    kept apart are left out and counted.

    \b
    Example:
      popi-prompt data split datasets/tastes.jsonl -o parts
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.split import split_users, write_split

    wanted = _fractions(fractions)
    users = load_users(data)
    done = split_users(users, seed=seed, fractions=wanted)
    files = write_split(output, done)
    without = sum(not user.pairs for user in users)
    if as_json:
        parts = {
            name: {
                "file": str(files[name]),
                "users": len(part),
                "pairs": sum(len(user.pairs) for user in part),
            }
            for name, part in done.parts.items()
        }
        dropped = {"users": done.dropped_users, "pairs": done.dropped_pairs}
        _print_json({"parts": parts, "dropped": dropped, "without_pairs": without, "seed": seed})
        return
    for name, part in done.parts.items():
        pairs = sum(len(user.pairs) for user in part)
        click.echo(f"Wrote {len(part)} users with {pairs} pairs to {files[name]}")
    if done.dropped_users or done.dropped_pairs:
        click.echo(
            f"Left out to keep prompts apart: {done.dropped_users} users, "
            f"{done.dropped_pairs} pairs"
        )
    if without:
        click.echo(f"Left out {without} users without pairs")


@command.command(name="sample", short_help="Draw some of the users.")
@_file
@click.option("--count", required=True, type=click.IntRange(1), help="How many users.")
@click.option(
    "--copies", is_flag=True, help="Number copies, where there are fewer. For load tests."
)
@_seed
@_output
@_json
def sample(data: Path, count: int, copies: bool, seed: int, output: Path, as_json: bool) -> None:
    """Draw --count users from DATA, or make more of them.

    With --copies the third copy of user "ada" is "ada#3", and all her prompts end with "(copy 3)".
    Copies are for tests of load: a figure measured on them counts the same person many times.

    \b
    Examples:
      popi-prompt data sample users.jsonl --count 40 -o some.jsonl
      popi-prompt data sample datasets/tastes.jsonl --count 100000 --copies -o many.jsonl
    """
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.drawing import draw
    from popi_prompt.files import check_writable

    check_writable(output)
    users = load_users(data)
    write_users(output, draw(users, count, seed, copies=copies))
    made = max(0, count - len(users))
    if as_json:
        _print_json({"output": str(output), "users": count, "copies": made, "seed": seed})
    else:
        click.echo(f"Wrote {count} users to {output}" + (f"; {made} are copies" if made else ""))


@command.command(name="dedupe", short_help="Leave out users and pairs that occur again.")
@_file
@click.option(
    "--near",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Of neighbouring pairs of words, the share that must agree; 1 for all.",
)
@_output
@_json
def dedupe(data: Path, near: float, output: Path, as_json: bool) -> None:
    """Write DATA without users who repeat an earlier one, word for word or nearly.

    Pairs that occur again for the same user go as well. Two users with the same texts and opposite
    choices are not alike.

    \b
    Example:
      popi-prompt data dedupe users.jsonl -o unique.jsonl
    """
    from dataclasses import asdict

    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.dedupe import dedupe
    from popi_prompt.files import check_writable

    check_writable(output)
    done = dedupe(load_users(data), near)
    write_users(output, done.users)
    if as_json:
        repeats = [asdict(each) for each in done.repeats]
        pairs = {"same_pairs": done.same_pairs, "near_pairs": done.near_pairs}
        users = len(done.users)
        _print_json({"output": str(output), "users": users, "repeats": repeats, **pairs})
        return
    same = sum(each.how == "same" for each in done.repeats)
    click.echo(f"Wrote {len(done.users)} users to {output}")
    click.echo(
        f"Left out {same} users who are the same as another, {len(done.repeats) - same} near"
    )
    click.echo(
        f"Left out {done.same_pairs} pairs that their user has already, {done.near_pairs} near"
    )


@command.command(name="anonymise", short_help="Hash ids; mask e-mail addresses and phone numbers.")
@_file
@click.option(
    "--salt-file",
    type=click.Path(path_type=Path),
    help=f"Holds the salt.  [default: ${SALT}, else a new one that is printed]",
)
@_output
@_json
def anonymise(data: Path, salt_file: Path | None, output: Path, as_json: bool) -> None:
    """Write DATA with hashed ids, and e-mail addresses and phone numbers masked in every text.

    Names, addresses and what people tell of themselves stay: read what you publish. Who has the
    salt can find out whose an id is; with the same salt a user has the same id again.

    \b
    Example:
      popi-prompt data anonymise users.jsonl --salt-file salt.txt -o anonymous.jsonl
    """
    from popi_prompt.anonymise import anonymise_all
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.files import check_writable

    check_writable(output)
    given = _salt(salt_file)
    users = load_users(data)
    done = anonymise_all(users, given)
    write_users(output, done.users)
    if as_json:
        made = done.salt if given is None else None
        _print_json(
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


def _fractions(given: str) -> tuple[float, float, float]:
    problem = f"--fractions is {given!r}; it must be three numbers above 0 that add up to 1"
    try:
        train, val, test = (float(each) for each in given.split(","))
    except ValueError:
        raise UsageError(problem) from None
    if min(train, val, test) <= 0 or not math.isclose(train + val + test, 1, abs_tol=1e-6):
        raise UsageError(problem)
    return train, val, test


def _print_json(value: object) -> None:
    from popi_prompt.cli.render import print_json

    print_json(value)
