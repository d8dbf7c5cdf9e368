"""What a benchmark measures, and how."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from popi_prompt.models.access import Access
from popi_prompt.retrieval import RETRIEVED_SIGNALS
from popi_prompt.rows import COMPILED, GOLD, NO_CONTEXT, RAW, RETRIEVED, UNTUNED
from popi_prompt.settings import DEFAULT_MODEL

BENCH_ROWS = (NO_CONTEXT, RAW, RETRIEVED, UNTUNED, COMPILED, GOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What is measured, and how.

    None means: for `inference_model` the program's own, for `judge` that no answers are compared,
    for `embedding_model` that words decide what is retrieved, for `held_out` and `pairs` (of a
    user) all of them, for `minutes` no end. `choice` adds choice accuracy. A family without a
    program has one compiled for each generator, by `trials` and `max_users`, where `compiles` is
    on; else it has no row of its own. After `minutes` no further cell is begun.
    """

    generators: tuple[str, ...] = (DEFAULT_MODEL,)
    inference_model: str | None = None
    judge: str | None = None
    embedding_model: str | None = None
    rows: tuple[str, ...] = BENCH_ROWS
    held_out: int | None = None
    pairs: int | None = None
    retrieve: int = RETRIEVED_SIGNALS
    choice: bool = True
    compiles: bool = True
    trials: int = 8
    max_users: int | None = None
    seed: int = 0
    minutes: float | None = None
    access: Access = field(default_factory=Access)


def quick(settings: BenchSettings) -> BenchSettings:
    """At most ten minutes on 2 cores with the embedded model: 8 users, one pair each, no choice.

    Nothing is compiled, and no end that is set is later for it.
    """
    minutes = 9.0 if settings.minutes is None else min(settings.minutes, 9.0)
    return replace(settings, held_out=8, pairs=1, choice=False, compiles=False, minutes=minutes)
