"""popi-prompt finetune files and delete-files"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from popi_prompt.cli.finetune_options import (
    PLACE,
    PlaceOptions,
    as_json,
    folder,
    found,
    job,
    jobs_folder,
)
from popi_prompt.cli.gathered import gathered

if TYPE_CHECKING:
    from popi_prompt.finetune.uploads import Listed


@click.command(name="files", short_help="List the training files that lie at providers.")
@gathered(PLACE, PlaceOptions, "where")
@jobs_folder
@as_json
@click.pass_context
def files(ctx: click.Context, where: PlaceOptions, jobs_folder: Path | None, as_json: bool) -> None:
    """List uploads by the records of all jobs and by what their providers say, and also those that
    an interrupted command left there. --provider and --api-base add a place without a record.

    Exit code 1 if a provider could not be asked.

    \b
    Example:
      popi-prompt finetune files
    """
    from popi_prompt.cli.render import plain, print_json
    from popi_prompt.finetune.providers import open_provider
    from popi_prompt.finetune.uploads import list_files, places

    records = folder(jobs_folder)
    known = places(records)
    given = any(
        ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        for name in ("provider", "api_base")
    )
    if given:
        known = tuple(dict.fromkeys((*known, where.place())))
    listed = list_files(records, known, open_provider)
    if as_json:
        found = [_record(each) for each in listed.files]
        print_json({"files": found, "failures": list(listed.failures)})
    else:
        for each in listed.files:
            click.echo(plain(_line(each)))
        if not listed.files and not listed.failures:
            click.echo("No files.", err=True)
    for failure in listed.failures:
        click.echo(f"Failed: {plain(failure)}", err=True)
    if listed.failures:
        ctx.exit(1)


def _record(each: Listed) -> dict[str, Any]:
    return {
        "provider": each.place.provider,
        "api_base": each.place.api_base,
        "account": each.place.account,
        "project": each.place.project,
        "location": each.place.location,
        "bucket": each.place.bucket,
        "name": each.name,
        "file_id": each.file_id,
        "bytes": each.bytes,
        "job": each.key,
        "recorded": each.recorded,
        "at_provider": each.at_provider,
    }


def _line(each: Listed) -> str:
    from popi_prompt.cli.render import size

    notes = [
        "" if each.at_provider is not False else "gone from there",
        "" if each.at_provider is not None else "not looked up",
        "" if each.recorded else "left by an interrupted command",
        "" if each.key is not None else "no record of its job here",
    ]
    shown = "?" if each.bytes is None else size(each.bytes)
    about = "; ".join(filter(None, notes))
    return f"{each.file_id}  {each.name}  {shown}  {each.place.shown}{about and f'  ({about})'}"


@click.command(name="delete-files", short_help="Delete a job's training files at the provider.")
@job
@jobs_folder
@as_json
def delete_files(job: str, jobs_folder: Path | None, as_json: bool) -> None:
    """Delete every file of JOB at the provider, also what interrupted commands left there.

    Not while the job is under way. The tuned model stays.

    \b
    Example:
      popi-prompt finetune delete-files 3f9a
    """
    from popi_prompt.cli.render import print_json
    from popi_prompt.finetune.uploads import delete_files as delete

    records = folder(jobs_folder)
    record, provider = found(records, job)
    deleted = delete(records, record, provider)
    if as_json:
        print_json({"job": record.key, "deleted": list(deleted)})
    else:
        click.echo(f"Deleted {len(deleted)} files of job {record.key} ({record.place.shown})")


COMMANDS = (files, delete_files)
