"""popi-prompt check"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import (
    EMBEDDING_DEFAULT,
    SCORERS,
    AccessOptions,
    access_options,
    bill_record,
    print_bill,
)

if TYPE_CHECKING:
    from popi_prompt.headroom import Headroom


@click.command(name="check", short_help="Can optimizing pay on these data? Ask first.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--generator", help="The frozen generator.  [default: local/smollm2-135m]")
@click.option("--judge", help="Compares answers.  [default: the generator]")
@click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]")
@click.option(
    "--scorer",
    "scorers",
    multiple=True,
    help=f"{SCORERS}  [default: likelihood, if the route allows it, and choice]",
)
@click.option(
    "--max-users",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Ask models about at most this many users, drawn by --seed.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all draws.")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print figures and verdict as JSON.")
def command(
    data: Path,
    generator: str | None,
    judge: str | None,
    embedding_model: str | None,
    scorers: tuple[str, ...],
    max_users: int,
    seed: int,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Check users in DATA for headroom before anything is optimized. Writes nothing.

    Says for every scorer whether telling the generator about the person (the true taste, or the
    signals where it is not known) beats telling it nothing, whether another person's text does
    worse, how much answers change when asked again or in the other order, and how many held-out
    users show a gain of five points. Looks for held-out pairs that the other parts give away.

    \b
    Examples:
      popi-prompt check datasets/tastes.jsonl
      popi-prompt check users.jsonl --generator openai/gpt-4o-mini --scorer choice --scorer judge
    """
    from popi_prompt.dataset import load_users

    access = options.access()
    users = load_users(data, need_pairs=True)

    from popi_prompt.cli.progress import Display
    from popi_prompt.cli.render import print_json
    from popi_prompt.headroom import check
    from popi_prompt.settings import DEFAULT_MODEL
    from popi_prompt.verdict import record

    name = access.name("generator", generator, DEFAULT_MODEL)
    names = {
        "generator": name,
        **access.scoring_names(name, judge=judge, embedding=embedding_model),
    }
    with Display() as display, access.door(names, display) as door:
        names_once = tuple(dict.fromkeys(scorers))
        found = check(users, door, names_once, max_users=max_users, seed=seed, observer=display)
    print_bill(door.spent())
    if as_json:
        print_json({**record(found), "spent": bill_record(door.spent())})
    else:
        _print(found, data)


def _print(found: Headroom, data: Path) -> None:
    from popi_prompt.cli.render import plain, stdout
    from popi_prompt.verdict import by_scorer, of_data, verdict

    console = stdout()
    sections = [
        *((f"--scorer {by.scorer}", by_scorer(by, found.told)) for by in found.scorers),
        ("the data", of_data(found)),
        ("Verdict", verdict(found)),
    ]
    console.print(
        f"{found.users} of {found.data.users} users of {data}; brackets are 95% intervals; D: how "
        "far a text moves the\nfrozen generator from the answer the person rejected to the one "
        "they chose.",
        markup=False,
    )
    for title, lines in sections:
        console.print(f"\n{title}", markup=False)
        for line in lines:
            console.print(f"- {plain(line)}", markup=False)
    for by in found.scorers:
        for failure in by.failures[:3]:
            console.print(f"failed, {by.scorer}: {plain(failure.reason)}", markup=False)
