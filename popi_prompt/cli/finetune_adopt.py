"""popi-prompt finetune adopt"""

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
from popi_prompt.cli.finetune_options import folder, found, job, jobs_folder
from popi_prompt.cli.gathered import gathered

if TYPE_CHECKING:
    from popi_prompt.finetune.adopt import Adopted
    from popi_prompt.models.access import Access
    from popi_prompt.models.route import Route
    from popi_prompt.program import Program
    from popi_prompt.schema import User


_OPTIONS = (
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help="The new program."
    ),
    click.option("--model", help="LiteLLM's name of the tuned model.  [default: the provider's]"),
    click.option("--generator", help="Measure with another generator.  [default: the program's]"),
    click.option("--judge", help="Compares answers.  [default: the generator]"),
    click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]"),
    click.option("--scorer", help=f"{SCORERS}  [default: by route]"),
    click.option("--held-out", type=click.IntRange(1), help="Measure at most this many users."),
    click.option("--keep-demonstrations", is_flag=True, help="The tuned model gets them, too."),
    click.option("--force", is_flag=True, help="Write the program also if it has not won."),
    jobs_folder,
)


@dataclass(frozen=True, slots=True)
class AdoptOptions:
    """What is measured and where the winner goes, as given."""

    output: Path
    model: str | None
    generator: str | None
    judge: str | None
    embedding_model: str | None
    scorer: str | None
    held_out: int | None
    keep_demonstrations: bool
    force: bool
    jobs_folder: Path | None

    def names(self, access: Access, program: Program) -> dict[str, str]:
        """The models that measure; the inference model stays the program's."""
        names = access.names(program.models, generator=self.generator)
        names["inference"] = program.models["inference"]
        return names | access.scoring_names(
            names["generator"], judge=self.judge, embedding=self.embedding_model
        )


@click.command(name="adopt", short_help="Make a program of a tuned model, if it wins.")
@job
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@gathered(_OPTIONS, AdoptOptions, "wanted")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    job: str, program: Path, data: Path, wanted: AdoptOptions, options: AccessOptions, as_json: bool
) -> None:
    """Put the model of JOB in the place of PROGRAM's inference model, and compare the two on the
    held-out users of DATA, beside no context, the untuned summary and gold.

    The new program has PROGRAM's instruction, no demonstrations and no menu: its model writes.
    It is saved only where the 95% interval of the difference in D, paired over users, lies above 0;
    else exit code 1.

    A model that must be deployed first (Azure, Together, Fireworks) is named by --model, for
    example azure/my-deployment.

    \b
    Example:
      popi-prompt finetune adopt 3f9a program.json users.jsonl -o tuned.json
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.program import load
    from popi_prompt.shipped import located

    options.check_outputs([wanted.output], located(program), data)
    access = options.access()
    record, provider = found(folder(wanted.jobs_folder), job)
    loaded = load(program)

    from popi_prompt.drawing import at_most
    from popi_prompt.finetune.adopt import tuned_route
    from popi_prompt.seen import held_out as never_seen
    from popi_prompt.seen import part_of

    tuned = tuned_route(record, provider, wanted.model, access.roles.get("inference"))
    users = load_users(data, need_pairs=True)
    measured = at_most(never_seen(loaded, users), wanted.held_out, loaded.origin.seed)
    done = _measure(loaded, tuned, measured, wanted, access)
    kept = done.won or wanted.force
    if kept:
        done.program.save(wanted.output)
    part = part_of(loaded, users)
    _print(done, f"{part} of {data}", wanted.output if kept else None, tuned, as_json)
    if not kept:
        click.get_current_context().exit(1)


def _measure(
    program: Program, tuned: Route, users: Sequence[User], wanted: AdoptOptions, access: Access
) -> Adopted:
    from popi_prompt.cli.progress import Display
    from popi_prompt.comparison import Scoring
    from popi_prompt.finetune.adopt import adopt
    from popi_prompt.rewards import PopiReward
    from popi_prompt.scorers import make_scorer

    names = wanted.names(access, program)
    with Display() as display, access.door(names, display) as door:
        scoring = Scoring(door, make_scorer(wanted.scorer, door), PopiReward())
        keep = wanted.keep_demonstrations
        done = adopt(program, tuned, users, scoring, keep_demonstrations=keep, observer=display)
    print_bill(door.spent())
    return done


def _print(done: Adopted, about: str, output: Path | None, tuned: Route, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json
    from popi_prompt.cli.tables import print_evaluation

    against = None if done.against is None else done.against.as_record()
    if as_json:
        print_json(
            {
                "program": None if output is None else str(output),
                "model": tuned.model,
                "won": done.won,
                "against_prompt": against,
                **done.report.as_record(),
            }
        )
        return
    print_evaluation(done.report, about)
    click.echo(_verdict(done))
    if output is None:
        click.echo("Nothing was written; --force writes it all the same.")
        return
    click.echo(f"Wrote {output}. It holds {done.program.holds}.")
    if tuned.api_base is not None:
        click.echo(
            "No program holds an address. Reach its model by --config FILE with\n"
            f'  [models.inference]\n  model = "{tuned.model}"\n  api_base = "{tuned.api_base}"'
        )


def _verdict(done: Adopted) -> str:
    if done.against is None:
        return "tuned - prompted: nobody could be scored with both."
    margin = done.against.margin
    shown = f"D {margin.mean:+.2f} [{margin.low:+.2f}, {margin.high:+.2f}]"
    said = "the tuned model wins" if done.won else "that the tuned model is better is not proven"
    return f"tuned - prompted: {shown}; {said}, n = {done.against.users} users."
