"""GEPA: instructions, rewritten by reflection on what summaries did to the generator's answers."""

from __future__ import annotations

import dspy
from dspy.teleprompt.gepa import InstructionProposer

from popi_prompt.optimizers.dspy_program import Session
from popi_prompt.optimizers.dspy_search import WholeAnswer, proposer, search
from popi_prompt.optimizers.optimizer import Found, Task


class GepaOptimizer:
    """Instructions only; scores about as many users as `trials` full validations take."""

    name = "gepa"

    def run(self, task: Task) -> Found:
        """`dspy.GEPA`, without a folder: nothing is pickled."""
        return search(task, "GEPA", _compile)


def _compile(session: Session) -> None:
    optimizer = dspy.GEPA(
        metric=session.metric,
        max_metric_calls=session.task.trials * len(session.valset),
        reflection_lm=proposer(session),
        instruction_proposer=InstructionProposer(adapter=WholeAnswer()),
        skip_perfect_score=False,  # a gain has no upper end
        num_threads=session.threads,
        seed=session.task.seed,
    )
    optimizer.compile(session.program(), trainset=session.trainset, valset=session.valset)
