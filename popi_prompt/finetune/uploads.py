"""Which training files lie at providers, by the records and by the providers; and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from popi_prompt.errors import AuthenticationError, FineTuningError, UsageError
from popi_prompt.finetune.job import Upload
from popi_prompt.finetune.job_folder import JobFolder
from popi_prompt.finetune.provider import OURS, Place, Provider
from popi_prompt.finetune.record import JobRecord

_Open = Callable[[Place], Provider]


@dataclass(frozen=True, slots=True)
class Listed:
    """A file. `key` is its job's, `at_provider` whether it lies there now, None where nobody knows.

    `recorded` says whether the job's record holds its id; a file left by a killed run may not be.
    """

    place: Place
    name: str
    file_id: str
    bytes: int | None
    key: str | None
    recorded: bool
    at_provider: bool | None


@dataclass(frozen=True, slots=True)
class Files:
    """All that are known, and the places that could not be asked, with the reason."""

    files: tuple[Listed, ...]
    failures: tuple[str, ...]


def places(folder: JobFolder) -> tuple[Place, ...]:
    """Where the jobs of the folder run, each once."""
    return tuple(dict.fromkeys(record.place for record in folder.all()))


def list_files(folder: JobFolder, where: Sequence[Place], open_at: _Open) -> Files:
    """Files at these places; a place that cannot be asked is a failure, its records are listed."""
    files: list[Listed] = []
    failures: list[str] = []
    records = list(folder.all())
    for place in where:
        here = [record for record in records if record.place == place]
        there: list[Upload] | None = None
        try:
            there = list(open_at(place).files.uploads())
        except (FineTuningError, AuthenticationError, UsageError) as error:
            failures.append(str(error))
        files += _listed(place, here, there)
    return Files(tuple(files), tuple(failures))


def _listed(
    place: Place, records: Sequence[JobRecord], there: Sequence[Upload] | None
) -> Iterator[Listed]:
    jobs = {record.key: record for record in records}
    seen = set[str]()
    for each in there or ():
        job = jobs.get(_key(each.name) or "")
        known = job is not None and any(s.file_id == each.file_id for s in job.files.values())
        seen.add(each.file_id)
        key = None if job is None else job.key
        yield Listed(place, each.name, each.file_id, each.bytes, key, known, True)
    for record in records:
        for sent in record.files.values():
            if sent.file_id is None or sent.deleted or sent.file_id in seen:
                continue
            at = None if there is None else False
            yield Listed(place, sent.name, sent.file_id, sent.bytes, record.key, True, at)


def _key(name: str) -> str | None:
    """The key of the job in a file's name."""
    parts = name.removeprefix(OURS).split("-")
    return parts[0] if name.startswith(OURS) and len(parts) == 2 else None


def delete_files(folder: JobFolder, record: JobRecord, provider: Provider) -> tuple[str, ...]:
    """Delete every file of a job, also what killed runs left; returns their ids.

    Raises `UsageError` while the job may still need them.
    """
    if record.job_id is not None and not record.over:
        raise UsageError(
            f"job {record.key} is {record.status}; cancel it first, or wait until it is over"
        )
    found = [each for each in provider.files.uploads() if _key(each.name) == record.key]
    recorded = [each.file_id for each in record.files.values() if not each.deleted]
    ids = dict.fromkeys([each.file_id for each in found] + [each for each in recorded if each])
    for file_id in ids:
        provider.files.delete(file_id)
    folder.update(record.key, _without_files)
    return tuple(each.file_id for each in found)


def _without_files(record: JobRecord) -> JobRecord:
    """Those of a job that is not submitted can be sent again."""
    unsent: dict[str, Any] = {"file_id": None, "asked": None}
    gone = unsent if record.job_id is None else {"deleted": True}
    files = {part: replace(sent, **gone) for part, sent in record.files.items()}
    return replace(record, files=files)
