"""The record of a job on disk: everything that is needed to go on with it, and no text of users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from popi_prompt.errors import DataError
from popi_prompt.finetune.job import (
    METHODS,
    OVER,
    STATUSES,
    Hyperparameters,
    Job,
    Order,
    Part,
    Status,
)
from popi_prompt.finetune.provider import NAMES, OURS, Place
from popi_prompt.finetune.training_file import TrainingFile

SCHEMA_VERSION = 1
_VERSION_KEY = "popi_prompt_finetune"
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file of a job. `asked` is when it was last sent, in epoch seconds: for a while after that
    the provider may not list it yet.
    """

    path: str
    name: str
    sha256: str
    bytes: int
    lines: int
    file_id: str | None = None
    asked: float | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job, from before the first byte is sent on.

    `key` is a fingerprint of place, order, contents and attempt; the names of its files and its
    label at the provider hold it. `asked` is when the job was last asked for, in epoch seconds,
    until its id is known.
    """

    key: str
    place: Place
    order: Order
    files: Mapping[Part, Sent]
    attempt: int = 1
    asked: float | None = None
    job_id: str | None = None
    status: Status | None = None
    tuned_model: str | None = None
    error: str | None = None
    trained_tokens: int | None = None
    checkpoints: tuple[str, ...] = ()
    last_event: str | None = None

    @property
    def label(self) -> str:
        """What the provider is given to find the job by: 16 letters and digits."""
        return f"popi{self.key[:12]}"

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self.status in OVER

    def with_job(self, job: Job) -> JobRecord:
        """The record after the provider said how the job is."""
        return replace(
            self,
            asked=None,
            job_id=job.job_id,
            status=job.status,
            tuned_model=job.tuned_model or self.tuned_model,
            error=job.error,
            trained_tokens=job.trained_tokens or self.trained_tokens,
            checkpoints=job.checkpoints or self.checkpoints,
        )

    def at(self, place: Place) -> JobRecord:
        """The record once the job was seen there, if it is from before that was on record."""
        return self if self.place.resolved else replace(self, place=place)

    def with_file(self, part: Part, **changes: Any) -> JobRecord:
        """The record with fields of a file changed."""
        return replace(self, files={**self.files, part: replace(self.files[part], **changes)})

    def as_record(self) -> dict[str, Any]:
        """The JSON object of the file; `record_from` reads it back."""
        values = asdict(self)
        values["checkpoints"] = list(self.checkpoints)
        return {_VERSION_KEY: SCHEMA_VERSION, **values}


def new_record(
    place: Place, order: Order, parts: Mapping[Part, TrainingFile], attempt: int = 1
) -> JobRecord:
    """A job of which nothing has been sent. The same values give the same key anywhere."""
    about = {
        "place": list(place.identity),
        "order": asdict(order),
        "files": {part: file.sha256 for part, file in parts.items()},
        "attempt": attempt,
    }
    written = json.dumps(about, sort_keys=True, separators=(",", ":"))
    key = hashlib.sha256(written.encode()).hexdigest()[:16]
    files = {
        part: Sent(
            path=str(file.path.absolute()),
            name=f"{OURS}{key}-{part}.jsonl",
            sha256=file.sha256,
            bytes=file.bytes,
            lines=file.lines,
        )
        for part, file in parts.items()
    }
    return JobRecord(key, place, order, files, attempt)


def record_from(raw: Any) -> JobRecord:
    """A record from its JSON object. Raises `DataError`."""
    if not isinstance(raw, dict) or _VERSION_KEY not in raw:
        raise DataError("is not the record of a job")
    if raw[_VERSION_KEY] != SCHEMA_VERSION:
        raise DataError(
            f"has schema version {raw[_VERSION_KEY]!r}, expected {SCHEMA_VERSION}; was it written "
            "by another popi-prompt?"
        )
    try:
        values = {name: value for name, value in raw.items() if name != _VERSION_KEY}
        order = dict(values.pop("order"))
        order["hyperparameters"] = Hyperparameters(**order["hyperparameters"])
        record = JobRecord(
            **{
                **values,
                "place": Place(**values["place"]),
                "order": Order(**order),
                "files": {part: Sent(**sent) for part, sent in values["files"].items()},
                "checkpoints": tuple(values["checkpoints"]),
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"is damaged ({error})") from None
    _check(record)
    return record


def _check(record: JobRecord) -> None:
    sound = (
        record.place.provider in NAMES
        and record.order.method in METHODS
        and (record.status is None or record.status in STATUSES)
        and all(part in PARTS for part in record.files)
        and "train" in record.files
    )
    if not sound:
        raise DataError("is damaged: it holds a name that is none")
