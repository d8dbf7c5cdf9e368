"""Many runs with a random cap each: does the server ever see more than the cap?

    python benchmarks/door_caps.py --runs 50

Every run sends requests of random length from many threads until the door says that the cap is
reached, against a stub that sometimes breaks. Half of the runs cap calls, the others USD.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from dataclasses import dataclass

from popi_prompt.errors import BudgetExceeded, ModelError
from popi_prompt.evaluation import in_parallel
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.model import Sampling
from popi_prompt.models.spent import Caps
from popi_prompt.prompts import Message
from popi_prompt.stub_server import Faults, StubServer

PRICE_IN, PRICE_OUT = 10.0, 30.0  # USD per million tokens
THREADS = 16
REQUESTS = 120


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its cap, and what the stub saw of it."""

    what: str
    cap: float
    seen: float
    requests: int
    ended: bool


def run(number: int) -> Run:
    draw = random.Random(number)
    calls = draw.randint(1, 100) if number % 2 else None
    usd = None if calls is not None else draw.uniform(0.0005, 0.02)
    faults = Faults(rate_limited=0.05, broken=0.05, cut_off=0.05, retry_after=0.01, seed=number)
    with StubServer(latency=0.005, faults=faults) as stub:
        settings = {
            "api_base": stub.api_base,
            "concurrency": THREADS,
            "price_in": PRICE_IN,
            "price_out": PRICE_OUT,
        }
        access = Access({"generator": RoleConfig(settings=settings)}, caps=Caps(usd, calls))
        prompts = [f"{i} " + "word " * draw.randint(1, 60) for i in range(REQUESTS)]
        with access.door({"generator": "openai/stub"}) as door:

            def ask(prompt: str) -> bool:
                try:
                    door.chat("generator", (Message("user", prompt),), Sampling(max_tokens=16))
                except BudgetExceeded:
                    return True
                except ModelError:
                    return False
                return False

            ended = any(in_parallel(ask, prompts, THREADS))
        billed = sum(e.tokens_in * PRICE_IN + e.tokens_out * PRICE_OUT for e in stub.log) / 1e6
        if calls is not None:
            return Run("calls", calls, len(stub.log), len(stub.log), ended)
        assert usd is not None
        return Run("usd", usd, billed, len(stub.log), ended)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "none"
    runs = [run(number) for number in range(arguments.runs)]
    over = [each for each in runs if each.seen > each.cap]
    for what in ("calls", "usd"):
        used = [each.seen / each.cap for each in runs if each.what == what and each.ended]
        print(
            f"{what}: {len(used)} runs ended at their cap, "
            f"having used {min(used, default=0):.0%} to {max(used, default=0):.0%} of it"
        )
    print(f"{sum(each.requests for each in runs)} requests in all")
    print(f"{len(over)} of {len(runs)} runs exceeded their cap")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
