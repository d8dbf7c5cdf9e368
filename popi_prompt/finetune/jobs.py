"""Submit a job once, watch it, stop it. Everything may be killed anywhere and run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from popi_prompt.errors import FineTuningRefused, FineTuningUnavailable, JobError, UsageError
from popi_prompt.events import Noted, Observer, ignore
from popi_prompt.finetune.job import Job, JobEvent, Order, Part, Upload
from popi_prompt.finetune.job_folder import JobFolder
from popi_prompt.finetune.once import Once
from popi_prompt.finetune.once import Pace as Pace
from popi_prompt.finetune.provider import Place, Provider
from popi_prompt.finetune.record import JobRecord, new_record
from popi_prompt.finetune.training_file import TrainingFile, fingerprint

_READING_SECONDS = 1800.0
_PATIENCE = 20  # unanswered looks in a row


@dataclass(frozen=True, slots=True)
class Submission:
    """Submits jobs of a folder; `watch` and `cancel` need no more than the record."""

    folder: JobFolder
    provider: Provider
    observer: Observer = ignore
    pace: Pace = Pace()

    def submit(
        self, order: Order, parts: Mapping[Part, TrainingFile], *, again: bool = False
    ) -> JobRecord:
        """Start the job, or go on with the one of the same contents and settings.

        With `again`, one that failed or was cancelled is followed by another. Raises `UsageError`
        and `FineTuningRefused` before anything is sent for what the provider never takes.
        """
        self._check(order, parts)
        for attempt in count(1):
            record = self._record(order, parts, attempt)
            known = self.folder.get(record.key)
            if known is None or not again or known.status not in ("failed", "cancelled"):
                break
        with self.folder.submitting(record.key):
            return self._go_on(self.folder.add(record), parts)

    def _record(self, order: Order, parts: Mapping[Part, TrainingFile], attempt: int) -> JobRecord:
        """A new one, or that of before accounts were on record, where its job or files are here."""
        place = self.provider.place
        record = new_record(place, order, parts, attempt)
        if self.folder.get(record.key) is None:
            for base in dict.fromkeys((place.api_base, None)):
                unresolved = Place(place.provider, base)
                older = self.folder.get(new_record(unresolved, order, parts, attempt).key)
                if older is not None and not older.place.resolved and self._is_here(older):
                    return self.folder.update(older.key, lambda now: now.at(place))
        return record

    def _check(self, order: Order, parts: Mapping[Part, TrainingFile]) -> None:
        if order.hyperparameters.beta is not None and order.method != "preference":
            raise UsageError("--beta is for --method preference only")
        for part, file in parts.items():
            if file.dialect != self.provider.dialect:
                raise UsageError(
                    f"the {part} file is in {file.dialect}'s format; "
                    f"{self.provider.place.provider} takes {self.provider.dialect}'s: export it "
                    f"for --provider {self.provider.place.provider}"
                )
        if "validation" in parts and parts["validation"].sha256 == parts["train"].sha256:
            raise UsageError("the validation file is the training file")
        self.provider.queue.check(order, validation="validation" in parts)

    def _go_on(self, record: JobRecord, parts: Mapping[Part, TrainingFile]) -> JobRecord:
        if record.job_id is not None:
            self.observer(Noted(f"job {record.key} was submitted before: {record.job_id}"))
            return record
        for part, file in parts.items():
            record = self._uploaded(record, part, file.path)
        ids = {part: sent.file_id for part, sent in record.files.items()}

        def create() -> Job:
            training, validation = ids["train"], ids.get("validation")
            assert training is not None
            return self.provider.queue.create(record.order, record.label, training, validation)

        def mark(asked: float | None) -> None:
            self._save(record.key, lambda now: replace(now, asked=asked))

        job = Once(lambda: self._job_of(record), create, mark, self.pace).made(record.asked)
        self.observer(Noted(f"job {record.key} is {job.job_id} ({record.place.shown})"))
        place = self.provider.place
        return self._save(record.key, lambda now: now.with_job(job).at(place))

    def _uploaded(self, record: JobRecord, part: Part, path: Path) -> JobRecord:
        """The record once the provider has the file and can use it."""
        sent = record.files[part]
        if fingerprint(path) != sent.sha256:
            raise UsageError(f"{str(path)!r} was changed while it was submitted; submit it anew")

        def find() -> Upload | None:
            return self._upload_of(record, part)

        def mark(asked: float | None) -> None:
            self._save(record.key, lambda now: now.with_file(part, asked=asked))

        def send() -> Upload:
            self.observer(Noted(f"sending {path.name} ({sent.bytes} bytes) as {sent.name}"))
            return self.provider.files.upload(path, sent.name)

        # Also what is on record is waited for: it may not be listed yet.
        found = Once(find, send, mark, self.pace).made(sent.asked)
        # Before it is ready: what was sent must be known to be listed and deleted.
        record = self._save(record.key, lambda now: now.with_file(part, file_id=found.file_id))
        self._ready(found, find)
        return record

    def _ready(self, found: Upload | None, find: Callable[[], Upload | None]) -> None:
        delay, until = self.pace.poll, time.monotonic() + _READING_SECONDS
        while found is None or not found.ready:
            if found is not None and found.error is not None:
                break
            if time.monotonic() > until:
                problem = "is still reading the file; run the same command again to go on"
                raise FineTuningUnavailable(problem, provider=self.provider.place.shown)
            time.sleep(delay)
            delay = min(1.5 * delay, self.pace.slowest)
            found = find()
        if found.error is not None:
            problem = f"cannot use the file: {found.error}"
            raise FineTuningRefused(problem, provider=self.provider.place.shown)

    def _upload_of(self, record: JobRecord, part: Part) -> Upload | None:
        """The file as recorded, else one of its name and size that an earlier run left there."""
        sent = record.files[part]
        named = [each for each in self.provider.files.uploads() if each.name == sent.name]
        whole = [each for each in named if each.bytes in (sent.bytes, None)]
        return next((each for each in named if each.file_id == sent.file_id), None) or next(
            iter(whole), None
        )

    def _job_of(self, record: JobRecord) -> Job | None:
        """The job an earlier run left at the provider, by its label or its file."""
        training = record.files["train"].file_id
        found = [
            job
            for job in self.provider.queue.jobs()
            if job.label == record.label or (training is not None and job.training_file == training)
        ]
        alive = [job for job in found if job.status not in ("failed", "cancelled")]
        return next(iter(alive or found), None)

    def _is_here(self, record: JobRecord) -> bool:
        return self._job_of(record) is not None or any(
            self._upload_of(record, part) is not None for part in record.files
        )

    def _save(self, key: str, change: Callable[[JobRecord], JobRecord]) -> JobRecord:
        return self.folder.update(key, change)


def look(
    folder: JobFolder, record: JobRecord, provider: Provider, observer: Observer = ignore
) -> JobRecord:
    """Ask how the job is, tell what is new, and keep it. One that is over is not asked about."""
    if record.over:
        return record
    job = provider.queue.job(job_id(record))
    events = _new(provider.queue.events(job.job_id), record.last_event)
    for event in events:
        observer(
            Noted(event.message if event.level == "info" else f"{event.level}: {event.message}")
        )
    if job.status != record.status:
        observer(Noted(f"job {record.key}: {job.status.replace('_', ' ')}"))
    last = events[-1].event_id if events else record.last_event
    return folder.update(
        record.key, lambda now: replace(now.with_job(job).at(provider.place), last_event=last)
    )


def wait(
    folder: JobFolder,
    record: JobRecord,
    provider: Provider,
    observer: Observer = ignore,
    pace: Pace = Pace(),
) -> JobRecord:
    """Look again and again until the job is over. An interrupted wait is simply started again.

    Raises `FineTuningUnavailable` where the provider has not answered 20 times in a row.
    """
    delay, unanswered = pace.poll, 0
    while not record.over:
        try:
            record = look(folder, record, provider, observer)
            unanswered = 0
        except FineTuningUnavailable as error:
            unanswered += 1
            if unanswered == _PATIENCE:
                raise
            if unanswered == 1:
                observer(Noted(f"{error.problem}; asking again"))
        if not record.over:
            time.sleep(delay)
            delay = min(1.5 * delay, pace.slowest)
    return record


def cancel(folder: JobFolder, record: JobRecord, provider: Provider) -> JobRecord:
    """Stop a job; one that is over stays as it is."""
    if record.over:
        return record
    job = provider.queue.cancel(job_id(record))
    return folder.update(record.key, lambda now: now.with_job(job).at(provider.place))


def job_id(record: JobRecord) -> str:
    """The provider's id. Raises `JobError` for a job that was not submitted to the end."""
    if record.job_id is None:
        raise JobError(
            f"job {record.key} was not submitted to the end; run the same `finetune submit` again"
        )
    return record.job_id


def _new(events: Sequence[JobEvent], last: str | None) -> Sequence[JobEvent]:
    """Those after the last one that was told; all where it is not among them."""
    for at, event in enumerate(events):
        if event.event_id == last:
            return events[at + 1 :]
    return events
