"""Fireworks: datasets and jobs whose ids are ours to choose, so that nothing is made twice.

https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api and
https://docs.fireworks.ai/api-reference/create-dpo-job (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from popi_prompt.errors import FineTuningRefused, FineTuningUnavailable, UsageError
from popi_prompt.finetune.job import Job, JobEvent, Order, Status, Upload
from popi_prompt.finetune.provider import OURS, Place, Provider
from popi_prompt.finetune.providers import answers
from popi_prompt.finetune.providers.rest import Rest

_BASE = "https://api.fireworks.ai"
_KINDS = {"sft": "supervisedFineTuningJobs", "preference": "dpoJobs"}
_IDS = {"sft": "supervisedFineTuningJobId", "preference": "dpoJobId"}
_SUFFIX = ".jsonl"  # no part of a dataset's id
_THERE = 409
_STATUSES: Mapping[str, Status] = {
    "JOB_STATE_VALIDATING": "validating_files",
    "JOB_STATE_CREATING": "queued",
    "JOB_STATE_CREATING_INPUT_DATASET": "queued",
    "JOB_STATE_PENDING": "queued",
    "JOB_STATE_RE_QUEUEING": "queued",
    "JOB_STATE_COMPLETED": "succeeded",
    "JOB_STATE_EARLY_STOPPED": "succeeded",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_EXPIRED": "failed",
    "JOB_STATE_CANCELLED": "cancelled",
    "JOB_STATE_DELETING": "cancelled",
    "JOB_STATE_DELETING_CLEANING_UP": "cancelled",
}


def open_at(place: Place) -> Provider:
    """By FIREWORKS_API_KEY and FIREWORKS_ACCOUNT_ID."""
    key = answers.key(place, "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY")
    account = place.account
    if account is None:
        raise UsageError("fireworks needs FIREWORKS_ACCOUNT_ID, the id of your account")
    base = (place.api_base or _BASE).rstrip("/").removesuffix("/v1")
    rest = Rest(place, f"{base}/v1/accounts/{account}", {"Authorization": f"Bearer {key}"})
    prefix = f"accounts/{account}"
    return Provider(place, Files(rest), Jobs(rest, prefix), "fireworks_ai/{}")


class Files:
    """See `FileStore`. A file's id is that of its dataset.

    Their size is not told. What is not ready may never have been sent, and counts as empty.
    """

    def __init__(self, rest: Rest):
        self._rest = rest

    def uploads(self) -> Iterator[Upload]:
        """Page by page."""
        for raw in self._rest.pages("/datasets", "list datasets", "datasets", {"pageSize": 200}):
            dataset_id = _last(raw.get("name"))
            if dataset_id.startswith(OURS):
                yield _upload(dataset_id, raw)

    def upload(self, path: Path, name: str) -> Upload:
        """Make the dataset unless it is there, and send its contents."""
        what, dataset_id = "take a file", name.removesuffix(_SUFFIX)
        body = {"datasetId": dataset_id, "dataset": {"userUploaded": {}}}
        try:
            self._rest.ask("POST", "/datasets", what, json=body)
        except (FineTuningRefused, FineTuningUnavailable):
            # Whether it is there now decides, not why it could not be made.
            if dataset_id not in [each.file_id for each in self.uploads()]:
                raise
        with path.open("rb") as file:
            timeout = 10 * self._rest.place.timeout
            sent = {"file": (name, file)}
            address = f"/datasets/{dataset_id}:upload"
            self._rest.send("POST", address, what, files=sent, timeout=timeout)
        return _upload(dataset_id, self._rest.ask("GET", f"/datasets/{dataset_id}", what))

    def delete(self, file_id: str) -> None:
        """A dataset that is not there is deleted."""
        try:
            self._rest.ask("DELETE", f"/datasets/{file_id}", "delete a file")
        except FineTuningRefused as error:
            if error.status != 404:
                raise


class Jobs:
    """See `JobQueue`. An id says whether it is of a supervised or a preference job."""

    def __init__(self, rest: Rest, account: str):
        self._rest = rest
        self._account = account

    def check(self, order: Order, *, validation: bool) -> None:
        """What their jobs have no field for."""
        given = order.hyperparameters
        if given.learning_rate_multiplier is not None:
            raise UsageError("fireworks takes no --learning-rate-multiplier; use --learning-rate")
        if given.batch_size is not None:
            raise UsageError("fireworks counts batches in tokens; use --extra batchSize=TOKENS")
        if order.seed is not None:
            raise UsageError("fireworks takes no --seed")
        if validation and order.method == "preference":
            raise UsageError("fireworks takes no --validation file for preference jobs")

    def create(self, order: Order, label: str, training: str, validation: str | None) -> Job:
        """The label is the job's id, so that a second one cannot be made."""
        what, kind = f"tune {order.model!r}", _KINDS[order.method]
        body = self._body(order, label, training, validation)
        try:
            answer = self._rest.ask(
                "POST", f"/{kind}", what, json=body, params={_IDS[order.method]: label}
            )
        except FineTuningUnavailable as error:
            if f"HTTP {_THERE}" not in error.problem:
                raise
            return self.job(f"{kind}/{label}")
        return _job(answer, kind)

    def _body(
        self, order: Order, label: str, training: str, validation: str | None
    ) -> dict[str, Any]:
        given = order.hyperparameters
        training_config = {
            "baseModel": order.model,
            "outputModel": f"{self._account}/models/{label}",
            "epochs": given.epochs,
            "learningRate": given.learning_rate,
        }
        config = {name: value for name, value in training_config.items() if value is not None}
        body = {"dataset": f"{self._account}/datasets/{training}", "displayName": label}
        if order.method == "sft":
            if validation is not None:
                body["evaluationDataset"] = f"{self._account}/datasets/{validation}"
            return {**body, **config, **order.extra}
        loss = {} if given.beta is None else {"lossConfig": {"method": "DPO", "klBeta": given.beta}}
        return {**body, "trainingConfig": {**config, **order.extra}, **loss}

    def jobs(self) -> Iterator[Job]:
        """Of both kinds."""
        for kind in _KINDS.values():
            for raw in self._rest.pages(f"/{kind}", "list jobs", kind, {"pageSize": 200}):
                yield _job(raw, kind)

    def job(self, job_id: str) -> Job:
        """One job as it is now."""
        kind = job_id.partition("/")[0]
        return _job(self._rest.ask("GET", f"/{job_id}", f"show job {job_id!r}"), kind)

    def cancel(self, job_id: str) -> Job:
        """It may take a while."""
        self._rest.ask("POST", f"/{job_id}:cancel", f"cancel job {job_id!r}", json={})
        return self.job(job_id)

    def events(self, job_id: str) -> Sequence[JobEvent]:
        """How far a supervised job is; there are no events."""
        raw = self._rest.ask("GET", f"/{job_id}", f"show job {job_id!r}")
        progress = raw.get("jobProgress")
        percent = progress.get("percent") if isinstance(progress, Mapping) else None
        if not percent:
            return ()
        return (JobEvent(f"{percent}", "info", f"{percent}% done"),)


def _last(name: Any) -> str:
    return str(name or "").rpartition("/")[2]


def _upload(dataset_id: str, raw: Mapping[str, Any]) -> Upload:
    ready = raw.get("state") == "READY"
    return Upload(dataset_id, f"{dataset_id}{_SUFFIX}", None if ready else 0, ready)


def _job(raw: Mapping[str, Any], kind: str) -> Job:
    status = _STATUSES.get(str(raw.get("state")), "running")
    told = raw.get("status")
    said = told.get("message") if isinstance(told, Mapping) else None
    config = raw.get("trainingConfig")
    output = (config if isinstance(config, Mapping) else raw).get("outputModel")
    return Job(
        job_id=f"{kind}/{_last(raw.get('name'))}",
        status=status,
        training_file=_last(raw.get("dataset")),
        label=raw.get("displayName"),
        tuned_model=output if status == "succeeded" else None,
        error=answers.shortened(str(said)) if said and status == "failed" else None,
    )
