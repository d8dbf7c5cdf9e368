"""Vertex AI: Gemini's contents and parts; the two kinds spell the system instruction differently.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-preference-tuning-prepare
"""

from __future__ import annotations

from popi_prompt.finetune.examples import Example
from popi_prompt.finetune.formats.format import Format, Record
from popi_prompt.prompts import Message, Messages


def _sft(example: Example) -> Record:
    system, turns = _split(example.messages)
    contents = [*map(_content, turns), _model(example.chosen)]
    if system is None:
        return {"contents": contents}
    return {"systemInstruction": {"role": "system", **_parts(system)}, "contents": contents}


def _preference(example: Example) -> Record:
    system, turns = _split(example.messages)
    assert example.rejected is not None
    return {
        **({} if system is None else {"system_instruction": _parts(system)}),
        "contents": [*map(_content, turns)],
        "completions": [
            {"score": 1, "completion": _model(example.chosen)},
            {"score": 0, "completion": _model(example.rejected)},
        ],
    }


def _split(messages: Messages) -> tuple[str | None, Messages]:
    if messages[0].role == "system":
        return messages[0].content, messages[1:]
    return None, messages


def _content(message: Message) -> Record:
    return _model(message.content) if message.role == "assistant" else _user(message.content)


def _user(text: str) -> Record:
    return {"role": "user", **_parts(text)}


def _model(text: str) -> Record:
    return {"role": "model", **_parts(text)}


def _parts(text: str) -> Record:
    return {"parts": [{"text": text}]}


FORMATS = {
    "sft": Format(_sft, "vertex-sft"),
    "preference": Format(_preference, "vertex-preference"),
}
