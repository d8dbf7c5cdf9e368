"""Kill `finetune submit` and `wait` at random moments, run them again, count what went wrong.

    python benchmarks/finetune_kills.py --kills 30

Against the tests' tuning server, which ignores idempotency keys and finishes what a client that is
gone has asked for.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from killed_runs import killed_once, span_of_a_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    span, draw = span_of_a_run(), random.Random(arguments.seed)
    print(f"an undisturbed run takes {span:.2f} s from its first request to its last")
    outcomes = []
    for number in range(arguments.kills):
        outcome = killed_once(draw, span)
        outcomes.append(outcome)
        print(f"{number + 1:3d} {outcome}", flush=True)
    alive = sum(outcome.killed for outcome in outcomes)
    points = Counter(outcome.requests for outcome in outcomes)
    print(f"{len(outcomes)} kills, {alive} of them before the end")
    print(f"requests that had arrived: {dict(sorted(points.items()))}")
    print(f"second jobs: {sum(outcome.jobs != 1 for outcome in outcomes)}")
    print(f"lost job ids: {sum(not outcome.id_kept for outcome in outcomes)}")
    print(f"uploads that are not listed: {sum(outcome.unlisted for outcome in outcomes)}")
    print(f"uploads sent twice, but listed: {sum(outcome.uploads - 2 for outcome in outcomes)}")
    sys.exit(0 if all(outcome.sound for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
