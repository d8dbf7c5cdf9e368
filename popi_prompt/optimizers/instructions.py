"""Instructions from the proposer, kept only if they are instructions."""

from __future__ import annotations

from popi_prompt.errors import ModelError
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.models.attribution import attributed
from popi_prompt.models.model import Sampling
from popi_prompt.ngrams import copies
from popi_prompt.optimizers.demonstrations import DemonstrationSet, quoted
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.prompts import (
    PROPOSAL_TIPS,
    UNTUNED_INSTRUCTION,
    proposal_messages,
    render_signals,
)

_MOST_CHARACTERS = 400
_SHOWN = 2


def propose(task: Task, examples: DemonstrationSet, count: int) -> tuple[str, ...]:
    """The untuned instruction and up to `count` new ones.

    A proposal that is cut off, too long, shares six words in a row with what the proposer was
    shown, or is refused by the guard is left out.
    """
    examples_shown = examples.examples[:_SHOWN]
    shown = [(render_signals(user.signals, "liked"), summary) for user, summary in examples_shown]
    users = [quoted(user) for user, _ in examples_shown]
    instructions = {UNTUNED_INSTRUCTION: None}
    task.observer(PhaseStarted("proposing instructions", count))
    for i in range(count):
        tip = PROPOSAL_TIPS[i % len(PROPOSAL_TIPS)]
        messages = proposal_messages(UNTUNED_INSTRUCTION, shown, tip)
        sampling = Sampling(max_tokens=96, temperature=0.7, seed=task.seed + i)
        try:
            with attributed(quoted=users):
                answer = task.door.chat("proposer", messages, sampling)
        except ModelError:
            continue
        finally:
            task.observer(Advanced())
        text = " ".join(answer.text.split()).strip('"')
        usable = answer.finish == "stop" and 0 < len(text) <= _MOST_CHARACTERS
        copied = any(copies(text, signals) for signals, _ in shown)
        if usable and not copied and task.guard.allows_instruction(text):
            instructions[text] = None
    return tuple(instructions)
