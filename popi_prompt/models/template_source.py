"""Where the chat template of a text-completion route comes from: a file, a GGUF or a name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from popi_prompt.errors import UnknownModel, UsageError
from popi_prompt.models.chat_template import ChatTemplate
from popi_prompt.models.llama_context import load_library
from popi_prompt.models.route import EMBEDDED, Route
from popi_prompt.models.weights import find_weights

WAYS = (
    'a *.jinja file, a tokenizer_config.json, a *.gguf file, a local model such as "local/'
    'smollm2-135m", or "chatml"'
)
_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def load_template(source: str) -> ChatTemplate:
    """The chat template that `source` names; see `WAYS`.

    Raises `UsageError` for a source that cannot be read, `UnknownModel` for one without a valid
    template, and what `find_weights` raises for a local model.
    """
    if source == "chatml":
        return ChatTemplate(_CHATML, model=source)
    if Route(source).embedded:
        return _from_gguf(source)
    if source.endswith(".jinja"):
        return ChatTemplate(_read(source), model=source)
    if source.endswith(".json"):
        return _from_tokenizer_config(source)
    raise UsageError(f"chat_template {source!r} is not one of: {WAYS}")


def _from_gguf(source: str) -> ChatTemplate:
    """The template in a GGUF file's metadata; its weights are not loaded."""
    path = find_weights(source.removeprefix(EMBEDDED))
    lib = load_library()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise UnknownModel(f"{str(path)!r} is not a GGUF file that llama.cpp can load")
    try:
        vocab = lib.llama_model_get_vocab(model)
        adds_bos = bool(lib.llama_vocab_get_add_bos(vocab))
        template = lib.llama_model_chat_template(model, None)

        def text(token: int) -> str:
            raw = lib.llama_vocab_get_text(vocab, token) if token >= 0 else None
            return raw.decode("utf-8", "replace") if raw else ""

        return ChatTemplate(
            template.decode("utf-8") if template else None,
            model=source,
            bos=text(lib.llama_vocab_bos(vocab)) if adds_bos else "",
            eos=text(lib.llama_vocab_eos(vocab)),
        )
    finally:
        lib.llama_model_free(model)


def _from_tokenizer_config(source: str) -> ChatTemplate:
    """The template in a Hugging Face tokenizer's configuration; "default" where it names several.

    Its tokenizer adds the begin-of-text unless `add_bos_token` is false.
    """
    try:
        config = json.loads(_read(source))
    except json.JSONDecodeError as error:
        raise UsageError(f"chat_template {source!r} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"chat_template {source!r} is not a tokenizer configuration (an object)")
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {each.get("name"): each.get("template") for each in template}
        template = named.get("default")
    if not isinstance(template, str):
        raise UnknownModel(
            f"{source!r} has no chat_template; newer models keep it beside, in chat_template.jinja"
        )
    return ChatTemplate(
        template,
        model=source,
        bos=_token(config.get("bos_token")),
        eos=_token(config.get("eos_token")),
        adds_bos=config.get("add_bos_token") is not False,
    )


def _token(raw: Any) -> str:
    """A special token's text: a string, or an object with `content`."""
    text = raw.get("content") if isinstance(raw, dict) else raw
    return text if isinstance(text, str) else ""


def _read(source: str) -> str:
    try:
        return Path(source).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"chat_template {source!r} cannot be read: {reason}") from None
