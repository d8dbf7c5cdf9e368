"""OpenAI, Azure OpenAI, and servers that speak OpenAI's API.

https://developers.openai.com/api/docs/guides/supervised-fine-tuning
https://developers.openai.com/api/docs/guides/direct-preference-optimization
"""

from __future__ import annotations

from popi_prompt.finetune.examples import Example
from popi_prompt.finetune.formats.format import Format, Record, chat, conversation, preferred


def _preference(example: Example) -> Record:
    prompt = {"messages": chat(*example.messages), "tools": [], "parallel_tool_calls": True}
    return {"input": prompt, **preferred(example)}


FORMATS = {
    "sft": Format(conversation, "openai-sft", fewest=10),
    "preference": Format(_preference, "openai-preference", fewest=10),
}
