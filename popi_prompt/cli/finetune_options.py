"""What the commands on jobs share: which job, where it is recorded, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from popi_prompt.cli.gathered import Decorator

if TYPE_CHECKING:
    from popi_prompt.finetune.job_folder import JobFolder
    from popi_prompt.finetune.provider import Place, Provider
    from popi_prompt.finetune.record import JobRecord

PROVIDERS = ("openai", "azure", "vertex", "together", "fireworks")
jobs_folder: Decorator = click.option(
    "--jobs-folder",
    type=click.Path(path_type=Path),
    help="Records of jobs.  [default: popi-prompt/finetune in $XDG_STATE_HOME or ~/.local/state]",
)
as_json: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON."
)
job: Decorator = click.argument("job")


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """Where jobs run, as it was given."""

    provider: str
    api_base: str | None
    api_key_env: str | None

    def place(self) -> Place:
        """What it means, here and now: a job stays there whatever the environment says later."""
        from popi_prompt.finetune.environment import resolved
        from popi_prompt.finetune.provider import Place

        name: Any = self.provider
        return resolved(Place(name, self.api_base, self.api_key_env))


PLACE: Sequence[Decorator] = (
    click.option(
        "--provider",
        type=click.Choice(PROVIDERS),
        default="openai",
        show_default=True,
        help="Where the job runs.",
    ),
    click.option("--api-base", help="A server that speaks OpenAI's API, or a resource's address."),
    click.option("--api-key-env", help="The variable that holds the key.  [default: the usual]"),
)


def folder(path: Path | None) -> JobFolder:
    """The folder of records."""
    from popi_prompt.finetune.job_folder import JobFolder, default_folder

    return JobFolder(path or default_folder())


def found(where: JobFolder, job: str) -> tuple[JobRecord, Provider]:
    """The job and the provider it runs at."""
    from popi_prompt.finetune.providers import open_provider

    record = where.find(job)
    return record, open_provider(record.place)
