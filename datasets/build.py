"""Make the users of a family from its bank of prose.

A folder of a family holds ``bank.jsonl`` (prompts, each with answers that carry labels) and
``tastes.json`` (what users may like). A fixed seed decides which user gets which text, so that
``users.jsonl`` is the same on every run, byte for byte. Users come in couples of two tastes that
disagree about the same two answers to the same prompt: no feature of an answer alone, its length
included, tells which of the two is chosen.

    python datasets/build.py explain
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from composer import Composer
from couples import Matchmaker, halves
from family import Family, load_family
from users_file import write_jsonl

HERE = Path(__file__).resolve().parent
SEED = 20260611


def compose(family: Family, seed: int = SEED) -> list[dict[str, Any]]:
    """Return all users, in an order and under ids that tell nothing about their taste."""
    rng = random.Random(seed)
    for_pairs, for_signals = halves(family.bank, rng)
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
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: users.jsonl)")
    args = parser.parse_args(argv)
    output = args.output or HERE / args.family / "users.jsonl"
    users = compose(load_family(HERE / args.family))
    write_jsonl(users, output)
    print(f"wrote {len(users)} users to {output}")


if __name__ == "__main__":
    main()
