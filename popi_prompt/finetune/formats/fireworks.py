"""Fireworks: OpenAI's names; files of three lines and more, preference examples of one turn.

https://docs.fireworks.ai/fine-tuning/fine-tuning-models
https://docs.fireworks.ai/fine-tuning/dpo-fine-tuning
"""

from __future__ import annotations

from popi_prompt.finetune.examples import Example
from popi_prompt.finetune.formats.format import Format, Record, chat, conversation, preferred


def _preference(example: Example) -> Record:
    prompt = {"messages": chat(*example.messages), "tools": []}
    return {"input": prompt, **preferred(example)}


FORMATS = {
    "sft": Format(conversation, "fireworks-sft", fewest=3),
    "preference": Format(_preference, "fireworks-preference", fewest=3, one_turn=True),
}
