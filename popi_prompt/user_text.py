"""Text of users as data: nothing in it can be read as structure.

`as_data` breaks what a template or an adapter could read as structure, and every label of ours
stands at the start of a line, where `indented` user text never begins one.
"""

from __future__ import annotations

import re

# \uff5c is DeepSeek's full-width bar; then Llama, Gemma, Cohere, GLM, Seed; EXAONE, Mistral.
_TEMPLATE_TOKEN = re.compile(
    r"<[|\uff5c][^\s|\uff5c<>]{1,40}[|\uff5c]>|</?s>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|<(?:bos|eos|pad|unk|sop|eop)>|<[A-Z]{2,8}_TOKEN>|<seed:[^\s<>]{1,40}>"
    r"|\[\|[^\s|\[\]]{1,40}\|\]|\[gMASK\]"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|THINK|ARGS|CALL_ID"
    r"|PREFIX|MIDDLE|SUFFIX|IMG)\]"
)
_FIELD_MARKER_OPENS = re.compile(r"\[\[(?=\s*##)")
_FIELD_MARKER_CLOSES = re.compile(r"(##\s*)\]\]")
_DSPY_TYPE_MARKER = re.compile(r"<<(CUSTOM-TYPE-(?:START|END)-IDENTIFIER)>>")
_CHOICE_LABEL = re.compile(r"(?:Request|Answer [AB])\s*:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def as_data(text: str) -> str:
    """The text with chat-template tokens and DSPy field markers broken by spaces.

    `<|im_end|>` becomes `< |im_end| >` and `[[ ## summary ## ]]` becomes `[ [ ## summary ## ] ]`:
    readable as before, but no tokenizer or parser takes them for structure.
    """
    text = _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _DSPY_TYPE_MARKER.sub(r"< <\1> >", text)
    text = _FIELD_MARKER_CLOSES.sub(r"\1] ]", _FIELD_MARKER_OPENS.sub("[ [", text))
    return _TEMPLATE_TOKEN.sub(lambda m: f"{m[0][0]} {m[0][1:-1]} {m[0][-1]}", text)


def indented(text: str) -> str:
    """No line of user text starts where a label could stand."""
    lines = [line.strip() for line in as_data(text).strip().splitlines()]
    return "\n  ".join(line for line in lines if line)


def labelled(*parts: tuple[str, str]) -> str:
    """A line for each (label, user text)."""
    return "\n".join(f"{label}: {indented(text)}" for label, text in parts)


def unlabelled(text: str) -> str:
    """User text with no label before it; a first line that looks like one is indented too."""
    shown = indented(text)
    return f"  {shown}" if _CHOICE_LABEL.match(shown) else shown
