"""popi-prompt data"""

from __future__ import annotations

from pathlib import Path

import click

from popi_prompt.cli import data_anonymise, data_split
from popi_prompt.cli.data_options import (
    as_json_option,
    file_argument,
    output_option,
    seed_option,
)
from popi_prompt.cli.number import Number

_SHOWN = 20


@click.group(name="data", short_help="Count, check, split, draw, dedupe or anonymise users.")
def command() -> None:
    """Work on files of users. Files that are written are their owner's alone: mode 0600.

    \b
    Examples:
      popi-prompt data stats datasets/tastes.jsonl
      popi-prompt data split datasets/tastes.jsonl -o parts
    """


command.add_command(data_split.command)
command.add_command(data_anonymise.command)


@command.command(short_help="Count what a file holds.")
@file_argument
@as_json_option
def stats(data: Path, as_json: bool) -> None:
    """Count users, signals by kind, pairs, prompts and lengths in DATA; asks no model.

    \b
    Example:
      popi-prompt data stats datasets/tastes.jsonl
    """
    from popi_prompt.cli.render import print_json
    from popi_prompt.dataset import load_users
    from popi_prompt.dataset_stats import statistics

    found = statistics(load_users(data))
    if as_json:
        print_json(found.as_record())
        return
    from popi_prompt.cli.data_tables import print_statistics

    print_statistics(found)


@command.command(short_help="Find every bad line of a file.")
@file_argument
@click.option("--need-pairs", is_flag=True, help="A user without pairs is a problem, too.")
@as_json_option
@click.pass_context
def validate(ctx: click.Context, data: Path, need_pairs: bool, as_json: bool) -> None:
    """Say of every bad line of DATA what is wrong with it. Exit code 1 if there is one.

    \b
    Example:
      popi-prompt data validate users.jsonl --need-pairs
    """
    from popi_prompt.cli.render import print_json
    from popi_prompt.validation import validate

    found = validate(data, need_pairs=need_pairs)
    if as_json:
        print_json({"file": str(data), **found.as_record()})
    else:
        from popi_prompt.cli.data_tables import print_validation

        print_validation(found, data, _SHOWN)
    if not found.valid:
        ctx.exit(1)


@command.command(name="sample", short_help="Draw some of the users.")
@file_argument
@click.option("--count", required=True, type=click.IntRange(1), help="How many users.")
@click.option(
    "--copies", is_flag=True, help="Number copies, where there are fewer. For load tests."
)
@seed_option
@output_option
@as_json_option
def sample(data: Path, count: int, copies: bool, seed: int, output: Path, as_json: bool) -> None:
    """Draw --count users from DATA, or make more of them.

    With --copies the third copy of user "ada" is "ada#3", and all her prompts end with "(copy 3)".
    Copies are for tests of load: a figure measured on them counts the same person many times.

    \b
    Examples:
      popi-prompt data sample users.jsonl --count 40 -o some.jsonl
      popi-prompt data sample datasets/tastes.jsonl --count 100000 --copies -o many.jsonl
    """
    from popi_prompt.cli.render import print_json
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.drawing import draw
    from popi_prompt.files import check_writable

    check_writable(output, reading=[data])
    users = load_users(data)
    write_users(output, draw(users, count, seed, copies=copies))
    made = max(0, count - len(users))
    if as_json:
        print_json({"output": str(output), "users": count, "copies": made, "seed": seed})
    else:
        click.echo(f"Wrote {count} users to {output}" + (f"; {made} are copies" if made else ""))


@command.command(name="dedupe", short_help="Leave out users and pairs that occur again.")
@file_argument
@click.option(
    "--near",
    default=0.8,
    show_default=True,
    type=Number(0, 1, min_open=True),
    help="Of neighbouring pairs of words, the share that must agree; 1 for all.",
)
@output_option
@as_json_option
def dedupe(data: Path, near: float, output: Path, as_json: bool) -> None:
    """Write DATA without users who repeat an earlier one, word for word or nearly.

    Pairs that occur again for the same user go as well. Two users with the same texts and opposite
    choices are not alike.

    \b
    Example:
      popi-prompt data dedupe users.jsonl -o unique.jsonl
    """
    from dataclasses import asdict

    from popi_prompt.cli.render import print_json
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.dedupe import dedupe
    from popi_prompt.files import check_writable

    check_writable(output, reading=[data])
    done = dedupe(load_users(data), near)
    write_users(output, done.users)
    if as_json:
        repeats = [asdict(each) for each in done.repeats]
        pairs = {"same_pairs": done.same_pairs, "near_pairs": done.near_pairs}
        users = len(done.users)
        print_json({"output": str(output), "users": users, "repeats": repeats, **pairs})
        return
    same = sum(each.how == "same" for each in done.repeats)
    click.echo(f"Wrote {len(done.users)} users to {output}")
    click.echo(
        f"Left out {same} users who are the same as another, {len(done.repeats) - same} near"
    )
    click.echo(
        f"Left out {done.same_pairs} pairs that their user has already, {done.near_pairs} near"
    )
