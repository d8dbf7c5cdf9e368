"""popi-prompt finetune submit"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from popi_prompt.cli.finetune_options import PLACE, PlaceOptions, as_json, folder, jobs_folder
from popi_prompt.cli.gathered import Decorator, gathered
from popi_prompt.cli.number import Number
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.finetune.job import Method, Order, Part
    from popi_prompt.finetune.training_file import TrainingFile

_ABOVE_ZERO = Number(0, min_open=True)


@dataclass(frozen=True, slots=True)
class OrderOptions:
    """What is wanted, as it was given."""

    model: str
    method: Method | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    learning_rate_multiplier: float | None
    beta: float | None
    seed: int | None
    extra: tuple[str, ...]
    again: bool

    def order(self, method: Method) -> Order:
        """What it means. Raises `UsageError` for an --extra that is none."""
        from popi_prompt.finetune.job import Hyperparameters, Order

        given = Hyperparameters(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            learning_rate_multiplier=self.learning_rate_multiplier,
            beta=self.beta,
        )
        return Order(self.model, method, given, self.seed, dict(map(_extra, self.extra)))


_ORDER: Sequence[Decorator] = (
    click.option("--model", required=True, help="The model to tune, in the provider's name."),
    click.option(
        "--method", type=click.Choice(["sft", "preference"]), help="[default: by the file]"
    ),
    click.option("--epochs", type=click.IntRange(1), help="[default: the provider's]"),
    click.option("--batch-size", type=click.IntRange(1), help="Examples in a batch."),
    click.option("--learning-rate", type=_ABOVE_ZERO, help="Together, Fireworks."),
    click.option("--learning-rate-multiplier", type=_ABOVE_ZERO, help="OpenAI, Azure, Vertex."),
    click.option("--beta", type=_ABOVE_ZERO, help="Of preference jobs."),
    click.option("--seed", type=click.IntRange(0), help="OpenAI, Azure."),
    click.option("--extra", multiple=True, help="KEY=JSON, a field of the provider's request."),
    click.option(
        "--again", is_flag=True, help="Another job after one that failed or was cancelled."
    ),
)


@click.command(name="submit", short_help="Start a job, or go on with the same one.")
@click.argument("train", type=click.Path(path_type=Path))
@gathered(_ORDER, OrderOptions, "wanted")
@click.option("--validation", type=click.Path(path_type=Path), help="Examples of other users.")
@gathered(PLACE, PlaceOptions, "where")
@jobs_folder
@as_json
def command(
    train: Path,
    wanted: OrderOptions,
    validation: Path | None,
    where: PlaceOptions,
    jobs_folder: Path | None,
    as_json: bool,
) -> None:
    """Upload TRAIN, as `finetune export` writes it, and start a job on it.

    The text of users in the files leaves this machine. The job is on record before the first byte
    is sent: the same command again, after an interruption or on another day, goes on with the same
    job and starts no second one. Keys come from the environment: OPENAI_API_KEY, AZURE_API_KEY,
    TOGETHER_API_KEY, FIREWORKS_API_KEY.

    \b
    Examples:
      popi-prompt finetune submit train.jsonl --validation train.validation.jsonl \\
        --model gpt-4o-mini-2024-07-18 --epochs 3
      popi-prompt finetune submit pairs.jsonl --method preference --beta 0.1 \\
        --model my-model --api-base http://127.0.0.1:8000/v1
    """
    files = _files(train, validation, wanted.method)
    order = wanted.order(files["train"].method)

    from popi_prompt.cli.progress import Display
    from popi_prompt.finetune.jobs import Submission
    from popi_prompt.finetune.providers import open_provider

    provider = open_provider(where.place())
    with Display() as display:
        record = Submission(folder(jobs_folder), provider, display).submit(
            order, files, again=wanted.again
        )
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json(record.as_record())
        return
    click.echo(f"{record.key}  {record.job_id}  {record.status}")
    click.echo(f"Next, wait for it:\n  popi-prompt finetune wait {record.key[:8]}", err=True)


def _files(train: Path, validation: Path | None, method: Method | None) -> dict[Part, TrainingFile]:
    from popi_prompt.finetune.training_file import read_training_file

    files: dict[Part, TrainingFile] = {"train": read_training_file(train, method)}
    if validation is not None:
        files["validation"] = read_training_file(validation, files["train"].method)
    return files


def _extra(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not name or not equals:
        raise UsageError(f"--extra is {given!r}, expected KEY=JSON such as suffix_length=4")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
