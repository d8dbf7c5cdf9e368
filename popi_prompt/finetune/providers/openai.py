"""OpenAI, Azure, and every server that speaks OpenAI's files and fine-tuning jobs.

By OpenAI's own client: LiteLLM's `create_fine_tuning_job` drops `method`, so that a preference job
becomes a supervised one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from popi_prompt.errors import UsageError
from popi_prompt.finetune.job import STATUSES, Hyperparameters, Job, JobEvent, Order, Upload
from popi_prompt.finetune.provider import OURS, Place, Provider
from popi_prompt.finetune.providers import answers

_BASE = "https://api.openai.com/v1"
_METHODS = {"sft": "supervised", "preference": "dpo"}
_NAMES = {
    "epochs": "n_epochs",
    "batch_size": "batch_size",
    "learning_rate_multiplier": "learning_rate_multiplier",
    "beta": "beta",
}
_NOT_READY = ("pending", "running", "uploading")
_PURPOSE = "fine-tune"
_LABEL = "popi_prompt"
# Requests are seconds apart and nobody closes the client: no connection is kept open between them.
_HEADERS = {"Connection": "close"}
# The first version of the dated API whose jobs have a `method`.
_AZURE_VERSION = "2025-04-01-preview"
_RETRIES = 3  # of requests that change nothing
_PAGE = 100


def open_at(place: Place) -> Provider:
    """Also for Azure."""
    client = _azure(place) if place.provider == "azure" else _client(place)
    route = "azure/{}" if place.provider == "azure" else "openai/{}"
    return Provider(place, Files(place, client), Jobs(place, client), route)


def _client(place: Place) -> Any:
    import openai

    # What is not said here, the client would read from the environment as it is now.
    whose: dict[str, Any] = {
        "OpenAI-Organization": place.account or openai.Omit(),
        "OpenAI-Project": place.project or openai.Omit(),
    }
    return openai.OpenAI(
        api_key=answers.key(place, "OPENAI_API_KEY"),
        base_url=place.api_base or _BASE,
        timeout=place.timeout,
        max_retries=0,
        default_headers={**_HEADERS, **whose},
    )


def _azure(place: Place) -> Any:
    import openai

    base = place.api_base
    if base is None:
        raise UsageError("azure needs --api-base or AZURE_API_BASE, the address of your resource")
    key = answers.key(place, "AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
    if base.rstrip("/").endswith("/v1"):
        return openai.OpenAI(
            api_key=key,
            base_url=base,
            timeout=place.timeout,
            max_retries=0,
            default_headers=_HEADERS,
        )
    return openai.AzureOpenAI(
        api_key=key,
        azure_endpoint=base,
        api_version=os.environ.get("AZURE_API_VERSION") or _AZURE_VERSION,
        timeout=place.timeout,
        max_retries=0,
        default_headers=_HEADERS,
    )


@contextmanager
def _errors(place: Place, what: str) -> Iterator[None]:
    """The client's exceptions in our vocabulary."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        said = answers.message_of(error.body) or error.message
        retry = answers.seconds(error.response.headers)
        raise answers.failed(place, what, error.status_code, said, retry) from None
    except openai.APITimeoutError as error:
        raise answers.unreachable(place, what, error, arrived=True) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__
        refused = type(cause).__name__ == "ConnectError"
        shown = cause if isinstance(cause, Exception) else error
        raise answers.unreachable(place, what, shown, arrived=not refused) from None
    except (openai.APIError, ValueError) as error:
        raise answers.unexpected(place, what, error) from None


class Files:
    """See `FileStore`."""

    def __init__(self, place: Place, client: Any):
        self._place = place
        self._client = client
        self._asking = client.with_options(max_retries=_RETRIES).files

    def uploads(self) -> Iterator[Upload]:
        """By their names; the list is asked for page by page."""
        with _errors(self._place, "list files"):
            found = [each for each in self._asking.list(purpose=_PURPOSE) if _ours(each)]
        yield from map(_upload, found)

    def upload(self, path: Path, name: str) -> Upload:
        """The name is also sent as an idempotency key, for servers that heed one."""
        headers = {"Idempotency-Key": name}
        files = self._client.with_options(timeout=10 * self._place.timeout).files
        with _errors(self._place, "take a file"), path.open("rb") as file:
            return _upload(files.create(file=(name, file), purpose=_PURPOSE, extra_headers=headers))

    def delete(self, file_id: str) -> None:
        """A file that is not there is deleted."""
        import openai

        with _errors(self._place, "delete a file"):
            try:
                self._asking.delete(file_id)
            except openai.NotFoundError:
                return


class Jobs:
    """See `JobQueue`."""

    def __init__(self, place: Place, client: Any):
        self._place = place
        self._client = client
        self._asking = client.with_options(max_retries=_RETRIES).fine_tuning.jobs

    def check(self, order: Order, *, validation: bool) -> None:
        """An absolute learning rate is none of theirs."""
        if order.hyperparameters.learning_rate is not None:
            raise UsageError(
                f"{self._place.provider} takes no --learning-rate; use --learning-rate-multiplier"
            )

    def create(self, order: Order, label: str, training: str, validation: str | None) -> Job:
        """The label goes into the suffix of the model's name and into the metadata."""
        body: dict[str, Any] = {
            "model": order.model,
            "training_file": training,
            "method": _method(order),
            "suffix": label,
            "metadata": {_LABEL: label},
            "extra_headers": {"Idempotency-Key": f"{label}-job"},
        }
        if validation is not None:
            body["validation_file"] = validation
        if order.seed is not None:
            body["seed"] = order.seed
        if order.extra:
            body["extra_body"] = dict(order.extra)
        with _errors(self._place, f"tune {order.model!r}"):
            return _job(self._client.fine_tuning.jobs.create(**body), self._place)

    def jobs(self) -> Iterator[Job]:
        """Page by page, as far as they are looked at."""
        with _errors(self._place, "list jobs"):
            for each in self._asking.list(limit=_PAGE):
                yield _job(each, self._place)

    def job(self, job_id: str) -> Job:
        """With its checkpoints once it has succeeded, where the server has such."""
        with _errors(self._place, f"show job {job_id!r}"):
            found = self._asking.retrieve(job_id)
        checkpoints = self._checkpoints(job_id) if found.status == "succeeded" else ()
        return _job(found, self._place, checkpoints)

    def _checkpoints(self, job_id: str) -> tuple[str, ...]:
        import openai

        try:
            found = self._asking.checkpoints.list(job_id)
            return tuple(each.fine_tuned_model_checkpoint for each in found)
        except (openai.APIError, AttributeError):  # no part of the API that a job needs
            return ()

    def cancel(self, job_id: str) -> Job:
        """Stop a job."""
        with _errors(self._place, f"cancel job {job_id!r}"):
            return _job(self._asking.cancel(job_id), self._place)

    def events(self, job_id: str) -> Sequence[JobEvent]:
        """They come newest first."""
        with _errors(self._place, f"list events of job {job_id!r}"):
            found = list(self._asking.list_events(job_id, limit=_PAGE))
        return tuple(
            JobEvent(each.id, each.level, answers.shortened(each.message))
            for each in reversed(found)
        )


def _method(order: Order) -> dict[str, Any]:
    kind = _METHODS[order.method]
    given = _hyperparameters(order.hyperparameters)
    return {"type": kind, **({kind: {"hyperparameters": given}} if given else {})}


def _hyperparameters(wanted: Hyperparameters) -> dict[str, float]:
    return {_NAMES[name]: value for name, value in wanted.given().items()}


def _ours(file: Any) -> bool:
    return isinstance(file.filename, str) and file.filename.startswith(OURS)


def _upload(file: Any) -> Upload:
    status = str(file.status or "processed")
    broken = f"the provider could not read it: {file.status_details}" if status == "error" else None
    return Upload(file.id, file.filename, file.bytes, status not in _NOT_READY, broken)


def _job(job: Any, place: Place, checkpoints: tuple[str, ...] = ()) -> Job:
    # Azure has words of its own; "paused" is newer than the published list.
    status = {"pending": "queued", "canceled": "cancelled"}.get(job.status, job.status)
    if not isinstance(job.id, str) or not isinstance(status, str):
        raise answers.unexpected(place, "show a job", job.to_dict())
    error = job.error.message if job.error is not None and job.error.message else None
    return Job(
        job_id=job.id,
        status=status if status in STATUSES else "running",
        training_file=job.training_file,
        label=(job.metadata or {}).get(_LABEL) or (job.model_extra or {}).get("suffix"),
        tuned_model=job.fine_tuned_model or None,
        error=None if error is None else answers.shortened(error),
        trained_tokens=job.trained_tokens,
        checkpoints=checkpoints,
    )
