"""How often the 95% interval covers a known effect, and how often no effect ships a program.

    python benchmarks/interval_coverage.py

Differences of 16, 40 and 150 users are drawn from shapes like those of real differences in D (near
normal, somewhat skewed, heavy tails) and from worse ones. Each draw is what one run of `optimize`
would see. "percentile" is the plain percentile bootstrap, for comparison.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from popi_prompt.intervals import bootstrap

Values = NDArray[np.float64]
USERS = (16, 40, 150)
EFFECT = 0.5  # in standard deviations, about that of a compiled program
RESAMPLES = 2_000  # of the plain percentile bootstrap

SHAPES: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "normal": lambda draw, n: draw.normal(size=n),
    "skewed (gamma 4, skewness 1)": lambda draw, n: (draw.gamma(4, size=n) - 4) / 2,
    "very skewed (exponential, 2)": lambda draw, n: draw.exponential(size=n) - 1,
    "heavy tails (Laplace)": lambda draw, n: draw.laplace(size=n) / 2**0.5,
    "heavy tails (t, 5 df)": lambda draw, n: draw.standard_t(5, size=n) / (5 / 3) ** 0.5,
    "very heavy tails (t, 3 df)": lambda draw, n: draw.standard_t(3, size=n) / 3**0.5,
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of the draws."""

    covered: float
    shipped: float
    plain: float


def measure(shape: str, users: int, draws: int) -> Coverage:
    """Coverage of the effect, and of programs shipped where there is none."""
    draw = np.random.default_rng([users, list(SHAPES).index(shape)])
    picks = np.random.default_rng(0).integers(users, size=(RESAMPLES, users))
    covered = shipped = plain = 0
    for _ in range(draws):
        noise = SHAPES[shape](draw, users)
        found = bootstrap((noise + EFFECT).tolist())
        covered += found.low <= EFFECT <= found.high
        shipped += bootstrap(noise.tolist()).above_zero
        low, high = np.percentile(noise[picks].mean(axis=1), [2.5, 97.5])
        plain += low <= 0 <= high
    return Coverage(covered / draws, shipped / draws, plain / draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--users", type=int, nargs="+", default=USERS, help="only these numbers")
    arguments = parser.parse_args()
    draws = arguments.draws
    print(f"{draws} draws each; wanted: covers 93-97%, ships without an effect at most 5%\n")
    print("| users | differences | covers | ships without effect | percentile covers |")
    print("|---|---|---|---|---|")
    missed = 0
    for users in arguments.users:
        for shape in SHAPES:
            found = measure(shape, users, draws)
            missed += not (0.93 <= found.covered <= 0.97 and found.shipped <= 0.05)
            print(
                f"| {users} | {shape} | {found.covered:.1%} | {found.shipped:.1%} "
                f"| {found.plain:.1%} |",
                flush=True,
            )
    print(f"\n{missed} of {len(arguments.users) * len(SHAPES)} outside")


if __name__ == "__main__":
    main()
