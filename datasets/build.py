"""Make the users of a family from its bank of prose.

A folder of a family holds ``bank.jsonl`` (prompts, each with answers that carry labels) and
``tastes.json`` (what users may like). A fixed seed decides which user gets which text, so that
``users.jsonl`` is the same on every run, byte for byte. Users come in couples of two tastes that
disagree about the same two answers to the same prompt: no feature of an answer alone, its length
included, tells which of the two is chosen.

With --fresh the users are others, whose pairs are on prompts that were written later, in
``fresh/bank``: to measure what was decided while one looked at the held-out users of the family.

    python datasets/build.py explain
    python datasets/build.py roleplay --fresh
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from composer import Composer
from couples import Matchmaker, halves
from family import Family, Prompt, load_bank, load_family
from users_file import write_jsonl

HERE = Path(__file__).resolve().parent
FRESH = HERE / "fresh"
SEED = 20260611
FRESH_SEED = 20261130


def compose(family: Family) -> list[dict[str, Any]]:
    """Return all users, in an order and under ids that tell nothing about their taste."""
    rng = random.Random(SEED)
    for_pairs, for_signals = halves(family.bank, rng)
    return _users(family, for_pairs, for_signals, rng)


def compose_fresh(family: Family, for_pairs: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Return as many couples a prompt, with signals on the prompts that the family's have."""
    _, for_signals = halves(family.bank, random.Random(SEED))
    fresh = replace(family, name=f"{family.name}-fresh")
    return _users(fresh, for_pairs, for_signals, random.Random(FRESH_SEED))


def _users(
    family: Family, for_pairs: Sequence[Prompt], for_signals: Sequence[Prompt], rng: random.Random
) -> list[dict[str, Any]]:
    matchmaker = Matchmaker(family.tastes, rng)
    composer = Composer(family, for_signals, rng)
    users: list[dict[str, Any]] = []
    for prompt in for_pairs:
        for tastes in matchmaker.couples(prompt, family.couples):
            users += composer.couple(prompt, tastes)
    rng.shuffle(users)
    return [
        {"user_id": f"{family.name}-{number:03d}"} | user for number, user in enumerate(users, 1)
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the users of one family."""
    names = sorted(path.parent.name for path in HERE.glob("*/bank.jsonl"))
    parser = argparse.ArgumentParser(description="Make the users of a family from its bank.")
    parser.add_argument("family", choices=names)
    parser.add_argument("--fresh", action="store_true", help="the users of later prompts")
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: in datasets)")
    args = parser.parse_args(argv)
    family = load_family(HERE / args.family)
    if args.fresh:
        output = args.output or FRESH / f"{args.family}.jsonl"
        bank = FRESH / "bank" / f"{args.family}.jsonl"
        if not bank.exists():
            parser.error(f"{args.family} has no fresh prompts: there is no {bank}")
        users = compose_fresh(family, load_bank(bank))
    else:
        output = args.output or HERE / args.family / "users.jsonl"
        users = compose(family)
    write_jsonl(users, output)
    print(f"wrote {len(users)} users to {output}")


if __name__ == "__main__":
    main()
