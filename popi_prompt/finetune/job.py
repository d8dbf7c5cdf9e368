"""What providers are told and tell of fine-tuning jobs: frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Method = Literal["sft", "preference"]
METHODS: tuple[Method, ...] = get_args(Method)
Status = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
OVER: tuple[Status, ...] = ("succeeded", "failed", "cancelled")
Part = Literal["train", "validation"]
Dialect = Literal["openai", "vertex"]  # whose names the lines of a training file use


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """None leaves it to the provider. `beta` is of preference jobs only.

    `learning_rate` is absolute (Together, Fireworks), `learning_rate_multiplier` is of the
    provider's own (OpenAI, Azure, Vertex).
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    learning_rate_multiplier: float | None = None
    beta: float | None = None

    def given(self) -> dict[str, float]:
        """Those that are set, by name."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Order:
    """A job as it is wanted. `extra` are further fields of the request, in the provider's names."""

    model: str
    method: Method
    hyperparameters: Hyperparameters = Hyperparameters()
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file at the provider. `ready` says whether a job may use it; `error` why it never will."""

    file_id: str
    name: str
    bytes: int | None
    ready: bool = True
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job at the provider. `tuned_model` is its name there, once it has succeeded.

    `label` is the text given to the provider to find it by, where the provider returns it.
    """

    job_id: str
    status: Status
    training_file: str | None = None
    label: str | None = None
    tuned_model: str | None = None
    error: str | None = None
    trained_tokens: int | None = None
    checkpoints: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What the provider says about a job while it runs."""

    event_id: str
    level: str
    message: str
