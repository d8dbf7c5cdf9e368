"""A small continuous-batching engine over one `LlamaContext`.

One thread owns the context. Callers hand it jobs and wait. The first slots score, one job at a
time; the others generate, side by side in one batch. Every slot keeps its tokens in the KV cache,
and a job starts from the longest common prefix with its own slot or a neighbour's.

Results do not depend on what was cached or who shares a batch: a prompt is always evaluated in
batches of at least two tokens, generated tokens one at a time, and tokens that were generated are
never reused as somebody's prompt (see `llama_context` for the property this rests on).
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from popi_prompt.errors import ContextTooLong, ModelError
from popi_prompt.models.cores import Cores
from popi_prompt.models.llama_context import BATCH, Entry, LlamaContext
from popi_prompt.models.model import Sampling
from popi_prompt.models.slots import Slots
from popi_prompt.models.tokens import batches, draw, log_probabilities

_SCORED_ROWS = 128  # logits rows per batch: 128 x vocabulary floats stay within the caches


@dataclass(frozen=True, slots=True)
class Generated:
    """Tokens of an answer, the end-of-turn token left out; `complete` if it came by itself."""

    tokens: tuple[int, ...]
    complete: bool


@dataclass(slots=True, eq=False)
class _Generation:
    prompt: list[int]
    sampling: Sampling
    rng: np.random.Generator
    future: Future[Generated] = field(default_factory=Future)
    tokens: list[int] = field(default_factory=list)
    slot: int = 0


@dataclass(slots=True, eq=False)
class _Scoring:
    prompt: list[int]
    responses: list[list[int]]
    future: Future[tuple[NDArray[np.float32], ...]] = field(default_factory=Future)
    slot: int = 0


class LlamaEngine:
    """Generate and score with one context from any number of threads."""

    def __init__(self, context: LlamaContext, cores: Cores, *, scoring: int, generating: int):
        self._context = context
        self._cores = cores
        self._slots = Slots(scoring=scoring, generating=generating)
        self._active: list[_Generation] = []
        self._pending: deque[_Generation | _Scoring] = deque()
        self._wake = threading.Condition(threading.RLock())
        self._closed = False
        self._jobs = 0
        self.tokens_asked = 0
        self.tokens_evaluated = 0
        self._thread = threading.Thread(target=self._serve, name="llama-engine", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def generate(self, prompt: list[int], sampling: Sampling) -> Generated:
        """Answer a prompt. Raises `ContextTooLong` where prompt and answer do not fit."""
        self._check_length(len(prompt) + sampling.max_tokens)
        job = _Generation(prompt, sampling, np.random.default_rng(sampling.seed))
        self._submit(job)
        return job.future.result()

    def score(self, prompt: list[int], responses: list[list[int]]) -> tuple[float, ...]:
        """Summed log-probability of each response after the prompt."""
        return tuple(float(each.sum(dtype=np.float64)) for each in self.trace(prompt, responses))

    def trace(
        self, prompt: list[int], responses: list[list[int]]
    ) -> tuple[NDArray[np.float32], ...]:
        """Log-probability of every token of each response after the prompt."""
        self._check_length(len(prompt) + max(map(len, responses), default=0))
        job = _Scoring(prompt, responses)
        self._submit(job)
        return job.future.result()

    @property
    def load(self) -> int:
        """Jobs that wait or run."""
        with self._wake:
            return self._jobs

    def cached(self, prompt: Sequence[int]) -> int:
        """How many of a prompt's first tokens need not be evaluated again."""
        return self._slots.longest(prompt)

    def close(self) -> None:
        """Stop the thread after the step it is in; waiting callers get an error."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        atexit.unregister(self.close)

    def _check_length(self, tokens: int) -> None:
        limit = self._context.context
        if tokens > limit:
            raise ContextTooLong(
                f"prompt and answer need {tokens:,} tokens, the context holds {limit:,}; "
                "shorten the signals or the prompt"
            )

    def _submit(self, job: _Generation | _Scoring) -> None:
        with self._wake:
            if self._closed:
                raise ModelError("the embedded engine has been closed")
            self._pending.append(job)
            self._jobs += 1
            self._wake.notify()
        job.future.add_done_callback(self._done)

    def _done(self, _: object) -> None:
        with self._wake:
            self._jobs -= 1

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not (self._closed or self._pending or self._active):
                    self._wake.wait()
                if self._closed:
                    return self._abandon()
                job = self._next_job()
            if job is not None:
                self._run(partial(self._start, job), [job])
            else:
                self._run(self._step, list(self._active))

    def _next_job(self) -> _Generation | _Scoring | None:
        for i, job in enumerate(self._pending):
            if isinstance(job, _Scoring) or self._slots.free:
                del self._pending[i]
                return job
        return None

    def _run(self, work: Callable[[], None], jobs: Sequence[_Generation | _Scoring]) -> None:
        """Do a piece of work; whatever it raises belongs to the callers of `jobs`."""
        try:
            work()
        except BaseException as error:
            for job in jobs:
                if isinstance(job, _Generation) and job in self._active:
                    self._release(job)
                if not job.future.done():
                    job.future.set_exception(error)

    def _abandon(self) -> None:
        for job in (*self._active, *self._pending):
            job.future.set_exception(ModelError("the embedded engine has been closed"))

    def _start(self, job: _Generation | _Scoring) -> None:
        if isinstance(job, _Scoring):
            job.slot = self._slots.scoring(job.prompt)
            job.future.set_result(tuple(self._score(job, response) for response in job.responses))
            return
        job.slot = self._slots.take(job.prompt)
        self._active.append(job)
        logits = self._prefill(job.slot, job.prompt, first_row=len(job.prompt) - 1)
        self._take(job, logits[-1])

    def _step(self) -> None:
        """One more token for every answer under way, in one batch."""
        jobs = list(self._active)
        entries = [
            Entry(job.tokens[-1], len(job.prompt) + len(job.tokens) - 1, job.slot, True)
            for job in jobs
        ]
        self._count(len(entries), len(entries))
        with self._cores.share() as threads:
            logits = self._context.evaluate(entries, threads)
        for job, row in zip(jobs, logits, strict=True):
            self._take(job, row)

    def _take(self, job: _Generation, logits: NDArray[np.float32]) -> None:
        """Draw the next token; finish the answer if it ends here."""
        token = draw(logits, job.sampling.temperature, job.rng)
        ended = self._context.ends_turn(token)
        if not ended:
            job.tokens.append(token)
        if ended or len(job.tokens) >= job.sampling.max_tokens:
            self._release(job)
            job.future.set_result(Generated(tuple(job.tokens), complete=ended))

    def _release(self, job: _Generation) -> None:
        """Give the slot back, without the generated tokens."""
        self._active.remove(job)
        self._context.truncate(job.slot, len(self._slots.cached[job.slot]))
        self._slots.free.append(job.slot)

    def _score(self, job: _Scoring, response: list[int]) -> NDArray[np.float32]:
        if not response:
            return np.empty(0, dtype=np.float32)
        tokens = job.prompt + response[:-1]
        return self._prefill(job.slot, tokens, len(job.prompt) - 1, picks=response)

    def _prefill(
        self, slot: int, tokens: list[int], first_row: int, picks: list[int] | None = None
    ) -> NDArray[np.float32]:
        """Evaluate what the slot has not cached; logits from `first_row` on.

        With `picks`, a token for each row, only those tokens' log-probabilities are kept.
        """
        found = self._slots.start(slot, tokens, first_row)
        start = found.token
        if found.source is not None:
            self._context.copy(found.source, slot)
        self._context.truncate(slot, start)
        self._count(len(tokens), len(tokens) - start)
        size = BATCH if picks is None else _SCORED_ROWS
        kept: list[NDArray[np.float32]] = []
        for a, b in batches(start, len(tokens), size):
            entries = [Entry(tokens[i], i, slot, i >= first_row) for i in range(a, b)]
            with self._cores.share() as threads:
                logits = self._context.evaluate(entries, threads)
            if len(logits):
                first = max(a, first_row) - first_row
                kept.append(log_probabilities(logits, picks[first:]) if picks else logits.copy())
        self._slots.hold(slot, tokens)
        return np.concatenate(kept)

    def _count(self, asked: int, evaluated: int) -> None:
        self.tokens_asked += asked
        self.tokens_evaluated += evaluated
