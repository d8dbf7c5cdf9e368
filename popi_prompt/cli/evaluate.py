"""popi-prompt evaluate"""

from __future__ import annotations

from pathlib import Path

import click

from popi_prompt.cli.access import (
    EMBEDDING_DEFAULT,
    SCORERS,
    AccessOptions,
    access_options,
    print_bill,
)


@click.command(name="evaluate", short_help="Measure a program on users it never saw.")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--generator", help="Measure with another generator.  [default: the program's]")
@click.option("--judge", help="Compares answers.  [default: the generator]")
@click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]")
@click.option("--scorer", help=f"{SCORERS}  [default: by route]")
@click.option("--held-out", type=click.IntRange(1), help="Measure at most this many users.")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    program: Path,
    data: Path,
    generator: str | None,
    judge: str | None,
    embedding_model: str | None,
    scorer: str | None,
    held_out: int | None,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Compare PROGRAM with no context, the untuned program and the true taste on users of DATA.

    On the data it was compiled from, only the held-out part is measured.

    \b
    Example:
      popi-prompt evaluate programs/tastes.json datasets/tastes.jsonl
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.program import load

    access = options.access()
    loaded = load(program)
    users = load_users(data, need_pairs=True)

    from popi_prompt import workflow
    from popi_prompt.cli.progress import Display
    from popi_prompt.cli.render import print_json, print_report
    from popi_prompt.rewards import PopiReward
    from popi_prompt.scorers import make_scorer

    measured = workflow.held_out(loaded, users)[:held_out]
    names = access.names(loaded.models, generator=generator)
    names |= access.scoring_names(names["generator"], judge=judge, embedding=embedding_model)
    with Display() as display, access.door(names, display) as door:
        report = workflow.compare(
            loaded.candidate,
            measured,
            door,
            make_scorer(scorer, door),
            PopiReward(),
            display,
        )
    print_bill(door.spent())
    if as_json:
        print_json(report.as_record())
    else:
        part = "held-out users" if len(measured) < len(users) else "users"
        print_report(report, f"{part} of {data}")
