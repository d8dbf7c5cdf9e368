"""popi-prompt check"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import (
    EMBEDDING_DEFAULT,
    SCORERS,
    AccessOptions,
    access_options,
    print_bill,
)
from popi_prompt.cli.gathered import gathered

if TYPE_CHECKING:
    from popi_prompt.headroom import Headroom
    from popi_prompt.models.access import Access


_OPTIONS = (
    click.option("--generator", help="The frozen generator.  [default: local/smollm2-135m]"),
    click.option("--judge", help="Compares answers.  [default: the generator]"),
    click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]"),
    click.option(
        "--scorer",
        "scorers",
        multiple=True,
        help=f"{SCORERS}  [default: likelihood, if the route allows it, and choice]",
    ),
    click.option(
        "--max-users",
        type=click.IntRange(1),
        default=40,
        show_default=True,
        help="Ask models about at most this many users, drawn by --seed.",
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all draws."
    ),
)


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """By whom and about how many users, as given."""

    generator: str | None
    judge: str | None
    embedding_model: str | None
    scorers: tuple[str, ...]
    max_users: int
    seed: int

    def names(self, access: Access) -> dict[str, str]:
        """The generator, and the models that compare answers."""
        from popi_prompt.settings import DEFAULT_MODEL

        name = access.name("generator", self.generator, DEFAULT_MODEL)
        scoring = access.scoring_names(name, judge=self.judge, embedding=self.embedding_model)
        return {"generator": name, **scoring}


@click.command(name="check", short_help="Can optimizing pay on these data? Ask first.")
@click.argument("data", type=click.Path(path_type=Path))
@gathered(_OPTIONS, CheckOptions, "wanted")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print figures and verdict as JSON.")
def command(data: Path, wanted: CheckOptions, as_json: bool, options: AccessOptions) -> None:
    """Check users in DATA for headroom before anything is optimized.

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
    from popi_prompt.verdict import record

    with Display() as display, access.door(wanted.names(access), display) as door:
        scorers = tuple(dict.fromkeys(wanted.scorers))
        most, seed = wanted.max_users, wanted.seed
        found = check(users, door, scorers, max_users=most, seed=seed, observer=display)
    print_bill(door.spent())
    if as_json:
        from popi_prompt.models.spent import spent_record

        print_json({**record(found), "spent": spent_record(door.spent())})
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
