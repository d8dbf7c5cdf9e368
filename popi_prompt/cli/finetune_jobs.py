"""popi-prompt finetune submit, status, wait and cancel"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from popi_prompt.cli.gathered import gathered
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.finetune.job import Order, Part
    from popi_prompt.finetune.job_folder import JobFolder
    from popi_prompt.finetune.provider import Place, Provider
    from popi_prompt.finetune.record import JobRecord
    from popi_prompt.finetune.training_file import TrainingFile

PROVIDERS = ("openai", "azure", "vertex", "together", "fireworks")
Decorator = Callable[[Callable[..., None]], Callable[..., None]]
jobs_folder: Decorator = click.option(
    "--jobs-folder",
    type=click.Path(path_type=Path),
    help="Records of jobs.  [default: popi-prompt/finetune in $XDG_STATE_HOME or ~/.local/state]",
)
as_json: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON."
)
job: Decorator = click.argument("job")
_ABOVE_ZERO = click.FloatRange(0, min_open=True)


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """Where jobs run, as it was given."""

    provider: str
    api_base: str | None
    api_key_env: str | None

    def place(self) -> Place:
        """What it means."""
        from popi_prompt.finetune.provider import Place

        name: Any = self.provider
        return Place(name, self.api_base, self.api_key_env)


PLACE: Sequence[Decorator] = (
    click.option("--provider", type=click.Choice(PROVIDERS), default="openai", show_default=True),
    click.option("--api-base", help="A server that speaks OpenAI's API, or a resource's address."),
    click.option("--api-key-env", help="The variable that holds the key.  [default: the usual]"),
)


@dataclass(frozen=True, slots=True)
class OrderOptions:
    """What is wanted, as it was given."""

    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    learning_rate_multiplier: float | None
    beta: float | None
    seed: int | None
    extra: tuple[str, ...]

    def order(self, model: str, method: Any) -> Order:
        """What it means. Raises `UsageError` for an --extra that is none."""
        from popi_prompt.finetune.job import Hyperparameters, Order

        given = Hyperparameters(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            learning_rate_multiplier=self.learning_rate_multiplier,
            beta=self.beta,
        )
        return Order(model, method, given, self.seed, dict(map(_extra, self.extra)))


_ORDER: Sequence[Decorator] = (
    click.option("--epochs", type=click.IntRange(1), help="[default: the provider's]"),
    click.option("--batch-size", type=click.IntRange(1), help="Examples in a batch."),
    click.option("--learning-rate", type=_ABOVE_ZERO, help="Together, Fireworks."),
    click.option("--learning-rate-multiplier", type=_ABOVE_ZERO, help="OpenAI, Azure, Vertex."),
    click.option("--beta", type=_ABOVE_ZERO, help="Of preference jobs."),
    click.option("--seed", type=click.IntRange(0)),
    click.option("--extra", multiple=True, help="KEY=JSON, a field of the provider's request."),
)


@click.command(short_help="Start a job, or go on with the same one.")
@click.argument("train", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="The model to tune, in the provider's name.")
@click.option("--validation", type=click.Path(path_type=Path), help="Examples of other users.")
@gathered(PLACE, PlaceOptions, "where")
@click.option("--method", type=click.Choice(["sft", "preference"]), help="[default: by the file]")
@gathered(_ORDER, OrderOptions, "wanted")
@click.option("--again", is_flag=True, help="Another job after one that failed or was cancelled.")
@jobs_folder
@as_json
def submit(
    train: Path,
    model: str,
    validation: Path | None,
    where: PlaceOptions,
    method: Any,
    wanted: OrderOptions,
    again: bool,
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
      popi-prompt finetune submit train.jsonl --validation validation.jsonl \\
        --model gpt-4o-mini-2024-07-18 --epochs 3
      popi-prompt finetune submit pairs.jsonl --method preference --beta 0.1 \\
        --model my-model --api-base http://127.0.0.1:8000/v1
    """
    from popi_prompt.finetune.training_file import read_training_file

    files: dict[Part, TrainingFile] = {"train": read_training_file(train, method)}
    if validation is not None:
        files["validation"] = read_training_file(validation, files["train"].method)
    order = wanted.order(model, files["train"].method)

    from popi_prompt.cli.progress import Display
    from popi_prompt.finetune.jobs import Submission
    from popi_prompt.finetune.providers import open_provider

    provider = open_provider(where.place())
    with Display() as display:
        record = Submission(folder(jobs_folder), provider, display).submit(
            order, files, again=again
        )
    if as_json:
        _print(record)
        return
    click.echo(f"{record.key}  {record.job_id}  {record.status}")
    click.echo(f"Next, wait for it:\n  popi-prompt finetune wait {record.key[:8]}", err=True)


def _extra(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not name or not equals:
        raise UsageError(f"--extra is {given!r}, expected KEY=JSON such as suffix_length=4")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@click.command(short_help="Ask how a job is.")
@click.argument("job", required=False)
@jobs_folder
@as_json
def status(job: str | None, jobs_folder: Path | None, as_json: bool) -> None:
    """Say how JOB is, by its key, the beginning of it or the provider's id; without, list all.

    \b
    Examples:
      popi-prompt finetune status
      popi-prompt finetune status 3f9a --json
    """
    from popi_prompt.finetune.jobs import look

    where = folder(jobs_folder)
    if job is None:
        _list(list(where.all()), as_json)
        return
    record, provider = found(where, job)
    from popi_prompt.cli.progress import Display

    with Display() as display:
        record = look(where, record, provider, display)
    _print(record) if as_json else _show(record)


@click.command(short_help="Wait until a job is over.")
@job
@click.option("--poll", type=click.FloatRange(0.1), default=2.0, help="Seconds, at first.")
@jobs_folder
@as_json
@click.pass_context
def wait(
    ctx: click.Context, job: str, poll: float, jobs_folder: Path | None, as_json: bool
) -> None:
    """Show what the provider says of JOB until it is over. It may be interrupted and run again.

    Exit code 1 if the job did not succeed.

    \b
    Example:
      popi-prompt finetune wait 3f9a
    """
    from popi_prompt.cli.progress import Display
    from popi_prompt.finetune.jobs import Pace
    from popi_prompt.finetune.jobs import wait as until_over

    where = folder(jobs_folder)
    record, provider = found(where, job)
    with Display() as display:
        pace = Pace(poll=poll, slowest=max(poll, Pace().slowest))
        record = until_over(where, record, provider, display, pace)
    _print(record) if as_json else _show(record)
    if record.status != "succeeded":
        ctx.exit(1)


@click.command(short_help="Stop a job.")
@job
@jobs_folder
@as_json
def cancel(job: str, jobs_folder: Path | None, as_json: bool) -> None:
    """Stop JOB at the provider. One that is over stays as it is.

    \b
    Example:
      popi-prompt finetune cancel 3f9a
    """
    from popi_prompt.finetune.jobs import cancel as stop

    where = folder(jobs_folder)
    record = stop(where, *found(where, job))
    _print(record) if as_json else _show(record)


COMMANDS = (submit, status, wait, cancel)


def folder(path: Path | None) -> JobFolder:
    """The folder of records."""
    from popi_prompt.finetune.job_folder import JobFolder, default_folder

    return JobFolder(path or default_folder())


def found(where: JobFolder, job: str) -> tuple[JobRecord, Provider]:
    """The job and the provider it runs at."""
    from popi_prompt.finetune.providers import open_provider

    record = where.find(job)
    return record, open_provider(record.place)


def _print(record: JobRecord) -> None:
    from popi_prompt.cli.render import print_json

    print_json(record.as_record())


def _show(record: JobRecord) -> None:
    from popi_prompt.cli.render import plain

    lines = {
        "job": f"{record.key} ({record.job_id or 'not submitted to the end'})",
        "at": record.place.shown,
        "model": record.order.model,
        "method": record.order.method,
        "status": (record.status or "not submitted to the end").replace("_", " "),
        "tuned model": record.tuned_model,
        "checkpoints": ", ".join(record.checkpoints),
        "trained tokens": record.trained_tokens,
        "error": record.error,
    }
    for name, value in lines.items():
        if value:
            click.echo(plain(f"{name:<15}{value}"))
    if record.status == "succeeded":
        hint = f"popi-prompt finetune adopt {record.key[:8]} PROGRAM DATA -o tuned.json"
        click.echo(f"Next, see whether it wins:\n  {hint}", err=True)


def _list(records: Sequence[JobRecord], as_json: bool) -> None:
    from popi_prompt.cli.render import plain, print_json

    if as_json:
        print_json([record.as_record() for record in records])
        return
    for record in records:
        state = (record.status or "unsubmitted").replace("_", " ")
        about = f"{record.order.method:<10} {record.order.model} ({record.place.shown})"
        click.echo(plain(f"{record.key}  {state:<16} {about}"))
    if not records:
        click.echo("No jobs.", err=True)
