"""Together: OpenAI's names, but nothing about tools; one message in each output.

https://docs.together.ai/docs/fine-tuning/data-preparation
https://docs.together.ai/docs/fine-tuning/preference-tuning
"""

from __future__ import annotations

from popi_prompt.finetune.examples import Example
from popi_prompt.finetune.formats.format import Format, Record, chat, conversation, preferred


def _preference(example: Example) -> Record:
    return {"input": {"messages": chat(*example.messages)}, **preferred(example)}


FORMATS = {
    "sft": Format(conversation, "together-sft"),
    "preference": Format(_preference, "together-preference"),
}
