"""Hugging Face TRL, conversational: prompt-completion for SFTTrainer, preference for DPOTrainer.

Of prompt-completion lines TRL trains on the completion alone; of a single list of messages it
would train on the signals, too.

https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from popi_prompt.finetune.examples import Example
from popi_prompt.finetune.formats.format import Format, Record, answer, chat


def _sft(example: Example) -> Record:
    return {"prompt": chat(*example.messages), "completion": answer(example.chosen)}


def _preference(example: Example) -> Record:
    return {
        "prompt": chat(*example.messages),
        "chosen": answer(example.chosen),
        "rejected": answer(example.rejected),
    }


FORMATS = {
    "sft": Format(_sft, "trl-sft"),
    "preference": Format(_preference, "trl-preference"),
}
