"""popi-prompt finetune status, wait and cancel"""

from __future__ import annotations

from pathlib import Path

import click

from popi_prompt.cli.finetune_options import as_json, folder, found, job, jobs_folder
from popi_prompt.cli.number import Number


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
    from popi_prompt.cli.job_tables import print_job, print_jobs
    from popi_prompt.finetune.jobs import look

    where = folder(jobs_folder)
    if job is None:
        print_jobs(list(where.all()), as_json)
        return
    record, provider = found(where, job)
    from popi_prompt.cli.progress import Display

    with Display() as display:
        record = look(where, record, provider, display)
    print_job(record, as_json)


@click.command(short_help="Wait until a job is over.")
@job
@click.option(
    "--poll",
    type=Number(0.1),
    default=2.0,
    show_default=True,
    help="Seconds between two looks at first; they grow to 30.",
)
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
    from popi_prompt.cli.job_tables import print_job
    from popi_prompt.cli.progress import Display
    from popi_prompt.finetune.jobs import Pace
    from popi_prompt.finetune.jobs import wait as until_over

    where = folder(jobs_folder)
    record, provider = found(where, job)
    with Display() as display:
        pace = Pace(poll=poll, slowest=max(poll, Pace().slowest))
        record = until_over(where, record, provider, display, pace)
    print_job(record, as_json)
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
    from popi_prompt.cli.job_tables import print_job
    from popi_prompt.finetune.jobs import cancel as stop

    where = folder(jobs_folder)
    record = stop(where, *found(where, job))
    print_job(record, as_json)


COMMANDS = (status, wait, cancel)
