"""How well the embedded model reads tastes off what people chose: evidence for every statement.

    python benchmarks/evidence.py datasets/reviews/users.jsonl --users 96

Training users alone, in the order in which `--optimizer portrait` draws them. A part of their group
(`positive` of `positive-concise`) is read from a dimension by the evidence for one pole less that
for the other, summed over acts: AUC, 0.5 by chance. No call of a generator. Writes
benchmarks/results/evidence_FAMILY.json: by user the group, and nats by act and statement; no ids
and no texts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from popi_prompt.bank import BANK
from popi_prompt.cli.progress import Display
from popi_prompt.cli.render import stdout
from popi_prompt.dataset import load_users
from popi_prompt.errors import PopiError, UsageError
from popi_prompt.evaluation import in_parallel
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.evidence import acts, evidence_of_acts
from popi_prompt.files import write_text
from popi_prompt.models.access import Access
from popi_prompt.optimizers.couples import in_couples
from popi_prompt.schema import User
from popi_prompt.split import split_users

RESULTS = Path(__file__).parent / "results"
SHOWN = 5  # dimensions of each part, the best ones


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--users", type=int, default=48)
    parser.add_argument("--inference-model", default="local/smollm2-135m")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    output = options.output or RESULTS / f"evidence_{options.data.resolve().parent.name}.json"
    try:
        users = drawn(options.data, options.users)
        found = weighed(users, options.inference_model)
    except PopiError as error:
        sys.exit(f"Error: {error}")
    record = {
        "inference": options.inference_model,
        "statements": [[each.dimension, each.pole] for each in BANK],
        "users": found,
    }
    write_text(output, json.dumps(record) + "\n")
    _print(record)


def drawn(data: Path, count: int) -> list[User]:
    """Training users who chose something, and whose taste has a name."""
    train = split_users(load_users(data, need_pairs=True)).train
    order = np.random.default_rng(0).permutation(len(train))
    users = [user for user in in_couples([train[i] for i in order]) if acts(user.signals)]
    if not all(user.group for user in users):
        raise UsageError(f"{str(data)!r} has users without a 'group': nobody says what is right")
    return users[:count]


def weighed(users: Sequence[User], model: str) -> list[dict[str, Any]]:
    """By user the group, and nats by act and statement, to a hundredth."""
    texts = [each.text for each in BANK]
    with Display() as display, Access(cache=True).door({"inference": model}) as door:
        display(PhaseStarted("weighing what people chose", len(users)))
        ask = partial(door.logprobs, "inference")

        def one(user: User) -> dict[str, Any]:
            found = evidence_of_acts(texts, user.signals, ask)
            display(Advanced())
            nats = [[round(each, 2) for each in act] for act in found]
            return {"group": user.group, "acts": nats}

        return list(in_parallel(one, users, door.model("inference").concurrency))


def readings(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """For every part of a group: how well each dimension tells who has it, as AUC."""
    totals = np.array([np.sum(each["acts"], axis=0) for each in record["users"]])
    dimensions = list(dict.fromkeys(name for name, _ in record["statements"]))
    levels = {name: _level(totals, record["statements"], name) for name in dimensions}
    groups = [each["group"].split("-") for each in record["users"]]
    for place in range(max(map(len, groups))):
        parts = [group[place] if place < len(group) else "" for group in groups]
        names = sorted(set(parts))
        for name in names[:1] if len(names) == 2 else names:
            has = np.array([part == name for part in parts])
            yield name, {each: _auc(level, has) for each, level in levels.items()}


def _level(totals: Any, statements: Sequence[Sequence[str]], dimension: str) -> Any:
    poles = list(dict.fromkeys(pole for name, pole in statements if name == dimension))
    columns = [
        [i for i, each in enumerate(statements) if list(each) == [dimension, pole]]
        for pole in poles
    ]
    first, second = (totals[:, each].mean(axis=1) for each in columns)
    return first - second


def _auc(level: Any, has: Any) -> float:
    above = level[has][:, None] - level[~has][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def _print(record: dict[str, Any]) -> None:
    table = Table(box=SIMPLE_HEAD)
    for name in ("who", "read from (AUC; under 0.5: the other pole)", "users"):
        table.add_column(name)
    for who, found in readings(record):
        best = sorted(found, key=lambda each: -abs(found[each] - 0.5))[:SHOWN]
        told = ", ".join(f"{each} {found[each]:.2f}" for each in best)
        table.add_row(who, told, str(len(record["users"])))
    stdout().print(table)


if __name__ == "__main__":
    main()
