"""Instructions from the proposer, kept only if they are instructions."""

from __future__ import annotations

from collections.abc import Sequence

from popi_prompt.errors import ModelError
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.models.attribution import attributed
from popi_prompt.models.model import Sampling
from popi_prompt.ngrams import copies
from popi_prompt.optimizers.demonstrations import DemonstrationSet, quoted
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.prompts import UNTUNED_INSTRUCTION, Messages, render_signals
from popi_prompt.proposals import PROPOSAL_TIPS, proposal_messages
from popi_prompt.schema import User, texts_in_pairs

_MOST_CHARACTERS = 400
_SHOWN = 2


def propose(task: Task, examples: DemonstrationSet, count: int) -> tuple[str, ...]:
    """The untuned instruction and up to `count` new ones, for summaries like these."""
    examples_shown = examples.examples[:_SHOWN]
    shown = [(render_signals(user.signals, "liked"), summary) for user, summary in examples_shown]
    users = [user for user, _ in examples_shown]
    if count:
        task.observer(PhaseStarted("proposing instructions", count))
    found = []
    for i in range(count):
        tip = PROPOSAL_TIPS[i % len(PROPOSAL_TIPS)]
        messages = proposal_messages(UNTUNED_INSTRUCTION, shown, tip)
        found.append(written(task, messages, users, task.seed + i))
    usable = [text for text in found if text is not None]
    return tuple(dict.fromkeys((UNTUNED_INSTRUCTION, *usable)))


def written(task: Task, messages: Messages, shown: Sequence[User], seed: int) -> str | None:
    """What the proposer answers, if it can be an instruction.

    One that is cut off, too long, shares six words in a row with a text of who was `shown` to the
    proposer, or is refused by the guard cannot.
    """
    sampling = Sampling(max_tokens=96, temperature=0.7, seed=seed)
    try:
        with attributed(quoted=[quoted(user) for user in shown]):
            answer = task.door.chat("proposer", messages, sampling)
    except ModelError:
        return None
    finally:
        task.observer(Advanced())
    text = " ".join(answer.text.split()).strip('"')
    usable = answer.finish == "stop" and 0 < len(text) <= _MOST_CHARACTERS
    copied = any(
        copies(text, source)
        for user in shown
        for source in (render_signals(user.signals), *texts_in_pairs(user))
    )
    return text if usable and not copied and task.guard.allows_instruction(text) else None
