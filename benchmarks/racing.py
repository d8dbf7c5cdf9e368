"""How often racing stops a candidate that is as good as the best, better, or worse.

    python benchmarks/racing.py

Gaps to the best one, user by user, are normal with a standard deviation of 1; a candidate is looked
at after every block of four of 32 users.
"""

from __future__ import annotations

import argparse

import numpy as np

from popi_prompt.optimizers.racing import hopeless

USERS, BLOCK = 32, 4
EFFECTS = (-0.6, -0.3, 0.0, 0.3, 0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=10_000)
    races = parser.parse_args().races
    rng = np.random.default_rng(0)
    print("| better by, in standard deviations | stopped | users scored, mean |\n|---|---|---|")
    for effect in EFFECTS:
        scored = [looked_at(list(rng.normal(effect, 1.0, USERS))) for _ in range(races)]
        stopped = np.mean([users is not None for users in scored])
        users = np.mean([USERS if users is None else users for users in scored])
        print(f"| {effect:+.1f} | {stopped:.1%} | {users:.1f} |", flush=True)


def looked_at(gaps: list[float]) -> int | None:
    """After how many users the race is stopped; None where it is not."""
    looks = range(BLOCK, USERS + 1, BLOCK)
    return next((users for users in looks if hopeless(gaps[:users])), None)


if __name__ == "__main__":
    main()
