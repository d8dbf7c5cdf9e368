"""popi-prompt finetune export"""

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
from popi_prompt.cli.number import Number

if TYPE_CHECKING:
    from popi_prompt.finetune.examples import Kind
    from popi_prompt.finetune.plan import Plan
    from popi_prompt.models.access import Access
    from popi_prompt.program import Program

_PATH = click.Path(path_type=Path)
_FILES = (
    click.option("-o", "--output", required=True, type=_PATH, help="Training file, JSONL."),
    click.option(
        "--validation-output",
        type=_PATH,
        help="Of the users to choose by.  [default: OUTPUT with .validation]",
    ),
    click.option("--no-validation", is_flag=True, help="Write no validation file."),
    click.option(
        "--samples",
        type=_PATH,
        help="Keeps what was drawn and scored.  [default: OUTPUT with .samples]",
    ),
    click.option(
        "--format",
        "kind",
        type=click.Choice(["sft", "preference"]),
        default="sft",
        show_default=True,
        help="The best summary, or the best against the worst.",
    ),
    click.option(
        "--provider",
        type=click.Choice(["openai", "trl", "together", "fireworks", "vertex"]),
        default="openai",
        show_default=True,
        help="Whose format; openai is Azure's, too.",
    ),
    click.option("--anonymise", is_flag=True, help="Mask e-mail addresses and phone numbers."),
    click.option("--with-demonstrations", is_flag=True, help="Keep the program's in the prompt."),
)
_SAMPLING = (
    click.option(
        "--draws", type=click.IntRange(1), default=4, show_default=True, help="For each user."
    ),
    click.option(
        "--temperature",
        type=Number(0),
        default=0.8,
        show_default=True,
        help="Of all but the first.",
    ),
    click.option(
        "--min-margin",
        type=Number(0),
        default=0.5,
        show_default=True,
        help="Of a pair, in the reward's unit.",
    ),
    click.option("--max-users", type=click.IntRange(1), help="At most this many in each file."),
    click.option("--inference-model", help="Writes the summaries.  [default: the program's]"),
    click.option("--scorer", help=f"{SCORERS}  [default: the program's]"),
    click.option("--judge", help="Compares answers.  [default: the generator]"),
    click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]"),
    click.option(
        "--base-model", help="To be tuned; counts tokens.  [default: the inference model]"
    ),
    click.option("--price", type=Number(0), help="USD the provider takes for a million tokens."),
)


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Which files, as given."""

    output: Path
    validation_output: Path | None
    no_validation: bool
    samples: Path | None
    kind: Kind
    provider: str
    anonymise: bool
    with_demonstrations: bool

    def beside(self, what: str) -> Path:
        """OUTPUT with `what` before its suffix."""
        return self.output.with_name(f"{self.output.stem}.{what}{self.output.suffix or '.jsonl'}")

    def validation(self) -> Path | None:
        """The validation file; None where none is wanted."""
        from popi_prompt.errors import UsageError

        if not self.no_validation:
            return self.validation_output or self.beside("validation")
        if self.validation_output is not None:
            raise UsageError("--no-validation and --validation-output exclude each other; drop one")
        return None


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How summaries are drawn, scored and counted, as given."""

    draws: int
    temperature: float
    min_margin: float
    max_users: int | None
    inference_model: str | None
    scorer: str | None
    judge: str | None
    embedding_model: str | None
    base_model: str | None
    price: float | None

    def names(self, access: Access, program: Program) -> dict[str, str]:
        """The program's models, with those that write summaries and compare answers."""
        names = access.names(program.models, inference=self.inference_model)
        return names | access.scoring_names(
            names["generator"], judge=self.judge, embedding=self.embedding_model
        )

    def plan(self, files: FileOptions) -> Plan:
        """Both together."""
        from popi_prompt.finetune.plan import Plan

        return Plan(
            output=files.output,
            samples=files.samples or files.beside("samples"),
            validation=files.validation(),
            kind=files.kind,
            provider=files.provider,
            draws=self.draws,
            temperature=self.temperature,
            min_margin=self.min_margin,
            max_users=self.max_users,
            scorer=self.scorer,
            base_model=self.base_model,
            price=self.price,
            anonymise=files.anonymise,
            with_demonstrations=files.with_demonstrations,
        )


@click.command(name="export", short_help="Write training files for a provider.")
@click.argument("program", type=_PATH)
@click.argument("data", type=_PATH)
@gathered(_FILES, FileOptions, "files")
@gathered(_SAMPLING, SamplingOptions, "sampling")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    program: Path,
    data: Path,
    files: FileOptions,
    sampling: SamplingOptions,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Draw summaries of PROGRAM's training users in DATA, score them, write what pays best.

    Held-out users are never in a file. What was drawn and scored is kept beside OUTPUT: a run that
    was stopped goes on, and another --format of the same draws, given the same --samples, calls no
    model. No summary repeats six words in a row of anybody's signals.

    \b
    Examples:
      popi-prompt finetune export programs/tastes.json datasets/tastes.jsonl -o train.jsonl
      popi-prompt finetune export p.json users.jsonl --format preference -o pairs.jsonl \\
        --samples train.samples.jsonl
    """
    access = options.access()
    plan = sampling.plan(files)

    from popi_prompt.dataset import load_users
    from popi_prompt.program import load
    from popi_prompt.shipped import located

    plan.check()
    options.check_outputs([plan.output, plan.validation, plan.samples], located(program), data)
    loaded = load(program)
    users = load_users(data)

    from popi_prompt.cli.progress import Display
    from popi_prompt.finetune.export import export

    names = sampling.names(access, loaded)
    with Display() as display, access.door(names, display) as door:
        done = export(loaded, users, plan, door, display)
    print_bill(door.spent())
    if as_json:
        from popi_prompt.cli.render import print_json
        from popi_prompt.models.spent import spent_record

        print_json({**done.as_record(), "spent": spent_record(door.spent())})
        return
    from popi_prompt.cli.finetune_tables import print_export

    print_export(done, plan.samples)
