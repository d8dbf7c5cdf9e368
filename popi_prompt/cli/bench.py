"""popi-prompt bench"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import AccessOptions, access_options, print_bill
from popi_prompt.cli.gathered import gathered
from popi_prompt.cli.number import Number
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.bench import BenchSettings
    from popi_prompt.models.access import Access

_OPTIONS = (
    click.option(
        "--generator",
        "generators",
        multiple=True,
        help="Repeat for more.  [default: local/smollm2-135m]",
    ),
    click.option("--inference-model", help="Summarizes.  [default: the program's own]"),
    click.option("--judge", help="Compares answers, for the win rate.  [default: nobody does]"),
    click.option("--embedding-model", help="Retrieves signals.  [default: words in common]"),
    click.option("--rows", help="Only these, for example raw,compiled."),
    click.option(
        "--retrieve", default=2, show_default=True, type=click.IntRange(1), help="Signals."
    ),
    click.option("--held-out", type=click.IntRange(1), help="Measure at most this many users."),
    click.option("--pairs", type=click.IntRange(1), help="Of a user, at most this many."),
    click.option(
        "--trials", default=8, show_default=True, type=click.IntRange(1), help="To compile."
    ),
    click.option("--max-users", type=click.IntRange(3), help="Compile from at most this many."),
    click.option(
        "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all draws."
    ),
    click.option(
        "--choice/--no-choice", default=True, help="Ask for choices as well: two calls a pair."
    ),
    click.option("--minutes", type=Number(0), help="Begin nothing after this long."),
    click.option("--quick", is_flag=True, help="8 users, one pair each, nothing compiled: 10 min."),
)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options as they were given."""

    generators: tuple[str, ...]
    inference_model: str | None
    judge: str | None
    embedding_model: str | None
    rows: str | None
    retrieve: int
    held_out: int | None
    pairs: int | None
    trials: int
    max_users: int | None
    seed: int
    choice: bool
    minutes: float | None
    quick: bool

    def settings(self, access: Access) -> BenchSettings:
        """All of them together. Raises `UsageError` for what cannot work."""
        from popi_prompt.bench import BenchSettings, quick
        from popi_prompt.settings import DEFAULT_MODEL

        self._check_models()
        for name in self.generators:
            if self.generators.count(name) > 1:
                raise UsageError(f"--generator names {name!r} twice")
        for option, given in (("--held-out", self.held_out), ("--pairs", self.pairs)):
            if self.quick and given is not None:
                raise UsageError(f"--quick sets {option} itself; drop one of them")
        default = access.name("generator", None, DEFAULT_MODEL)
        found = BenchSettings(
            generators=self.generators or (default,),
            inference_model=self.inference_model,
            judge=self.judge,
            embedding_model=self.embedding_model,
            rows=_rows(self.rows),
            retrieve=self.retrieve,
            held_out=self.held_out,
            pairs=self.pairs,
            trials=self.trials,
            max_users=self.max_users,
            seed=self.seed,
            choice=self.choice,
            minutes=self.minutes,
            access=access,
        )
        return quick(found) if self.quick else found

    def _check_models(self) -> None:
        given = (
            *(("--generator", name) for name in self.generators),
            ("--inference-model", self.inference_model),
            ("--judge", self.judge),
            ("--embedding-model", self.embedding_model),
        )
        for option, name in given:
            if name is not None and not name.strip():
                raise UsageError(f"{option} is {name!r}; it must be the name of a model")


@click.command(name="bench", short_help="Compare contexts on families of users and generators.")
@click.argument("families", metavar="FAMILY...", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder; made if needed."
)
@click.option(
    "--program", "programs", multiple=True, metavar="FAMILY=PATH", help="The family's program."
)
@gathered(_OPTIONS, BenchOptions, "chosen")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(
    families: tuple[str, ...],
    output: Path,
    programs: tuple[str, ...],
    chosen: BenchOptions,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Tell frozen generators more or less about the held-out users of each FAMILY, and compare.

    A FAMILY is a JSONL file of users, or a name: datasets/NAME/users.jsonl. Rows: no-context, raw
    (all signals), retrieved (those most like the prompt), untuned, compiled (by --program, the
    shipped one of the family's name, or compiled here), gold.

    Writes OUTPUT/bench.md, bench.json and bench.svg. Every cell is kept in OUTPUT/cells as soon as
    it is measured: the same command goes on where it ended.

    \b
    Examples:
      popi-prompt bench datasets/tastes.jsonl -o results --quick
      popi-prompt bench explain forum -o results --generator local/qwen2.5-coder-1.5b \\
        --judge openai/gpt-4o-mini --max-usd 2
    """
    from popi_prompt.bench import RESULTS, bench, load_families, write_results

    settings = chosen.settings(options.access())
    if os.path.isdir(output):
        reading = map(Path, (*families, *_programs(programs).values()))
        options.check_outputs([output / name for name in RESULTS], *reading)
    loaded = load_families(families, _programs(programs))

    from popi_prompt.cli.progress import Display

    with Display() as display:
        done = bench(loaded, settings, output, display)
    print_bill(done.spent)
    record = write_results(output, done, _said(sys.argv))
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json(record)
        return
    from popi_prompt.bench.markdown import markdown
    from popi_prompt.cli.render import plain

    click.echo(plain(markdown(record, record["command"])))
    click.echo(f"Wrote bench.md, bench.json and bench.svg in {output}")


def _said(arguments: Sequence[str]) -> str:
    return shlex.join(["popi-prompt", *arguments[1:]])


def _programs(given: Sequence[str]) -> dict[str, str]:
    programs: dict[str, str] = {}
    for each in given:
        family, equals, path = each.partition("=")
        if not (family and equals and path):
            raise UsageError(f"--program is {each!r}; it must be FAMILY=PATH")
        if family in programs:
            raise UsageError(f"--program names a program of {family!r} twice")
        programs[family] = path
    return programs


def _rows(given: str | None) -> tuple[str, ...]:
    from popi_prompt.bench import BENCH_ROWS

    known = {name.replace(" ", "-"): name for name in BENCH_ROWS}
    names = list(known) if given is None else [each.strip() for each in given.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(f"--rows names {name!r}; known: {', '.join(known)}")
    wanted = {known[name] for name in names}
    return tuple(name for name in BENCH_ROWS if name in wanted)
