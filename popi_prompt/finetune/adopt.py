"""A tuned model becomes a program only by winning over the prompt-optimized one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.comparison import Scoring, compare, measure, measure_row
from popi_prompt.contexts import Context
from popi_prompt.errors import BudgetExceeded, JobError, UsageError
from popi_prompt.events import Observer, ignore
from popi_prompt.finetune.jobs import job_id
from popi_prompt.finetune.provider import Provider
from popi_prompt.finetune.record import JobRecord
from popi_prompt.inference import summarizer
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.route import Route
from popi_prompt.program import Program
from popi_prompt.provenance import scores_of, versions
from popi_prompt.report import Report
from popi_prompt.rows import COMPILED, GOLD, NO_CONTEXT, TUNED, UNTUNED, Against
from popi_prompt.schema import User


@dataclass(frozen=True, slots=True)
class Adopted:
    """The program on the tuned model, and the report it was judged by: its row is "tuned".

    `against` compares it with the program it came from, on the same users; None where nobody could
    be scored in both.
    """

    program: Program
    report: Report
    against: Against | None

    @property
    def won(self) -> bool:
        """Whether the interval of the paired difference in D excludes 0 upward."""
        return self.against is not None and self.against.margin.above_zero


def tuned_model(record: JobRecord) -> str:
    """The finished model's name at the provider. Raises `JobError` for a job without one."""
    job_id(record)
    if record.status != "succeeded" or record.tuned_model is None:
        state = "not finished" if not record.over else f"{record.status}"
        why = f": {record.error}" if record.error else ""
        raise JobError(f"job {record.key} is {state}, so there is no model to adopt{why}")
    return record.tuned_model


def tuned_route(
    record: JobRecord, provider: Provider, model: str | None, config: RoleConfig | None
) -> Route:
    """How to reach it: as configured, else where it was tuned.

    `model` is LiteLLM's name for it where it had to be deployed under another.
    """
    name = model or provider.routed(tuned_model(record))
    if config is not None and config.settings and config.model in (None, name):
        return Route(name, **config.settings)
    # Only a server that speaks OpenAI's API answers where it tunes.
    here = record.place.provider == "openai"
    base = record.place.api_base if here else None
    return Route(name, api_base=base, api_key_env=record.place.api_key_env if here else None)


def adopt(
    program: Program,
    tuned: Route,
    users: Sequence[User],
    scoring: Scoring,
    *,
    keep_demonstrations: bool = False,
    observer: Observer = ignore,
) -> Adopted:
    """Measure both on these users, whom neither may have seen.

    The tuned model gets the program's instruction, and none of its demonstrations: it has learned
    from more. Raises `OptimizationError` where nobody can be scored; before anything is sent,
    `UsageError` where the program runs on this model already or a cap in USD needs its price, and
    `ModelError` where it cannot be opened.
    """
    if program.models["inference"] == tuned.model:
        raise UsageError(f"the program's inference model is {tuned.model!r} already")
    # What cannot be opened or priced is refused before the comparison is paid for.
    door = scoring.door.elsewhere({"inference": tuned})
    door.model("inference")
    report = compare(program.candidate, users, scoring, (NO_CONTEXT, UNTUNED), observer)
    candidate = replace(program.candidate, menu=None)  # a tuned model has to write
    if not keep_demonstrations:
        candidate = replace(candidate, demonstrations=())
    told = Context(candidate, summarizer(candidate, door))
    own = UNTUNED if program.candidate == UNTUNED_CANDIDATE else COMPILED
    row = measure(TUNED, told, users, replace(scoring, door=door), observer)
    report = _with_gold(
        replace(report, rows=(*report.rows, row)), program, users, scoring, observer
    )
    origin = replace(
        program.origin,
        scorer=scoring.scorer.name,
        scores_before=scores_of(report.row(UNTUNED)),
        scores_after=scores_of(row),
        versions=versions(),
    )
    models = {**program.models, "inference": tuned.model}
    return Adopted(Program(candidate, models, origin), report, report.against(TUNED, own))


def _with_gold(
    report: Report, program: Program, users: Sequence[User], scoring: Scoring, observer: Observer
) -> Report:
    """The row of the true taste before the last one, if there is any and a cap allows it."""
    try:
        gold = measure_row(GOLD, program.candidate, users, scoring, observer=observer)
    except BudgetExceeded as stop:
        return replace(report, stopped=str(stop))
    if gold is None:
        return report
    return replace(report, rows=(*report.rows[:-1], gold, report.rows[-1]))
