"""The embedded engine against bare llama.cpp, and what shared prefixes save it.

    python benchmarks/embedded_engine.py

1. Tokens per second: the engine beside `llama_decode` called through llama_cpp's ctypes on the same
   tokens, batch sizes and threads, by turns in one run; medians and their ratio.
2. Tokens evaluated against tokens requested for 200 pairs under one summary, by conditioning.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from popi_prompt.models.llama_context import BATCH, load_library
from popi_prompt.models.local import (
    CONTEXT,
    GENERATING,
    MOST_ENGINES,
    PREFIX,
    SCORING,
    LocalModel,
    load_local,
)
from popi_prompt.models.model import Sampling
from popi_prompt.models.requantized import engine_file
from popi_prompt.prompts import Conditioning, as_data
from popi_prompt.schema import Pair

SOURCE = Path(__file__).parents[1] / "datasets" / "tastes_source.json"
SUMMARY = "Answers in short, plain words, with one example from daily life and no jargon at all."
CONDITIONINGS = (Conditioning("system"), Conditioning("before"), Conditioning("after"))
SCORED_ROWS = 128  # what the engine evaluates at once when it scores
FIRST_TOKEN, LAST_TOKEN = 1000, 40_000  # below are control tokens and single bytes
ROUNDS = 7


Work = Callable[[list[int]], None]


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians in tokens per second; `ratio` is engine / bare."""

    work: str
    tokens: int
    batch: int
    threads: int
    engine: float
    bare: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Reuse:
    """Tokens of 200 pairs' prompts and answers, and how many of them were computed."""

    place: str
    pairs: int
    requested: int
    evaluated: int
    share: float
    seconds: float


class Bare:
    """One llama.cpp context with the engine's settings, and nothing between it and the caller."""

    def __init__(self, path: Path, threads: int):
        self._lib = lib = load_library()
        model_params = lib.llama_model_default_params()
        model_params.n_gpu_layers = 0
        model = lib.llama_model_load_from_file(os.fsencode(path), model_params)
        params = lib.llama_context_default_params()
        params.n_ctx = CONTEXT * (SCORING + GENERATING)
        params.n_seq_max = SCORING + GENERATING
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = False
        params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.no_perf = True
        self._context = lib.llama_init_from_model(model, params)
        self._memory = lib.llama_get_memory(self._context)
        self._batch = lib.llama_batch_init(BATCH, 0, 1)

    def evaluate(self, tokens: list[int], size: int, first_row: int) -> None:
        """The tokens from an empty memory, `size` at once, with logits from `first_row` on."""
        lib, batch = self._lib, self._batch
        lib.llama_memory_seq_rm(self._memory, 0, 0, -1)
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            for i, token in enumerate(part):
                batch.token[i] = token
                batch.pos[i] = start + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = start + i >= first_row
            batch.n_tokens = len(part)
            if lib.llama_decode(self._context, batch) != 0:
                raise RuntimeError("llama_decode failed")
            lib.llama_get_logits(self._context)  # waits until they are there


def speeds(model: LocalModel, path: Path, rounds: int) -> list[Speed]:
    """Reading a prompt, and scoring an answer behind one."""
    engine = model.engines[0]
    threads = min(os.cpu_count() or 1, MOST_ENGINES)
    bare = Bare(path, threads)
    rng = random.Random(0)

    def compare(work: str, tokens: int, batch: int, rows: int, ours: Work) -> Speed:
        pairs = []
        for _ in range(rounds):
            text = [rng.randrange(FIRST_TOKEN, LAST_TOKEN) for _ in range(tokens)]
            first_row = tokens - rows
            seconds = _seconds(partial(ours, text))
            bare_seconds = _seconds(partial(bare.evaluate, text, batch, first_row))
            pairs.append((tokens / seconds, tokens / bare_seconds))
        engine_speed, bare_speed = (median(each) for each in zip(*pairs, strict=True))
        ratio = median(mine / other for mine, other in pairs)
        return Speed(work, tokens, batch, threads, engine_speed, bare_speed, ratio)

    def read(text: list[int]) -> None:
        engine.generate(text, Sampling(max_tokens=1))

    def score(text: list[int]) -> None:
        engine.score(text[:192], [[*text[192:], FIRST_TOKEN]])  # the last token is not evaluated

    return [
        compare("read 512 tokens", 512, BATCH, 1, read),
        compare("score 65 tokens behind 192", 256, SCORED_ROWS, 65, score),
    ]


def reuse(model: LocalModel, pairs: list[Pair]) -> list[Reuse]:
    """Both answers of every pair, one after the other, as the likelihood scorer asks for them."""
    found = []
    for conditioning in CONDITIONINGS:
        before = _counted(model)
        started = time.perf_counter()
        for pair in pairs:
            messages = conditioning.messages(pair.prompt, SUMMARY)
            model.logprobs(messages, (as_data(pair.chosen), as_data(pair.rejected)))
        seconds = time.perf_counter() - started
        requested, evaluated = (b - a for a, b in zip(before, _counted(model), strict=True))
        share = evaluated / requested
        found.append(Reuse(conditioning.place, len(pairs), requested, evaluated, share, seconds))
    return found


def made_up_pairs() -> list[Pair]:
    """Pairs of the shipped data set's source, each topic asked for in two ways, shuffled."""
    source = json.loads(SOURCE.read_text(encoding="utf-8"))
    pairs = [
        Pair(asked.format(topic["prompt"]), topic["plain"], topic["expert"])
        for topic in (*source["pair_topics"], *source["signal_topics"])
        for asked in ("{}", "Tell me in a few words. {}")
    ]
    random.Random(0).shuffle(pairs)
    return pairs


def _counted(model: LocalModel) -> tuple[int, int]:
    engines = model.engines
    return sum(e.tokens_asked for e in engines), sum(e.tokens_evaluated for e in engines)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=f"{PREFIX}smollm2-135m")
    parser.add_argument("--pairs", type=int, default=200, help="0 leaves out the second part")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="0 leaves out the first part")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = load_local(options.model)
    path = engine_file(options.model.removeprefix(PREFIX))
    pairs = made_up_pairs()[: options.pairs]
    measured = speeds(model, path, options.rounds) if options.rounds else []
    saved = reuse(model, pairs) if pairs else []
    if options.json:
        print(json.dumps([*map(asdict, measured), *map(asdict, saved)], indent=2))
        return
    for speed in measured:
        print(
            f"{speed.work}: engine {speed.engine:,.0f} tokens/s, llama_decode {speed.bare:,.0f}, "
            f"ratio {speed.ratio:.3f} (batches of {speed.batch}, {speed.threads} threads)"
        )
    for each in saved:
        print(
            f"{each.pairs} pairs, summary in {each.place!r}: {each.evaluated:,} tokens evaluated "
            f"of {each.requested:,} requested ({each.share:.1%}) in {each.seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
