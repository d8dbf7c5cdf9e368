"""popi-prompt evaluate"""

from __future__ import annotations

from collections.abc import Sequence
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
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.comparison import Scoring
    from popi_prompt.models.access import Access
    from popi_prompt.models.door import Door
    from popi_prompt.program import Program
    from popi_prompt.report import Report


_OPTIONS = (
    click.option("--generator", help="Measure with another generator.  [default: the program's]"),
    click.option("--judge", help="Compares answers.  [default: the generator]"),
    click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]"),
    click.option("--scorer", "scorers", multiple=True, help=f"{SCORERS}  [default: by route]"),
    click.option("--rows", help="Only these and the program's own, for example raw,gold."),
    click.option("--held-out", type=click.IntRange(1), help="Measure at most this many users."),
)


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """By whom, on which rows and on how many users, as given."""

    generator: str | None
    judge: str | None
    embedding_model: str | None
    scorers: tuple[str, ...]
    rows: str | None
    held_out: int | None

    def names(self, access: Access, program: Program) -> dict[str, str]:
        """The program's models, the generator and those that compare answers."""
        names = access.names(program.models, generator=self.generator)
        return names | access.scoring_names(
            names["generator"], judge=self.judge, embedding=self.embedding_model
        )


@click.command(name="evaluate", short_help="Measure a program on users it never saw.")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@gathered(_OPTIONS, EvaluateOptions, "wanted")
@access_options
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    program: Path,
    data: Path,
    wanted: EvaluateOptions,
    html: Path | None,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Compare PROGRAM with other things to tell the generator, on the same users of DATA.

    Rows: no-context, raw (the signals themselves), retrieved (the two most like the prompt),
    untuned, compiled (this program), shuffled (another user's summary), gold (the true taste, where
    all users have one), opposite-gold (that of a user with another one), longest-answer (choosing
    by length; asks no model).

    On the data it was compiled from, only the held-out part is measured; on other data all users
    are, and a line says so. The first --scorer gives D; each further one adds a column and its own
    calls: two for every pair and row for choice.

    \b
    Examples:
      popi-prompt evaluate programs/tastes.json datasets/tastes.jsonl --html tastes.html
      popi-prompt evaluate p.json users.jsonl --scorer likelihood --scorer choice --rows raw,gold
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.program import load
    from popi_prompt.shipped import located

    options.check_outputs([html], located(program), data)
    access = options.access()
    rows = _rows(wanted.rows)
    loaded = load(program)
    users = load_users(data, need_pairs=True)

    from popi_prompt.cli.progress import Display
    from popi_prompt.comparison import compare
    from popi_prompt.drawing import at_most
    from popi_prompt.seen import held_out as never_seen
    from popi_prompt.seen import part_of

    names = wanted.names(access, loaded)
    with Display() as display, access.door(names, display) as door:
        unseen = never_seen(loaded, users, display)
        measured = at_most(unseen, wanted.held_out, loaded.origin.seed)
        scoring = _scoring(wanted.scorers, door)
        report = compare(loaded.candidate, measured, scoring, rows, display)
    print_bill(door.spent())
    part = part_of(loaded, users)
    _show(report, f"{part} of {data}", html, as_json)


def _rows(given: str | None) -> tuple[str, ...]:
    """Rows by their names in --help."""
    from popi_prompt.rows import ALL_ROWS

    known = {name.replace(" ", "-"): name for name in ALL_ROWS}
    names = list(known) if given is None else [each.strip() for each in given.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(f"--rows names {name!r}; known: {', '.join(known)}")
    return tuple(known[name] for name in names)


def _scoring(names: Sequence[str], door: Door) -> Scoring:
    from popi_prompt.comparison import Scoring
    from popi_prompt.rewards import PopiReward
    from popi_prompt.scorers import make_scorer

    first, *others = [make_scorer(name, door) for name in dict.fromkeys(names or (None,))]
    labels = [each.prefers_label for each in (first, *others)]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two scorers measure the same, {label!r}; drop one --scorer")
    return Scoring(door, first, PopiReward(), tuple(others))


def _show(report: Report, about: str, html: Path | None, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json
    from popi_prompt.cli.tables import print_evaluation

    record = report.as_record(by_user=True)
    # Before the page, which may find the disk full: the figures are paid for.
    if as_json:
        print_json(record)
    else:
        print_evaluation(report, about)
    if html is not None:
        from popi_prompt.files import write_text
        from popi_prompt.page import page

        write_text(html, page(record, f"{report.users} {about}"), private=True)
        if not as_json:
            click.echo(f"Wrote {html}; it opens in a browser, without a network.")
