"""popi-prompt transfer"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import (
    SCORERS,
    AccessOptions,
    access_options,
    print_bill,
)
from popi_prompt.cli.gathered import gathered
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.models.access import Access
    from popi_prompt.program import Program


_OPTIONS = (
    click.option(
        "--generator", "generators", multiple=True, required=True, help="Repeat for more."
    ),
    click.option("--judge", help="Compares answers, of all.  [default: the program's generator]"),
    click.option(
        "--embedding-model",
        help="Places answers, of all.  [default: the program's generator if local]",
    ),
    click.option("--scorer", "scorers", multiple=True, help=f"{SCORERS}  [default: by route]"),
    click.option("--held-out", type=click.IntRange(1), help="Measure at most this many users."),
)


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """On which generators, by whom and on how many users, as given."""

    generators: tuple[str, ...]
    judge: str | None
    embedding_model: str | None
    scorers: tuple[str, ...]
    held_out: int | None

    def check(self) -> None:
        """Raises `UsageError` for a generator that is named twice."""
        for name in self.generators:
            if self.generators.count(name) > 1:
                raise UsageError(f"--generator names {name!r} twice")

    def names(self, access: Access, program: Program) -> dict[str, str]:
        """The models of the program, and those that compare answers."""
        names = access.names(program.models)
        return names | access.scoring_names(
            names["generator"], judge=self.judge, embedding=self.embedding_model
        )


@click.command(name="transfer", short_help="Measure a program's summaries on other generators.")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@gathered(_OPTIONS, TransferOptions, "wanted")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print the matrix as JSON.")
def command(
    program: Path, data: Path, wanted: TransferOptions, as_json: bool, options: AccessOptions
) -> None:
    """Put the summaries of PROGRAM in front of other frozen generators, on the same users of DATA.

    Summaries are inferred once, by the program and by the untuned one. Without --scorer, each
    generator is scored by likelihood where its route gives it, and by choice.

    On the data it was compiled from, only the held-out part is measured; on other data all users
    are, and a line says so. A generator that cannot be opened or scored is shown as failed; exit
    code 1 if all of them are.

    \b
    Example:
      popi-prompt transfer programs/tastes.json datasets/tastes.jsonl \\
        --generator local/smollm2-135m --generator openai/gpt-4o-mini
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.program import load

    wanted.check()
    access = options.access()
    loaded = load(program)
    users = load_users(data, need_pairs=True)

    from popi_prompt.cli.progress import Display
    from popi_prompt.drawing import at_most
    from popi_prompt.seen import held_out as never_seen
    from popi_prompt.seen import part_of
    from popi_prompt.transfer import transfer

    names = wanted.names(access, loaded)
    routes = [
        access.routes({**names, "generator": name})["generator"] for name in wanted.generators
    ]
    with Display() as display, access.door(names, display) as door:
        unseen = never_seen(loaded, users, display)
        measured = at_most(unseen, wanted.held_out, loaded.origin.seed)
        found = transfer(loaded.candidate, measured, door, routes, wanted.scorers, display)
    print_bill(door.spent())
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json({"compiled_for": loaded.models["generator"], **found.as_record()})
        return
    from popi_prompt.cli.transfer_table import print_transfer

    part = part_of(loaded, users)
    print_transfer(found, f"{part} of {data}; compiled for {loaded.models['generator']}")
