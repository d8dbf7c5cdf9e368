"""The contract of every format: an example as one line that a provider documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from popi_prompt.finetune.examples import Example
from popi_prompt.prompts import Message

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """`record` makes the JSON object of a line; it validates against the schema of this name.

    `fewest`: the provider takes no file of fewer lines. `one_turn`: no demonstrations before the
    request.
    """

    record: Callable[[Example], Record]
    schema: str
    fewest: int = 1
    one_turn: bool = False


Formats = Mapping[str, Format]  # by kind: "sft" and "preference"


def chat(*messages: Message) -> list[Record]:
    """Messages as most providers have them."""
    return [{"role": message.role, "content": message.content} for message in messages]


def answer(text: str | None) -> list[Record]:
    """The summary as the assistant's message."""
    assert text is not None
    return chat(Message("assistant", text))


def conversation(example: Example) -> Record:
    """One list of messages that ends with the summary."""
    return {"messages": [*chat(*example.messages), *answer(example.chosen)]}


def preferred(example: Example) -> Record:
    """The summary to write beside the one not to."""
    return {
        "preferred_output": answer(example.chosen),
        "non_preferred_output": answer(example.rejected),
    }
