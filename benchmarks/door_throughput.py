"""Wall time of many calls through the door against bare LiteLLM, on a stub with latency.

    python benchmarks/door_throughput.py --calls 2000 --rounds 3

Both sides run in this process in turn, under the same concurrency, against the same stub server in
another process. The door counts, and keeps every answer in a new cache on disk, as the command line
does; with --trace it also writes a trace.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from popi_prompt.evaluation import in_parallel
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.model import Sampling
from popi_prompt.models.transport import background
from popi_prompt.prompts import Message

MODEL = "openai/stub"
MAX_TOKENS = 64


@contextmanager
def stub(latency: float) -> Iterator[str]:
    """A stub server in a process of its own; its address."""
    command = [sys.executable, "-m", "popi_prompt.stub_server", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--latency", str(latency)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def through_the_door(
    api_base: str, prompts: list[str], concurrency: int, *, traced: bool = False
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        config = RoleConfig(settings={"api_base": api_base, "concurrency": concurrency})
        trace = Path(folder) / "trace.jsonl" if traced else None
        access = Access({"generator": config}, cache=True, trace=trace)
        started = time.perf_counter()
        with access.door({"generator": MODEL}) as door:

            def ask(prompt: str) -> str:
                sampling = Sampling(max_tokens=MAX_TOKENS)
                return door.chat("generator", (Message("user", prompt),), sampling).text

            answers = in_parallel(ask, prompts, concurrency)
            assert door.spent()["generator"].calls == len(answers)
        return time.perf_counter() - started


def bare(api_base: str, prompts: list[str], concurrency: int) -> float:
    """On the loop that the transport uses: LiteLLM's logging worker bears only one."""
    litellm = import_litellm()

    async def everything() -> None:
        slots = asyncio.Semaphore(concurrency)

        async def ask(prompt: str) -> str:
            async with slots:
                response = await litellm.acompletion(
                    model=MODEL,
                    api_base=api_base,
                    messages=[{"role": "user", "content": prompt}],
                    max_tokens=MAX_TOKENS,
                    temperature=0.0,
                    seed=0,
                )
                return str(response.choices[0].message.content)

        await asyncio.gather(*map(ask, prompts))

    started = time.perf_counter()
    asyncio.run_coroutine_threadsafe(everything(), background().loop).result()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "none"
    prompts = [f"What is {i}?" for i in range(arguments.calls)]
    sides: dict[str, Callable[[str, list[str], int], float]] = {
        "bare litellm.acompletion": bare,
        "through the door": partial(through_the_door, traced=arguments.trace),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with stub(arguments.latency) as api_base:
        for side in sides.values():
            side(api_base, prompts[:100], arguments.concurrency)
        for number in range(arguments.rounds):
            order = list(sides.items())
            for name, side in order if number % 2 == 0 else reversed(order):
                seconds[name].append(side(api_base, prompts, arguments.concurrency))
    for name, each in seconds.items():
        shown = ", ".join(f"{value:.2f}" for value in each)
        print(f"{name}: median {statistics.median(each):.2f} s of {shown}")
    one, other = (statistics.median(each) for each in seconds.values())
    print(f"the door takes {other / one:.3f} x the bare time")


if __name__ == "__main__":
    main()
