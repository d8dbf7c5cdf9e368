"""Where jobs run: the contract of a provider, and how one is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from popi_prompt.finetune.job import Dialect, Job, JobEvent, Order, Upload

Name = Literal["openai", "azure", "vertex", "together", "fireworks"]
NAMES: tuple[Name, ...] = get_args(Name)
OURS = "popi-"  # how the names of our files at a provider begin


@dataclass(frozen=True, slots=True)
class Place:
    """A provider's account. None means: for `api_base` the provider's own, for `api_key_env` the
    variable it is usually in. `timeout` is in seconds, for one request; an upload has ten times it.

    `account` is OpenAI's organization or Fireworks' account, `bucket` is where Vertex has files.
    Until it is `resolved`, what is None is still for the environment to say.

    A key is never a field of it.
    """

    provider: Name
    api_base: str | None = None
    api_key_env: str | None = None
    timeout: float = 60.0
    account: str | None = None
    project: str | None = None
    location: str | None = None
    bucket: str | None = None
    resolved: bool = False

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What tells accounts apart, however they are reached: by another key, or more patiently.

        Keys of jobs are made of it, so those of places without parts stay as they were.
        """
        parts = self._parts
        return (self.provider, self.api_base, *(parts if any(parts) else ()))

    @property
    def shown(self) -> str:
        """For people: the provider, and where it is if that is not its usual place."""
        at = "" if self.api_base is None else f" at {self.api_base}"
        parts = ", ".join(filter(None, self._parts))
        return f"{self.provider}{at}{parts and f' ({parts})'}"

    @property
    def _parts(self) -> tuple[str | None, ...]:
        return (self.account, self.project, self.location, self.bucket)


class FileStore(Protocol):
    """Files at a provider. Everything may raise `FineTuningError` or `AuthenticationError`.

    No request that changes anything is repeated here: whether it was carried out is for the caller
    to look up, by name.
    """

    def uploads(self) -> Iterator[Upload]:
        """All whose name begins with `OURS`, also those that are not ready."""

    def upload(self, path: Path, name: str) -> Upload:
        """Send a file under this name; it may not be `ready` yet."""

    def delete(self, file_id: str) -> None:
        """Delete a file; one that is gone already is no error."""


class JobQueue(Protocol):
    """Jobs at a provider. Raises as `FileStore` does."""

    def check(self, order: Order, *, validation: bool) -> None:
        """Raise `FineTuningRefused` or `UsageError` for what the provider never takes."""

    def create(self, order: Order, label: str, training: str, validation: str | None) -> Job:
        """Start a job on uploaded files, by their ids; never repeated by itself.

        `label` (at most 18 letters and digits) is given to the provider, to find the job by.
        """

    def jobs(self) -> Iterator[Job]:
        """All jobs of the account, newest first where the provider sorts them."""

    def job(self, job_id: str) -> Job:
        """One job as it is now."""

    def cancel(self, job_id: str) -> Job:
        """Stop a job."""

    def events(self, job_id: str) -> Sequence[JobEvent]:
        """What was said so far, oldest first; nothing where the provider has no events."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Both sides of a provider. `route` formats the id of a model into LiteLLM's name for it.

    `dialect` is that of the training files it takes.
    """

    place: Place
    files: FileStore
    queue: JobQueue
    route: str
    dialect: Dialect = "openai"

    def routed(self, tuned_model: str) -> str:
        """The tuned model as a program records it."""
        return self.route.format(tuned_model)
