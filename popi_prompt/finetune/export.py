"""Training files of a program's inference step: users and their best summaries by the reward."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from typing import Any

from popi_prompt.anonymise import anonymise
from popi_prompt.errors import ModelError, OptimizationError, ProgramError
from popi_prompt.evaluation import Metric
from popi_prompt.events import Noted, Observer, ignore
from popi_prompt.finetune.examples import Chooser
from popi_prompt.finetune.part_file import Count, Source
from popi_prompt.finetune.parts import Parts, parts_of
from popi_prompt.finetune.plan import Plan
from popi_prompt.finetune.report import Exported, PartReport
from popi_prompt.finetune.samples import Recipe, user_key
from popi_prompt.finetune.samples_file import SamplesFile
from popi_prompt.finetune.sampling import Draws, Sampler
from popi_prompt.generator import Generator
from popi_prompt.models.door import Door
from popi_prompt.models.route import Route
from popi_prompt.ngrams import Runs
from popi_prompt.program import Program
from popi_prompt.rewards import AccuracyReward, MarginReward, PopiReward
from popi_prompt.runs.config import unusual
from popi_prompt.schema import User, texts_in_signals
from popi_prompt.scorers import make_scorer

_REWARDS: dict[str, type[PopiReward | AccuracyReward | MarginReward]] = {
    each.name: each for each in (PopiReward, AccuracyReward, MarginReward)
}
_ASKS = {"judge": ("judge",), "similarity": ("embedding",)}  # roles of scorers beside the usual


def export(
    program: Program, users: Sequence[User], plan: Plan, door: Door, observer: Observer = ignore
) -> Exported:
    """Draw and score what is missing, then write the files, a line at a time.

    Raises `UsageError` for a plan that cannot work, `OptimizationError` where no user is left to
    train on, `ModelError` for models that cannot be opened, `BudgetExceeded` at a cap: what was
    scored until then is in the file of samples.
    """
    format_ = plan.check()
    parts = parts_of(program, users, plan.max_users, validate=plan.validation is not None)
    copies = _copies(program, users)
    draws = Draws(plan.draws, plan.temperature, program.origin.seed)
    recipe = recipe_of(program, plan, door)
    with SamplesFile(plan.samples, recipe) as store:
        wanted = _missing((*parts.train, *parts.validation), store, draws)
        failed: dict[str, str] = {}
        if wanted:
            metric = _metric(program, recipe, door)
            sampler = Sampler(program.candidate, metric, door, draws, copies)
            failed = sampler.fill(wanted, store, observer)
        count = _tokenizer(plan, door, observer)
        chooser = _chooser(program, plan, copies)
        source = Source(store, draws.count, chooser, format_, count, plan.price)
        train, validation = _written(source, parts, plan, failed)
    return Exported(
        provider=plan.provider,
        kind=plan.kind,
        fewest=format_.fewest,
        train=train,
        validation=validation,
        apart=parts.apart,
        own_split=parts.own,
        runs=len(copies),
        failed=failed,
    )


def _written(
    source: Source, parts: Parts, plan: Plan, failed: Mapping[str, str]
) -> tuple[PartReport, PartReport | None]:
    train = source.write(parts.train, plan.output)
    if train.output is None:
        raise OptimizationError(_nothing(train, failed))
    if plan.validation is None:
        return train, None
    return train, source.write(parts.validation, plan.validation)


def _copies(program: Program, users: Sequence[User]) -> Runs:
    """Of everybody's signals, those that demonstrations show included."""
    shown = (demo.signals for demo in program.candidate.demonstrations)
    told = (text for user in users for text in texts_in_signals(user))
    return Runs(chain(shown, told))


def recipe_of(program: Program, plan: Plan, door: Door) -> Recipe:
    """What the samples of this plan depend on."""
    record = program.as_record()
    parts = {key: record[key] for key in ("instruction", "view", "conditioning", "demonstrations")}
    scorer = plan.scorer or program.origin.scorer
    roles = ("inference", "generator", *_ASKS.get(scorer, ()))
    return Recipe(
        program=hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24],
        models={role: _model(door.routes[role]) for role in roles if role in door.routes},
        scorer=scorer,
        reward=program.origin.reward,
        temperature=plan.temperature,
        seed=program.origin.seed,
    )


def _model(route: Route) -> Any:
    """What decides its answers: its name alone, where no setting is added to it."""
    settings = unusual(route)
    return {"model": route.model, **settings} if settings else route.model


def _missing(users: Iterable[User], store: SamplesFile, draws: Draws) -> tuple[User, ...]:
    """Users with draws that are neither scored nor failed for good."""
    numbers = frozenset(range(draws.count))
    return tuple(
        user
        for user in users
        if user.signals and not numbers <= store.get(user.user_id, user_key(user)).numbers()
    )


def _metric(program: Program, recipe: Recipe, door: Door) -> Metric:
    """Opens the models. Raises `ModelError`, `UsageError`, `ProgramError`."""
    if recipe.reward not in _REWARDS:
        raise ProgramError(
            f"the program's reward {recipe.reward!r} is unknown; known: {', '.join(_REWARDS)}"
        )
    door.model("inference")
    door.model("generator")
    scorer = make_scorer(recipe.scorer, door)
    return Metric(
        Generator(door, program.candidate.conditioning), scorer, _REWARDS[recipe.reward]()
    )


def _chooser(program: Program, plan: Plan, copies: Runs) -> Chooser:
    candidate = program.candidate
    if not plan.with_demonstrations:
        candidate = replace(candidate, demonstrations=())
    # No line names a user, so nobody needs the salt again.
    mask = partial(anonymise, salt=secrets.token_bytes(16)) if plan.anonymise else None
    return Chooser(plan.kind, candidate, copies, plan.min_margin, mask)


def _tokenizer(plan: Plan, door: Door, observer: Observer) -> Count | None:
    """Of the model to be tuned; None where it cannot be had."""
    if plan.base_model is not None:
        door = Door({"inference": plan.base_model})
    try:
        model = door.model("inference")
    except ModelError as error:
        observer(Noted(f"tokens are not counted: {error}"))
        return None
    return lru_cache(maxsize=256)(model.count_tokens)


def _nothing(train: PartReport, failed: Mapping[str, str]) -> str:
    if not train.users:
        return "there are no users to train on"
    reasons = "; ".join(f"{count}: {why}" for why, count in train.left_out.items())
    first = f"; the first failure: {next(iter(failed.values()))}" if failed else ""
    return f"none of {train.users} users is left to train on ({reasons}){first}"
