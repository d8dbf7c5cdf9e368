"""How long one get and one put of the answer cache take, what commits add, and a trace line.

python benchmarks/cache_speed.py [--answers 5000] [--bytes 1000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from popi_prompt.models.cache import AnswerCache, cache_key
from popi_prompt.models.trace import Call, Trace
from popi_prompt.prompts import Message


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=5000)
    parser.add_argument("--bytes", type=int, default=1000)
    options = parser.parse_args()
    value = {"text": "x" * options.bytes, "finish": "stop", "tokens_in": 200, "tokens_out": 40}
    keys = [cache_key({"number": number}) for number in range(options.answers)]
    request: dict[str, Any] = {
        "model": "openai/gpt-4o-mini",
        "messages": [["user", "x" * 2 * options.bytes]],
    }
    with tempfile.TemporaryDirectory() as folder:
        cache = AnswerCache(Path(folder) / "answers.sqlite")
        report("cache_key", options.answers, lambda n: cache_key({**request, "seed": n}))
        started = time.perf_counter()
        report("put", options.answers, lambda n: cache.put(keys[n], value, users=(f"u{n % 50}",)))
        cache.stats()
        committed = (time.perf_counter() - started) / options.answers
        print(f"put with its share of the commits: {committed * 1e6:.0f} us")
        report("get, on disk", options.answers, lambda n: cache.get(keys[n], users=("u1",)))
        report("get, a miss", options.answers, lambda n: cache.get(f"none {n}"))
        started = time.perf_counter()
        removed = cache.forget_user("u2")
        print(f"forget-user: {removed} answers in {(time.perf_counter() - started) * 1e3:.0f} ms")
        cache.close()
        trace = Trace(Path(folder) / "run.trace.jsonl")
        call = traced("x " * options.bytes)
        report("trace line", options.answers, lambda n: trace.write(call))
        trace.close()


def traced(text: str) -> Call:
    return Call(
        role="generator",
        model="openai/gpt-4o-mini",
        kind="chat",
        messages=(Message("system", "Be brief."), Message("user", text)),
        answer=text,
        tokens_in=200,
        tokens_out=40,
        usd=0.001,
        seconds=0.5,
        cached=False,
        retries=0,
        candidate="c1",
        user_id="u1",
        error=None,
        started=time.time(),
    )


def report(name: str, times: int, work: Callable[[int], object]) -> None:
    taken = []
    for number in range(times):
        started = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - started)
    ordered = sorted(taken)
    print(
        f"{name}: median {statistics.median(ordered) * 1e6:.0f} us, "
        f"mean {statistics.fmean(ordered) * 1e6:.0f} us, "
        f"99% under {ordered[int(times * 0.99)] * 1e6:.0f} us"
    )


if __name__ == "__main__":
    main()
