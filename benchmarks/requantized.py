"""The embedded SmolLM2 in 8 bits against the weights as packaged: speed, and what D becomes.

    python benchmarks/requantized.py

Reads the same pairs of datasets/tastes.jsonl with both, by turns. `--json` for the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from popi_prompt.dataset import load_users
from popi_prompt.generator import Generator
from popi_prompt.models.access import Access
from popi_prompt.models.local import load_local
from popi_prompt.prompts import Conditioning
from popi_prompt.schema import User
from popi_prompt.scorers import LikelihoodScorer

DATA = Path(__file__).parents[1] / "datasets" / "tastes.jsonl"
PACKAGED, EIGHT_BITS = "local/smollm2-135m-q4_1", "local/smollm2-135m"
BLOCK = 6


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tokens per second are medians over blocks of users; margins are D of the gold text, nats."""

    pairs: int
    packaged_speed: float
    eight_bits_speed: float
    ratio: float
    packaged_margin: float
    eight_bits_margin: float
    difference_rms: float
    correlation: float
    same_sign: float


def measure(users: tuple[User, ...]) -> Comparison:
    speeds: dict[str, list[float]] = {PACKAGED: [], EIGHT_BITS: []}
    margins: dict[str, list[float]] = {PACKAGED: [], EIGHT_BITS: []}
    for start in range(0, len(users), BLOCK):
        for name in speeds:
            found, speed = _score(name, users[start : start + BLOCK])
            margins[name] += found
            speeds[name].append(speed)
    packaged, eight = (np.array(margins[name]) for name in margins)
    medians = {name: median(values) for name, values in speeds.items()}
    return Comparison(
        pairs=len(packaged),
        packaged_speed=medians[PACKAGED],
        eight_bits_speed=medians[EIGHT_BITS],
        ratio=medians[EIGHT_BITS] / medians[PACKAGED],
        packaged_margin=float(packaged.mean()),
        eight_bits_margin=float(eight.mean()),
        difference_rms=float(np.sqrt(np.mean((eight - packaged) ** 2))),
        correlation=float(np.corrcoef(packaged, eight)[0, 1]),
        same_sign=float(np.mean((packaged > 0) == (eight > 0))),
    )


def _score(name: str, users: tuple[User, ...]) -> tuple[list[float], float]:
    """Margins of the gold text on all pairs of the users, and tokens evaluated a second."""
    engines = load_local(name).engines
    before = sum(engine.tokens_evaluated for engine in engines)
    started = time.perf_counter()
    with Access().door({"generator": name, "inference": name}) as door:
        generator = Generator(door, Conditioning("after", "({summary})"))
        found = [
            LikelihoodScorer().score(generator, user, pair, user.gold).margin
            for user in users
            for pair in user.pairs
        ]
    seconds = time.perf_counter() - started
    return found, (sum(engine.tokens_evaluated for engine in engines) - before) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(load_users(DATA, need_pairs=True))
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return
    print(
        f"{found.pairs} pairs, one at a time: packaged {found.packaged_speed:.0f} tokens/s, 8 bits "
        f"{found.eight_bits_speed:.0f}, ratio {found.ratio:.2f}\n"
        f"mean D of the gold text: packaged {found.packaged_margin:+.2f}, 8 bits "
        f"{found.eight_bits_margin:+.2f}; rms difference {found.difference_rms:.2f} nats, "
        f"correlation {found.correlation:.3f}, same sign {found.same_sign:.1%}"
    )


if __name__ == "__main__":
    main()
