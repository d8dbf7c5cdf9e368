"""popi-prompt show"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.errors import UsageError
from popi_prompt.portrait import Portrait
from popi_prompt.quotation import Quotation

if TYPE_CHECKING:
    from popi_prompt.candidate import Menu
    from popi_prompt.front import Member
    from popi_prompt.program import Program


@click.command(name="show", short_help="Print what is in a program, or the front of a run.")
@click.argument("program", required=False, type=click.Path(path_type=Path))
@click.option("--front", type=click.Path(path_type=Path), help="Of `optimize --pareto`.")
@click.option("--pick", type=click.IntRange(1), help="One program of the front, by its number.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the one picked.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(
    program: Path | None, front: Path | None, pick: int | None, output: Path | None, as_json: bool
) -> None:
    """Print PROGRAM: instruction, demonstrations, menu, models, scores, what it holds.

    With --front: the programs between which `optimize --pareto` leaves the choice, and with --pick
    one of them, which -o writes as a program.

    \b
    Examples:
      popi-prompt show programs/tastes.json
      popi-prompt show --front tastes.front.json
      popi-prompt show --front tastes.front.json --pick 2 -o short.json
    """
    from popi_prompt.program import load

    if (program is None) == (front is None):
        raise UsageError("show takes a program, or --front and the front of a run")
    if front is None and pick is not None:
        raise UsageError("--pick takes one program of a front; add --front FILE")
    if output is not None and pick is None:
        raise UsageError("-o writes the one program that is picked; add --front FILE --pick N")
    if program is not None:
        _print_program(load(program), as_json)
    elif front is not None:
        _show_front(front, pick, output, as_json)


def _show_front(path: Path, pick: int | None, output: Path | None, as_json: bool) -> None:
    from popi_prompt.files import check_writable
    from popi_prompt.front import load_front

    members = load_front(path)
    if pick is None:
        _print_front(members, as_json)
        return
    if pick > len(members):
        raise UsageError(f"--pick is {pick}, and {str(path)!r} holds only {len(members)}")
    picked = members[pick - 1].program
    if output is None:
        _print_program(picked, as_json)
        return
    check_writable(output, reading=[path])
    picked.save(output)
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json({"program": str(output)})
    else:
        click.echo(f"Wrote {output}. It holds {picked.holds}.")


def _print_front(members: Sequence[Member], as_json: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from popi_prompt.cli.render import plain, print_json, stdout
    from popi_prompt.front import holds

    if as_json:
        numbered = [{"member": i, **each.as_record()} for i, each in enumerate(members, start=1)]
        print_json({"holds": holds(members), "members": numbered})
        return
    table = Table(title="Reward against tokens inserted, means over users", title_justify="left")
    for name in ("member", "reward", "D", "tokens", "users", "demonstrations"):
        table.add_column(name, justify="right")
    table.add_column("conditioning", overflow="fold")
    for number, each in enumerate(members, start=1):
        candidate = each.program.candidate
        put = f"{candidate.conditioning.place}: {candidate.conditioning.wording}"
        table.add_row(
            f"{number}",
            f"{each.reward:.3f}",
            f"{each.margin:+.2f}",
            f"{each.tokens:.1f}",
            f"{each.users}",
            f"{len(candidate.demonstrations)}",
            Text(plain(put)),
        )
    stdout().print(table)
    click.echo(
        "These users were there to choose by: others gain less. Of others, `popi-prompt evaluate` "
        "tells."
    )


def _print_program(loaded: Program, as_json: bool) -> None:
    from popi_prompt.cli.render import plain, print_json

    if as_json:
        print_json(loaded.as_record())
        return
    candidate, origin = loaded.candidate, loaded.origin
    before, after = origin.scores_before, origin.scores_after
    lines = [
        f"instruction    {candidate.instruction}",
        f"signals shown  {candidate.view}",
        f"conditioning   {candidate.conditioning.place}: {candidate.conditioning.wording}",
        *(f"{role:<14} {name}" for role, name in loaded.models.items()),
        f"made from      {origin.users} users, {origin.dataset[:19]}..., seed {origin.seed}, "
        f"{origin.trials} trials, scorer {origin.scorer}, reward {origin.reward}, "
        f"optimizer {origin.optimizer}",
        f"holds          {loaded.holds}",
    ]
    for name, scores in (("before", before), ("after", after)):
        if scores is not None:
            lines.append(
                f"{name:<14} D {scores.margin:+.2f}, reward accuracy {scores.reward_accuracy:.1%}, "
                f"{scores.tokens_median:.0f} tokens (median), {scores.users} held-out users"
            )
    if candidate.menu is not None:
        lines += ["", *_choices(candidate.menu)]
    for number, demo in enumerate(candidate.demonstrations, start=1):
        shown = "\n    ".join(demo.signals.splitlines())
        lines.append(f"\ndemonstration {number}\n    {shown}\n  -> {demo.summary}")
    click.echo(plain("\n".join(lines)))


def _choices(menu: Menu | Portrait | Quotation) -> Iterator[str]:
    if isinstance(menu, Quotation):
        which = "" if menu.model is None else f"those that {menu.model} expects least, "
        yield f"quotation of {menu.passages} passages of what was chosen, {which}latest first"
        yield f"    {menu.wording} ... (at most {menu.characters} characters each)"
        return
    yield f"menu, of which {menu.model} chooses"
    if isinstance(menu, Portrait):
        yield f"    (at most {menu.most}, one of a dimension, by evidence in what was chosen)"
        for line in menu.lines:
            yield f"    {line.text} ({line.dimension}, {line.slope:+.3f} a nat)"
    else:
        for summary, prior in zip(menu.summaries, menu.priors, strict=True):
            yield f"    {summary} (prior {prior:+.2f})"
