"""Together: files behind signed addresses, and jobs at `/fine-tunes`.

https://docs.together.ai/reference/post-fine-tunes (read 2026-11-24); the upload is that of its own
Python client, together 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from popi_prompt.errors import FineTuningRefused, UsageError
from popi_prompt.finetune.job import Job, JobEvent, Order, Status, Upload
from popi_prompt.finetune.provider import OURS, Place, Provider
from popi_prompt.finetune.providers import answers
from popi_prompt.finetune.providers.rest import Rest, objects

_BASE = "https://api.together.xyz/v1"
_STATUSES: Mapping[str, Status] = {
    "pending": "queued",
    "queued": "queued",
    "running": "running",
    "compressing": "running",
    "uploading": "running",
    "cancel_requested": "running",
    "cancelled": "cancelled",
    "error": "failed",
    "completed": "succeeded",
}


def open_at(place: Place) -> Provider:
    """By TOGETHER_API_KEY."""
    key = answers.key(place, "TOGETHER_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY")
    base = (place.api_base or _BASE).rstrip("/")
    rest = Rest(place, base, {"Authorization": f"Bearer {key}"})
    return Provider(place, Files(rest), Jobs(rest), "together_ai/{}")


class Files:
    """See `FileStore`."""

    def __init__(self, rest: Rest):
        self._rest = rest

    def uploads(self) -> Iterator[Upload]:
        """A file that was announced and never sent has no bytes, and is not one."""
        answer = self._rest.ask("GET", "/files", "list files")
        for each in objects(answer.get("data")):
            if str(each.get("filename", "")).startswith(OURS):
                yield self._upload(each)

    def upload(self, path: Path, name: str) -> Upload:
        """Announce it, send it to the signed address, and have it looked at."""
        what = "take a file"
        about = {"purpose": "fine-tune", "file_name": name, "file_type": "jsonl"}
        announced = self._rest.send("POST", "/files", what, data=about)
        address = announced.headers.get("location")
        file_id = announced.headers.get("x-together-file-id")
        if not address or not file_id:
            raise answers.unexpected(self._rest.place, what, announced.text)
        with path.open("rb") as file:
            length = {"Content-Length": str(path.stat().st_size)}
            timeout = 10 * self._rest.place.timeout
            self._rest.send("PUT", address, what, content=file, headers=length, timeout=timeout)
        return self._upload(self._rest.ask("POST", f"/files/{file_id}/preprocess", what))

    def delete(self, file_id: str) -> None:
        """A file that is not there is deleted."""
        try:
            self._rest.ask("DELETE", f"/files/{file_id}", "delete a file")
        except FineTuningRefused as error:
            if error.status != 404:
                raise

    def _upload(self, raw: Mapping[str, Any]) -> Upload:
        if not isinstance(raw.get("id"), str):
            raise answers.unexpected(self._rest.place, "show a file", raw)
        ready = raw.get("Processed", True) is True
        return Upload(raw["id"], str(raw.get("filename")), int(raw.get("bytes") or 0), ready)


class Jobs:
    """See `JobQueue`."""

    def __init__(self, rest: Rest):
        self._rest = rest

    def check(self, order: Order, *, validation: bool) -> None:
        """Learning rates are absolute, and there is no seed."""
        if order.hyperparameters.learning_rate_multiplier is not None:
            raise UsageError("together takes no --learning-rate-multiplier; use --learning-rate")
        if order.seed is not None:
            raise UsageError("together takes no --seed")

    def create(self, order: Order, label: str, training: str, validation: str | None) -> Job:
        """The label is the suffix of the model's name."""
        given = order.hyperparameters
        wanted = {
            "validation_file": validation,
            "n_epochs": given.epochs,
            "batch_size": given.batch_size,
            "learning_rate": given.learning_rate,
        }
        body = {
            "model": order.model,
            "training_file": training,
            "suffix": label,
            "training_method": _method(order),
            **{name: value for name, value in wanted.items() if value is not None},
            **order.extra,
        }
        if validation is not None and "n_evals" not in body:
            body["n_evals"] = 1  # 0 is the default, which leaves the file unused
        what = f"tune {order.model!r}"
        headers = {"Idempotency-Key": f"{label}-job"}
        return self._job(self._rest.ask("POST", "/fine-tunes", what, json=body, headers=headers))

    def jobs(self) -> Iterator[Job]:
        """All at once: there are no pages."""
        answer = self._rest.ask("GET", "/fine-tunes", "list jobs")
        yield from map(self._job, objects(answer.get("data")))

    def job(self, job_id: str) -> Job:
        """One job as it is now."""
        return self._job(self._rest.ask("GET", f"/fine-tunes/{job_id}", f"show job {job_id!r}"))

    def cancel(self, job_id: str) -> Job:
        """It takes a while: the job is running until then."""
        what = f"cancel job {job_id!r}"
        return self._job(self._rest.ask("POST", f"/fine-tunes/{job_id}/cancel", what))

    def events(self, job_id: str) -> Sequence[JobEvent]:
        """They have no ids; their time and text stand in."""
        path, what = f"/fine-tunes/{job_id}/events", f"list events of job {job_id!r}"
        found = objects(self._rest.ask("GET", path, what).get("data"))
        return tuple(map(_event, sorted(found, key=lambda each: str(each.get("created_at")))))

    def _job(self, raw: Mapping[str, Any]) -> Job:
        if not isinstance(raw.get("id"), str):
            raise answers.unexpected(self._rest.place, "show a job", raw)
        status = _STATUSES.get(str(raw.get("status")), "running")
        return Job(
            job_id=raw["id"],
            status=status,
            training_file=raw.get("training_file"),
            label=raw.get("suffix"),
            tuned_model=raw.get("model_output_name") if status == "succeeded" else None,
            error=_error(raw) if status == "failed" else None,
            trained_tokens=raw.get("token_count"),
        )


def _method(order: Order) -> dict[str, Any]:
    if order.method == "sft":
        return {"method": "sft", "train_on_inputs": "auto"}
    beta = order.hyperparameters.beta
    return {"method": "dpo", **({} if beta is None else {"dpo_beta": beta})}


def _error(raw: Mapping[str, Any]) -> str:
    """The last event says why."""
    events = objects(raw.get("events"))
    return answers.shortened(str(events[-1].get("message"))) if events else "no reason is given"


def _event(raw: Mapping[str, Any]) -> JobEvent:
    message = answers.shortened(str(raw.get("message")))
    level = str(raw.get("level") or "info").removeprefix("legacy_")
    return JobEvent(f"{raw.get('created_at')} {raw.get('type')} {message}", level, message)
