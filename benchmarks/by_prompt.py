"""Whether a gain is of all prompts or of a few: D of a row less that of another, by prompt.

The benchmark's intervals are over users. Users who share a prompt share its answers, so this one
takes the mean of each prompt's users and is over prompts. Users with several pairs count for each
prompt with their mean over all.

    python benchmarks/by_prompt.py datasets/fresh/roleplay.jsonl benchmarks/results/fresh \
      --generator local/qwen2.5-coder-1.5b
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from popi_prompt.bench.cells import slug
from popi_prompt.dataset import load_users
from popi_prompt.intervals import bootstrap
from popi_prompt.split import normal


def margins(path: Path) -> dict[str, float]:
    """Mean D of each scored user of a benchmark's cell, by id."""
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    return {
        each["user_id"]: float(np.mean([score[0] for score in each["scores"]]))
        for each in results
        if "scores" in each
    }


def by_prompt(data: Path, row: Path, less: Path) -> dict[str, float]:
    """Mean difference of D over the users of each prompt, who were scored in both rows."""
    one, other = margins(row), margins(less)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for user in load_users(data):
        if user.user_id in one and user.user_id in other:
            for prompt in {normal(pair.prompt) for pair in user.pairs}:
                found[prompt].append(one[user.user_id] - other[user.user_id])
    return {prompt: float(np.mean(each)) for prompt, each in found.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the interval over prompts, and how many prompts gain."""
    parser = argparse.ArgumentParser(description="A gain prompt by prompt.")
    parser.add_argument("data", type=Path, help="the family's users")
    parser.add_argument("folder", type=Path, help="what `popi-prompt bench` wrote into")
    parser.add_argument("--generator", default="local/smollm2-135m")
    parser.add_argument("--row", default="compiled")
    parser.add_argument("--less", default="untuned")
    args = parser.parse_args(argv)
    stem = f"{slug(args.data.stem)}--{slug(args.generator)}"
    paths = [args.folder / "cells" / f"{stem}--{name}.json" for name in (args.row, args.less)]
    for path in (args.data, *paths):
        if not path.exists():
            parser.error(f"there is no {path}")
    means = list(by_prompt(args.data, *paths).values())
    gain = bootstrap(means)
    print(f"{args.row} less {args.less}, {args.generator}, {len(means)} prompts:")
    print(f"D {gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]")
    print(f"{sum(mean > 0 for mean in means)} prompts gain; {min(means):+.2f} to {max(means):+.2f}")


if __name__ == "__main__":
    main()
