"""How fast an embedded model is here and now: a second or two of its own work, and no prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from popi_prompt.models.llama_engine import LlamaEngine
from popi_prompt.models.local import GENERATING, LocalModel
from popi_prompt.models.model import Sampling

_FILLER = "The weather of day {} was told by someone who counts clouds, rain, hours of sun. "
_READ = 160
_SCORED = 32
_REPLIES = 6
_WRITTEN = 10
_Work = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds a token, with every engine at work.

    `read` in a prompt, `scored` in a given response, `written` in answers side by side, `alone` in
    one that is written by itself.
    """

    read: float
    scored: float
    written: float
    alone: float

    def seconds(self, read: int, scored: int, written: int, *, alone: bool) -> float:
        """Of so many tokens."""
        write = self.alone if alone else self.written
        return self.read * read + self.scored * scored + write * written


def measure(model: LocalModel) -> Pace:
    """By texts of our own; what the engines remember of them is overwritten by the next prompts."""
    engines = model.engines
    texts = [
        model.tokens("".join(_FILLER.format(10 * each + day) for day in range(10)))
        for each in range(len(engines))
    ]
    work = list(zip(engines, (text[:_READ] for text in texts), strict=True))
    replies = [texts[0][start : start + _SCORED] for start in range(0, _REPLIES * 20, 20)]
    # The first time, memory is set up; the first rows of logits take by far the longest.
    _time([partial(_write, engine, prompt[:8], 1) for engine, prompt in work])
    _time([partial(_score, engine, prompt[:8], replies[:2]) for engine, prompt in work])
    return Pace(
        read=_time([partial(_read, engine, prompt) for engine, prompt in work]),
        scored=_time([partial(_score, engine, prompt, replies) for engine, prompt in work]),
        written=_time([partial(_write, *each, _WRITTEN) for each in work * GENERATING]),
        alone=_time([partial(_write, *work[0], _WRITTEN)]),
    )


def _time(jobs: Sequence[_Work]) -> float:
    """Seconds for each token of all the jobs, which run side by side."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        started = time.perf_counter()
        tokens = sum(future.result() for future in [pool.submit(job) for job in jobs])
        return (time.perf_counter() - started) / tokens


def _read(engine: LlamaEngine, prompt: list[int]) -> int:
    engine.generate(prompt, Sampling(max_tokens=1))
    return len(prompt)


def _score(engine: LlamaEngine, prompt: list[int], replies: list[list[int]]) -> int:
    engine.score(prompt, replies)
    return sum(map(len, replies))


def _write(engine: LlamaEngine, prompt: list[int], count: int) -> int:
    """Steps: the first token comes with the prompt, the end of an answer takes one."""
    done = engine.generate(prompt, Sampling(max_tokens=count, temperature=1.0))
    return max(1, len(done.tokens) - 1 + done.complete)
