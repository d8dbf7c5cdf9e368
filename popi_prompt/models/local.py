"""The embedded model: llama.cpp in process, no key, no network."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from popi_prompt.errors import BadResponse
from popi_prompt.models.chat_template import ChatTemplate
from popi_prompt.models.cores import Cores, usable
from popi_prompt.models.llama_context import LlamaContext, load_library
from popi_prompt.models.llama_embedder import LlamaEmbedder
from popi_prompt.models.llama_engine import LlamaEngine
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.requantized import engine_file
from popi_prompt.models.route import EMBEDDED
from popi_prompt.models.weights import CATALOGUE
from popi_prompt.prompts import Messages

PREFIX = EMBEDDED
CONTEXT = 4096
MOST_ENGINES = 4
SCORING = 2  # prefixes that an engine keeps for scoring
GENERATING = 2  # answers side by side in an engine
_JOB_TOKENS = 128  # a waiting job's usual work, weighed against a prefix at hand


class LocalModel:
    """A GGUF model in this process; satisfies `Model`, `ScoringModel` and `EmbeddingModel`."""

    def __init__(self, name: str):
        load_library()
        self.path = path = engine_file(name.removeprefix(PREFIX))
        self.name = name
        self.identity = _identity(name.removeprefix(PREFIX), path)
        cores = Cores(min(usable(), MOST_ENGINES))
        contexts = [
            LlamaContext(path, context=CONTEXT, slots=SCORING + GENERATING)
            for _ in range(cores.count)
        ]
        self._context = contexts[0]
        self.engines = [
            LlamaEngine(context, cores, scoring=SCORING, generating=GENERATING)
            for context in contexts
        ]
        self.concurrency = GENERATING * len(self.engines)
        self._embedder = LlamaEmbedder(path, cores, context=CONTEXT)
        bos = self._context.begin_of_text()
        self._bos_token = bos[0] if bos else None
        self._template = ChatTemplate(
            self._context.chat_template(),
            model=name,
            bos=bos[1] if bos else "",
            eos=self._context.end_of_text(),
        )

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """Answer with the model's own chat template."""
        prompt = self.prompt_tokens(messages)
        generated = self._engine(prompt).generate(prompt, sampling)
        text = b"".join(map(self._context.piece, generated.tokens)).decode("utf-8", "replace")
        return Answer(
            text=text.strip(),
            finish="stop" if generated.complete else "length",
            tokens_in=len(prompt),
            tokens_out=len(generated.tokens),
        )

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        """Exact: the response's tokens after the templated prompt, no special tokens in it."""
        tokens = list(map(self.tokens, responses))
        if not all(tokens):
            raise BadResponse("an empty response has no log-probability")
        prompt = self.prompt_tokens(messages)
        return self._engine(prompt).score(prompt, tokens)

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """Exact: from the log-probabilities of the options themselves."""
        values = np.array(self.logprobs(messages, options))
        odds = np.exp(values - values.max())
        return tuple(float(each) for each in odds / odds.sum())

    def embed(self, text: str) -> tuple[float, ...]:
        """The mean of the last layer's states over the text's tokens, no chat template."""
        return self._embedder.embed(text)

    def count_tokens(self, text: str) -> int:
        """By the model's own tokenizer."""
        return len(self.tokens(text))

    def tokens(self, text: str) -> list[int]:
        """Those of a text, whatever it contains, none of them special."""
        return self._context.tokenize(text, special=False)

    def _engine(self, prompt: list[int]) -> LlamaEngine:
        """The engine that will be done first; which one changes the time, not the result."""
        loads = [engine.load for engine in self.engines]
        return self.engines[emptiest(loads, [each.cached(prompt) for each in self.engines])]

    def prompt_tokens(self, messages: Messages) -> list[int]:
        """The templated prompt; message text is tokenized as text whatever it contains."""
        return self._template.tokens(
            messages,
            lambda text, special: self._context.tokenize(text, special=special),
            self._bos_token,
        )


def emptiest(loads: Sequence[int], cached: Sequence[int]) -> int:
    """Which engine will be done first, by its jobs and by the prompt's tokens that it holds."""
    return min(range(len(loads)), key=lambda i: loads[i] * _JOB_TOKENS - cached[i])


_loaded: dict[str, LocalModel] = {}
_loading = threading.Lock()


def load_local(name: str) -> LocalModel:
    """The model under this name, loaded once in a process."""
    key = name.removeprefix(PREFIX)
    with _loading:
        if key not in _loaded:
            _loaded[key] = LocalModel(PREFIX + key)
        return _loaded[key]


def _identity(name: str, path: Path) -> str:
    """What decides answers: the weights and the engine's version.

    A GGUF of one's own is known by place, size and time of change: reading gigabytes at every
    start would cost more than an answer.
    """
    engine = metadata.version("llama-cpp-python")
    if name in CATALOGUE:
        bits = " q8_0" if CATALOGUE[name].faster else ""
        return f"{CATALOGUE[name].sha256}{bits} {engine}"
    state = path.stat()
    return f"{path.resolve()} {state.st_size} {state.st_mtime_ns} {engine}"
