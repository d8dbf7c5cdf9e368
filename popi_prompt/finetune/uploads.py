"""Which training files lie at providers, by the records and by the providers; and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from popi_prompt.errors import AuthenticationError, FineTuningError, UsageError
from popi_prompt.finetune.environment import resolved, undecided
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
    return tuple(dict.fromkeys(resolved(record.place) for record in folder.all()))


def list_files(folder: JobFolder, where: Sequence[Place], open_at: _Open) -> Files:
    """Files at these places, each once, also where two keys lead to one account.

    A place that cannot be asked is a failure; its records are listed.
    """
    files: dict[tuple[Any, str], Listed] = {}
    failures: list[str] = []
    records = [(record, resolved(record.place)) for record in folder.all()]
    for place in map(resolved, where):
        own = [record for record, its in records if its == place]
        there: list[Upload] | None = None
        opened = place
        try:
            provider = open_at(place)
            opened, there = provider.place, list(provider.files.uploads())
        except (FineTuningError, AuthenticationError, UsageError) as error:
            failures.append(str(error))
        near = [record for record, its in records if its.identity == opened.identity]
        for each in _listed(opened, own, (*own, *near), there):
            found = files.setdefault((opened.identity, each.file_id), each)
            if each.at_provider and not found.at_provider:
                files[opened.identity, each.file_id] = each
    return Files(tuple(files.values()), tuple(failures))


def _listed(
    place: Place,
    own: Sequence[JobRecord],
    known: Sequence[JobRecord],
    there: Sequence[Upload] | None,
) -> Iterator[Listed]:
    """What lies there, of any job known, and what the records of its own say lies there."""
    jobs = {record.key: record for record in known}
    seen = set[str]()
    for each in there or ():
        job = jobs.get(_key(each.name) or "")
        recorded = job is not None and any(s.file_id == each.file_id for s in job.files.values())
        seen.add(each.file_id)
        key = None if job is None else job.key
        yield Listed(place, each.name, each.file_id, each.bytes, key, recorded, True)
    for record in own:
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

    Raises `UsageError` while the job may still need them, and where they may lie elsewhere.
    """
    _check_unneeded(record)
    there = list(provider.files.uploads())
    found = [each for each in there if _key(each.name) == record.key]
    recorded = [s.file_id for s in record.files.values() if s.file_id and not s.deleted]
    unseen = set(recorded).difference(each.file_id for each in there)
    if unseen and undecided(record.place):
        raise UsageError(
            f"file {min(unseen)} of job {record.key} is not at {provider.place.shown} and may lie "
            "elsewhere: the record is of a time when it did not tell; set "
            f"{', '.join(undecided(record.place))} as they were when it was submitted"
        )
    for file_id in dict.fromkeys([each.file_id for each in found] + recorded):
        provider.files.delete(file_id)
    folder.update(record.key, _without_files)
    return tuple(each.file_id for each in found)


def _check_unneeded(record: JobRecord) -> None:
    if record.job_id is not None and not record.over:
        raise UsageError(
            f"job {record.key} is {record.status}; cancel it first, or wait until it is over"
        )
    if record.job_id is None and record.asked is not None:
        raise UsageError(
            f"job {record.key} may have been started: the answer to that was lost; run the same "
            "`finetune submit` again, which finds it, then wait or cancel it first"
        )


def _without_files(record: JobRecord) -> JobRecord:
    """Those of a job that is not submitted can be sent again."""
    unsent: dict[str, Any] = {"file_id": None, "asked": None}
    gone = unsent if record.job_id is None else {"deleted": True}
    files = {part: replace(sent, **gone) for part, sent in record.files.items()}
    return replace(record, files=files)
