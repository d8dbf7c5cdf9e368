"""An evaluation against a server that breaks in every way: what becomes of the items, and the bill.

    python benchmarks/door_faults.py --calls 500

The stub answers 10% of requests with 429 and Retry-After, 5% with 500, lets 3% hang, cuts the JSON
of 2% and leaves 2% empty. Its own log is compared with the meter and, call by call, with the trace.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from popi_prompt.evaluation import Failure, Metric, Outcome, evaluate
from popi_prompt.generator import Generator
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.spent import Spent
from popi_prompt.models.trace import read_trace
from popi_prompt.prompts import Conditioning
from popi_prompt.rewards import PopiReward
from popi_prompt.schema import Pair, Persona, User
from popi_prompt.scorers import ChoiceScorer
from popi_prompt.stub_server import Faults, Logged, StubServer

CALLS_A_USER = 4  # two orders, with and without the summary
FAULTS = Faults(rate_limited=0.10, broken=0.05, hangs=0.03, cut_off=0.02, empty=0.02)


def people(count: int) -> tuple[User, ...]:
    return tuple(
        User(
            user_id=f"u{i}",
            signals=(Persona(f"I am number {i}."),),
            pairs=(Pair(f"What is {i}?", f"It is {i}.", f"The number {i}, it seems."),),
        )
        for i in range(count)
    )


def agree(log: list[Logged], calls: Iterable[Counter[str]], spent: Spent) -> bool:
    """Whether the stub got each request as often as the trace says, and all that was metered."""
    got = Counter(str(entry.body["messages"]) for entry in log)
    told = [entry for entry in log if entry.fault in ("none", "empty")]
    return (
        got == sum(calls, Counter())
        and spent.calls == len(log)
        and spent.tokens_in == sum(entry.tokens_in for entry in told)
        and spent.tokens_out == sum(entry.tokens_out for entry in told)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=2.0, help="Seconds an attempt may take.")
    arguments = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "none"
    users = people(arguments.calls // CALLS_A_USER)
    faults = replace(FAULTS, seed=arguments.seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, StubServer(latency=0.02, faults=faults) as stub:
        settings = {"api_base": stub.api_base, "timeout": arguments.timeout, "concurrency": 16}
        trace = Path(folder) / "run.trace.jsonl"
        access = Access({"generator": RoleConfig(settings=settings)}, trace=trace)
        with access.door({"generator": "openai/stub"}) as door:
            metric = Metric(Generator(door, Conditioning("system")), ChoiceScorer(), PopiReward())
            results = evaluate(users, lambda user: "Be brief.", metric)
            spent = door.spent()["generator"]
        calls = [
            Counter(
                {
                    str([{"role": m.role, "content": m.content} for m in call.messages]): 1
                    + call.retries
                }
            )
            for call in read_trace(trace)
        ]
    scored = [result for result in results if isinstance(result, Outcome)]
    failed = [result for result in results if isinstance(result, Failure)]
    good = len(scored) + len(failed) == len(users) and agree(stub.log, calls, spent)
    print(f"{len(users)} users, {len(calls)} calls in {time.perf_counter() - started:.1f} s")
    print(f"scored {len(scored)}, failed with a reason {len(failed)}, neither 0")
    print(f"the stub got {len(stub.log)} requests: {dict(Counter(e.fault for e in stub.log))}")
    print(f"the meter counted {spent}")
    for failure in failed[:3]:
        print(f"for example: {failure.reason}")
    print("log, meter and trace agree" if good else "log, meter and trace DISAGREE")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
