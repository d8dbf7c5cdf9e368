"""Export training files of many users from samples that exist: time, memory, no model call.

    python benchmarks/finetune_export.py --users 10000

Users are made from `datasets/tastes.jsonl`, each with prompts of their own; their samples are made
up. Tokens are counted by the tokenizer of --base-model; every line is checked against its schema
after the clock has stopped.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jsonschema import Draft202012Validator

from popi_prompt.dataset import fingerprint, load_users, write_users
from popi_prompt.events import ignore
from popi_prompt.finetune.export import export, recipe_of
from popi_prompt.finetune.formats import FORMATS, schema
from popi_prompt.finetune.plan import Plan
from popi_prompt.finetune.samples import Drawn, Sample, user_key
from popi_prompt.finetune.samples_file import SamplesFile
from popi_prompt.models.access import Access
from popi_prompt.program import Program, load
from popi_prompt.schema import Dialogue, Edit, Persona, Rating, Signal, User

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--base-model", default="openai/gpt-4.1-mini")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, program = prepare(folder, arguments.users)
        for kind, provider in (("sft", "openai"), ("preference", "openai"), ("preference", "trl")):
            plan = Plan(
                output=folder / f"{provider}.{kind}.jsonl",
                samples=folder / "samples.jsonl",
                validation=folder / f"{provider}.{kind}.validation.jsonl",
                kind=kind,  # type: ignore[arg-type]
                provider=provider,
                draws=arguments.draws,
                base_model=arguments.base_model,
            )
            measure(data, program, plan)


def prepare(folder: Path, count: int) -> tuple[Path, Program]:
    """A file of users, and the shipped program as if it had been compiled from them."""
    shipped = load(ROOT / "programs" / "tastes.json")
    people = tuple(made_up(load_users(ROOT / "datasets" / "tastes.jsonl"), count))
    write_users(folder / "users.jsonl", people)
    origin = replace(shipped.origin, dataset=fingerprint(people), users=count)
    return folder / "users.jsonl", replace(shipped, origin=origin)


def made_up(people: tuple[User, ...], count: int) -> Iterator[User]:
    for number in range(count):
        user = people[number % len(people)]
        pairs = tuple(replace(each, prompt=f"{each.prompt} ({number})") for each in user.pairs)
        signals = tuple(numbered(each, number) for each in user.signals)
        yield User(f"u{number:06d}", signals, pairs)


def numbered(signal: Signal, number: int) -> Signal:
    if isinstance(signal, Persona | Edit | Rating | Dialogue):
        return signal
    return replace(signal, prompt=f"{signal.prompt} ({number})")


def fill(samples: Path, people: tuple[User, ...], program: Program, plan: Plan) -> None:
    with Access().door(program.models, ignore) as door:
        recipe = recipe_of(program, plan, door)
    with SamplesFile(samples, recipe) as store:
        for number, user in enumerate(people):
            drawn = tuple(
                Sample(n, f"Write about topic {number} the way {n} of them do.", -70.0 + n, 1.0 + n)
                for n in range(plan.draws)
            )
            store.put(Drawn(user.user_id, user_key(user), drawn))


def measure(data: Path, program: Program, plan: Plan) -> None:
    if not plan.samples.exists():
        from popi_prompt.finetune.parts import parts_of

        parts = parts_of(program, load_users(data))
        fill(plan.samples, (*parts.train, *parts.validation), program, plan)
    started = time.monotonic()
    users = load_users(data)
    loaded = time.monotonic() - started
    with Access().door(program.models, ignore) as door:
        done = export(program, users, plan, door)
        spent = sum(each.calls for each in door.spent().values())
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    validation = 0 if done.validation is None else done.validation.examples
    size = plan.output.stat().st_size / 1e6
    print(
        f"{plan.provider} {plan.kind}: {len(users)} users, {done.train.examples} + {validation} "
        f"lines, {size:.1f} MB, {seconds:.1f} s ({loaded:.1f} s to load), {peak:.0f} MB at most, "
        f"{spent} model calls, tokens {done.train.tokens}, repeats {done.train.repeats}"
    )
    validator = Draft202012Validator(schema(FORMATS[plan.provider][plan.kind]))
    with plan.output.open(encoding="utf-8") as file:
        for line in file:
            validator.validate(json.loads(line))


if __name__ == "__main__":
    main()
