"""Everything popi-prompt raises on purpose.

PopiError
├── UsageError            an option or argument that cannot work (CLI exit 2)
├── DataError             a file of users that cannot be read; carries file and line
├── WriteError            a file that cannot be written to its end, as on a full disk
├── ProgramError          a compiled program that cannot be loaded
├── OptimizationError     the data leave nothing to optimize or to measure
├── PrivacyError          the program would hold text of a user that it must not
├── CacheError            the cache of answers on disk is damaged or not ours
├── FineTuningError       about fine-tuning at a provider; carries which
│   ├── FineTuningRefused     the provider does not do this, for this account or at all
│   ├── FineTuningUnavailable network, time-out, server error or rate limit, also after retries
│   └── JobError              the record of a job is damaged, or the job did not succeed
└── CallError             about one model call; carries role, model and user once they are known
    ├── BudgetExceeded        it could exceed a cap: it was not sent, and the run is over
    └── ModelError            it gave no answer: a failed item
        ├── UnknownModel          no such local model, provider or GGUF file
        ├── MissingDependency     an extra or a weights package is not installed
        ├── WeightsError          the weights on disk are not the published ones
        ├── ContextTooLong        the prompt does not fit the model's context
        ├── AuthenticationError   the provider refused the key, or there is none
        ├── RateLimited           the provider asked to slow down, also after retries
        ├── ModelUnavailable      network, time-out or server error, also after retries
        ├── BadResponse           an answer that holds nothing usable: empty, cut off, refused
        └── ScorerError           a user's own scorer raised, or gave no number in [0, 1]
"""

from __future__ import annotations

from pathlib import Path


class PopiError(Exception):
    """Base of all of them. `str(error)` is one line for a person to read."""


class UsageError(PopiError):
    """An option or argument that cannot work, whatever the data."""


class DataError(PopiError):
    """A file of users that cannot be read. `path` and `line` say where."""

    def __init__(self, problem: str, *, path: Path | str | None = None, line: int | None = None):
        self.problem = problem
        self.path = path
        self.line = line
        super().__init__(problem)

    def __str__(self) -> str:
        if self.path is None:
            return self.problem
        where = f"{self.path}:{self.line}" if self.line is not None else f"{self.path}"
        return f"{where}: {self.problem}"


class WriteError(PopiError):
    """A file that cannot be written to its end: a full disk, a quota. What was there stays."""


class ProgramError(PopiError):
    """A compiled program that cannot be loaded or does not fit this version."""


class OptimizationError(PopiError):
    """The data leave nothing to optimize or to measure."""


class PrivacyError(PopiError):
    """The program would hold text of a user that it must not; it is not written."""


class CacheError(PopiError):
    """The cache of answers on disk is damaged, not ours, or in use by somebody else."""


class FineTuningError(PopiError):
    """About fine-tuning at a provider."""

    def __init__(self, problem: str, *, provider: str | None = None):
        self.problem = problem
        self.provider = provider
        super().__init__(problem)

    def __str__(self) -> str:
        return self.problem if self.provider is None else f"{self.provider}: {self.problem}"


class FineTuningRefused(FineTuningError):
    """The provider does not do this, for this account or at all; the message says what else to do.

    `status` is that of HTTP, where one was sent.
    """

    def __init__(self, problem: str, *, provider: str | None = None, status: int | None = None):
        self.status = status
        super().__init__(problem, provider=provider)


class FineTuningUnavailable(FineTuningError):
    """Network, time-out, server error or rate limit, also after retries.

    `arrived` says whether the request may have been carried out all the same. `retry_after` is in
    seconds, where the provider asked to wait.
    """

    def __init__(
        self,
        problem: str,
        *,
        provider: str | None = None,
        arrived: bool = True,
        retry_after: float | None = None,
    ):
        self.arrived = arrived
        self.retry_after = retry_after
        super().__init__(problem, provider=provider)


class JobError(FineTuningError):
    """The record of a job is damaged or missing, or the job did not succeed."""


class CallError(PopiError):
    """About one model call. The door adds role and model, the caller's context the user."""

    def __init__(
        self,
        problem: str,
        *,
        role: str | None = None,
        model: str | None = None,
        user_id: str | None = None,
    ):
        self.problem = problem
        self.role = role
        self.model = model
        self.user_id = user_id
        super().__init__(problem)

    def __str__(self) -> str:
        where = [
            f"user {self.user_id!r}" if self.user_id is not None else "",
            f"{self.role}" if self.role is not None else "",
            f"model {self.model!r}" if self.model is not None else "",
        ]
        prefix = ", ".join(part for part in where if part)
        return f"{prefix}: {self.problem}" if prefix else self.problem


class BudgetExceeded(CallError):
    """The next request could exceed a cap; it was not sent. No failed item: the run is over."""


class ModelError(CallError):
    """A model call that gave no answer."""


class UnknownModel(ModelError):
    """No such local model, provider or GGUF file."""


class MissingDependency(ModelError):
    """An extra or a weights package is not installed; the message holds the command."""


class WeightsError(ModelError):
    """The weights on disk are not the published ones."""


class ContextTooLong(ModelError):
    """The prompt does not fit the model's context window."""


class AuthenticationError(ModelError):
    """The provider refused the key, or there is none in the environment."""


class RateLimited(ModelError):
    """The provider asked to slow down, also after retries."""


class ModelUnavailable(ModelError):
    """Network, time-out or server error, also after retries."""


class BadResponse(ModelError):
    """An answer that holds nothing usable: empty, cut off, refused, or without the choice."""


class ScorerError(ModelError):
    """A user's own scorer raised, or gave no number in [0, 1]."""
