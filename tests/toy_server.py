"""A server that scores given texts by their bytes, for the tests of both ways to ask for that."""

from __future__ import annotations

import codecs
import re
from typing import Any

from popi_prompt.models.chat_template import ChatTemplate
from popi_prompt.prompts import Message, as_data

TEMPLATE = ChatTemplate(
    "{% for m in messages %}{{ '<|start|>' + m.role + '\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{{ '<|start|>assistant\n' }}",
    model="toy",
)
MESSAGES = (Message("system", "Be brief."), Message("user", "What is rain?"))
_CONTROL = re.compile(rb"<\|.+\|>")
_TOKEN = re.compile(rb"<\|(?:start|end)\|>|[ \n]+| ?[A-Za-z]+|[\x80-\xff]|.", re.DOTALL)


class ToyServer:
    """Text completions with echo, and vLLM's chats. A token's log-probability is by its bytes.

    Words are tokens, runs of white space are, and so is each byte above ASCII. Control tokens and
    parts of a character are shown as nothing. `shifted` leaves out the first number, as
    llama.cpp's Python server does for some models; `quirk` changes what is shown: "spaceless" hides
    spaces, as SentencePiece does, "replaced" shows a sign for each part of a character, "whole"
    shows the character at its last part.
    """

    def __init__(self, *, shifted: bool = False, quirk: str = "", trims: bool = False):
        self.shifted, self.quirk, self.trims = shifted, quirk, trims
        self.asked: list[Any] = []

    def complete(self, prompts: list[str], max_tokens: int, **parameters: Any) -> Any:
        assert parameters["echo"]
        assert max_tokens == 1
        self.asked.append(prompts[0])
        tokens = _TOKEN.findall(prompts[0].encode())
        values: list[float | None] = [None, *(value(each) for each in tokens[1:]), -0.5]
        shown = [*self.all_shown(tokens), " next"]
        if self.shifted:
            values, shown = values[1:], shown[:-1]
        return {
            "choices": [{"logprobs": {"tokens": shown, "token_logprobs": values}}],
            "usage": {"prompt_tokens": len(tokens), "completion_tokens": 1},
        }

    def chat(self, messages: list[dict[str, str]], max_tokens: int, **parameters: Any) -> Any:
        body = parameters["extra_body"]
        assert body["prompt_logprobs"] == 0
        assert body["continue_final_message"] is not body["add_generation_prompt"]
        self.asked.append(messages)
        turns = [f"<|start|>{m['role']}\n{self.content(m)}<|end|>\n" for m in messages]
        text = "".join(turns)
        if body["continue_final_message"]:
            text = text.removesuffix("<|end|>\n")
        else:
            text += "<|start|>assistant\n"
        tokens = _TOKEN.findall(text.encode())
        positions = [
            {"17": {"logprob": value(each), "rank": 1, "decoded_token": shown}}
            for each, shown in zip(tokens[1:], self.all_shown(tokens)[1:], strict=True)
        ]
        return {"choices": [{}], "prompt_logprobs": [None, *positions]}

    def content(self, message: dict[str, str]) -> str:
        return message["content"].strip() if self.trims else message["content"]

    def all_shown(self, tokens: list[bytes]) -> list[str]:
        if self.quirk != "whole":
            return [self.shown(each) for each in tokens]
        decoder = codecs.getincrementaldecoder("utf-8")()
        return ["" if _CONTROL.fullmatch(each) else decoder.decode(each) for each in tokens]

    def shown(self, token: bytes) -> str:
        errors = "replace" if self.quirk == "replaced" else "ignore"
        text = "" if _CONTROL.fullmatch(token) else token.decode(errors=errors)
        return text.lstrip(" ") if self.quirk == "spaceless" else text


def value(token: bytes) -> float:
    return -(1 + sum(token) % 97) / 8


def expected(response: str) -> float:
    return sum(map(value, _TOKEN.findall(as_data(response).encode())))
