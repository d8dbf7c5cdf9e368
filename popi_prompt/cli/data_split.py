"""popi-prompt data split"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from popi_prompt.cli.data_options import as_json_option, file_argument, seed_option
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.schema import User
    from popi_prompt.split import Split


@click.command(
    name="split", short_help="Write train, val and test without common users or prompts."
)
@file_argument
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder; made if needed."
)
@click.option(
    "--fractions",
    default="0.4,0.25,0.35",
    show_default=True,
    help="Of users in train, val and test; the last two hold at most 152 each.",
)
@seed_option
@as_json_option
def command(data: Path, output: Path, fractions: str, seed: int, as_json: bool) -> None:
    """Cut DATA into OUTPUT/train.jsonl, val.jsonl and test.jsonl, as `optimize` does.

    No user is in two parts, and no prompt of a test pair is in the other two. Pairs that cannot be
    kept apart are left out and counted.

    \b
    Example:
      popi-prompt data split datasets/tastes.jsonl -o parts
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.split import split_users
    from popi_prompt.split_files import write_split

    wanted = _fractions(fractions)
    users = load_users(data)
    done = split_users(users, seed=seed, fractions=wanted)
    files = write_split(output, done, reading=[data])
    without = sum(not user.pairs for user in users)
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json({**_record(done, files), "without_pairs": without, "seed": seed})
    else:
        _say(done, files, without)


def _pairs(part: Sequence[User]) -> int:
    return sum(len(user.pairs) for user in part)


def _record(done: Split, files: Mapping[str, Path]) -> dict[str, Any]:
    parts = {
        name: {"file": str(files[name]), "users": len(part), "pairs": _pairs(part)}
        for name, part in done.parts.items()
    }
    return {"parts": parts, "dropped": {"users": done.dropped_users, "pairs": done.dropped_pairs}}


def _say(done: Split, files: Mapping[str, Path], without: int) -> None:
    for name, part in done.parts.items():
        click.echo(f"Wrote {len(part)} users with {_pairs(part)} pairs to {files[name]}")
    if done.dropped_users or done.dropped_pairs:
        click.echo(
            f"Left out to keep prompts apart: {done.dropped_users} users, "
            f"{done.dropped_pairs} pairs"
        )
    if without:
        click.echo(f"Left out {without} users without pairs")


def _fractions(given: str) -> tuple[float, float, float]:
    problem = f"--fractions is {given!r}; it must be three numbers above 0 that add up to 1"
    try:
        train, val, test = (float(each) for each in given.split(","))
    except ValueError:
        raise UsageError(problem) from None
    if min(train, val, test) <= 0 or not math.isclose(train + val + test, 1, abs_tol=1e-6):
        raise UsageError(problem)
    return train, val, test
