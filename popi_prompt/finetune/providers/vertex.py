"""Vertex AI: files in a bucket of one's own, supervised tuning jobs of Gemini models.

By REST: LiteLLM creates such jobs, but cannot look at them again. Its credentials are used.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.tuningJobs and
https://cloud.google.com/storage/docs/json_api/v1/objects (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from popi_prompt.errors import FineTuningRefused, UsageError
from popi_prompt.finetune.job import Job, JobEvent, Order, Status, Upload
from popi_prompt.finetune.provider import OURS, Place, Provider
from popi_prompt.finetune.providers import answers
from popi_prompt.finetune.providers.rest import Rest
from popi_prompt.models.vertex_token import vertex_token

_STORAGE = "https://storage.googleapis.com"
_STATUSES: Mapping[str, Status] = {
    "JOB_STATE_QUEUED": "queued",
    "JOB_STATE_PENDING": "queued",
    "JOB_STATE_RUNNING": "running",
    "JOB_STATE_SUCCEEDED": "succeeded",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "succeeded",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_EXPIRED": "failed",
    "JOB_STATE_CANCELLED": "cancelled",
    "JOB_STATE_CANCELLING": "running",
}


def open_at(place: Place) -> Provider:
    """By VERTEXAI_PROJECT, VERTEXAI_LOCATION and GCS_BUCKET_NAME.

    The token is that of `api_key_env`, or found by Google's rules. `api_base` stands in for both
    services' addresses.
    """
    bucket, project = place.bucket, place.project
    if bucket is None:
        raise UsageError("vertex needs GCS_BUCKET_NAME, a bucket for the training files")
    if place.api_key_env is not None or place.api_base is not None:
        token = answers.key(place)
    else:
        token, found = vertex_token(project)
        project = project or found
    if not project:
        raise UsageError("vertex needs VERTEXAI_PROJECT, the id of your project")
    place = replace(place, project=project)
    own = None if place.api_base is None else place.api_base.rstrip("/")
    headers = {"Authorization": f"Bearer {token}"}
    jobs = f"{own or f'https://{place.location}-aiplatform.googleapis.com'}/v1"
    parent = f"/projects/{project}/locations/{place.location}"
    files = Files(Rest(place, own or _STORAGE, headers), bucket)
    return Provider(
        place, files, Jobs(Rest(place, jobs, headers), parent), "vertex_ai/gemini/{}", "vertex"
    )


class Files:
    """See `FileStore`. A file's id is its address in the bucket."""

    def __init__(self, rest: Rest, bucket: str):
        self._rest = rest
        self._bucket = bucket

    def uploads(self) -> Iterator[Upload]:
        """By the beginning of their names."""
        path, params = f"/storage/v1/b/{self._bucket}/o", {"prefix": OURS}
        for raw in self._rest.pages(path, "list files", "items", params):
            yield self._upload(raw)

    def upload(self, path: Path, name: str) -> Upload:
        """Written whole or not at all; the same name twice is one object."""
        address = f"/upload/storage/v1/b/{self._bucket}/o"
        with path.open("rb") as file:
            answer = self._rest.ask(
                "POST",
                address,
                "take a file",
                params={"uploadType": "media", "name": name},
                content=file,
                headers={"Content-Type": "application/jsonl"},
                timeout=10 * self._rest.place.timeout,
            )
        return self._upload(answer)

    def delete(self, file_id: str) -> None:
        """An object that is not there is deleted."""
        name = file_id.removeprefix(f"gs://{self._bucket}/")
        path = f"/storage/v1/b/{self._bucket}/o/{quote(name, safe='')}"
        try:
            self._rest.send("DELETE", path, "delete a file")
        except FineTuningRefused as error:
            if error.status != 404:
                raise

    def _upload(self, raw: Mapping[str, Any]) -> Upload:
        name = raw.get("name")
        if not isinstance(name, str):
            raise answers.unexpected(self._rest.place, "show a file", raw)
        size = str(raw.get("size", ""))
        return Upload(f"gs://{self._bucket}/{name}", name, int(size) if size.isdigit() else None)


class Jobs:
    """See `JobQueue`."""

    def __init__(self, rest: Rest, parent: str):
        self._rest = rest
        self._parent = parent

    def check(self, order: Order, *, validation: bool) -> None:
        """Supervised tuning alone."""
        given = order.hyperparameters
        if order.method != "sft":
            raise FineTuningRefused(
                "preference jobs are not supported here; use --method sft, or another --provider",
                provider="vertex",
            )
        if given.learning_rate is not None:
            raise UsageError("vertex takes no --learning-rate; use --learning-rate-multiplier")
        if given.batch_size is not None or order.seed is not None:
            raise UsageError("vertex takes neither --batch-size nor --seed")

    def create(self, order: Order, label: str, training: str, validation: str | None) -> Job:
        """The label is the model's display name; `extra` are fields of `supervisedTuningSpec`."""
        given = order.hyperparameters
        wanted = {
            "epochCount": None if given.epochs is None else str(given.epochs),
            "learningRateMultiplier": given.learning_rate_multiplier,
        }
        set_ = {name: value for name, value in wanted.items() if value is not None}
        spec: dict[str, Any] = {"trainingDatasetUri": training}
        if validation is not None:
            spec["validationDatasetUri"] = validation
        if set_:
            spec["hyperParameters"] = set_
        body = {
            "baseModel": order.model,
            "tunedModelDisplayName": label,
            "supervisedTuningSpec": {**spec, **order.extra},
        }
        what = f"tune {order.model!r}"
        return self._job(self._rest.ask("POST", f"{self._parent}/tuningJobs", what, json=body))

    def jobs(self) -> Iterator[Job]:
        """Of the location, newest first."""
        path = f"{self._parent}/tuningJobs"
        yield from map(self._job, self._rest.pages(path, "list jobs", "tuningJobs"))

    def job(self, job_id: str) -> Job:
        """One job as it is now; its id is the whole resource name."""
        return self._job(self._rest.ask("GET", f"/{job_id}", f"show job {job_id!r}"))

    def cancel(self, job_id: str) -> Job:
        """It may take a while."""
        self._rest.ask("POST", f"/{job_id}:cancel", f"cancel job {job_id!r}", json={})
        return self.job(job_id)

    def events(self, job_id: str) -> Sequence[JobEvent]:
        """There are none."""
        return ()

    def _job(self, raw: Mapping[str, Any]) -> Job:
        name = raw.get("name")
        if not isinstance(name, str):
            raise answers.unexpected(self._rest.place, "show a job", raw)
        status = _STATUSES.get(str(raw.get("state")), "queued")
        spec, model, error = (
            each if isinstance(each, Mapping) else {}
            for each in map(raw.get, ("supervisedTuningSpec", "tunedModel", "error"))
        )
        endpoint = str(model.get("endpoint") or "").rpartition("/")[2]
        return Job(
            job_id=name,
            status=status,
            training_file=spec.get("trainingDatasetUri"),
            label=raw.get("tunedModelDisplayName"),
            tuned_model=endpoint or None,
            error=answers.shortened(str(error.get("message"))) if error else None,
        )
