"""DSPy's MIPROv2: bootstrapped demonstrations x proposed instructions, searched by Optuna's TPE."""

from __future__ import annotations

import dspy

from popi_prompt.errors import ModelError
from popi_prompt.inference import door_error
from popi_prompt.optimizers.dspy_program import Session
from popi_prompt.optimizers.dspy_search import proposer, search
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.prompts import UNTUNED_INSTRUCTION

_CANDIDATES = 6  # instructions, and demonstration sets: as in its "light" setting
_DEMONSTRATIONS = 4


class MiproOptimizer:
    """Instruction and demonstrations; `trials` combinations are scored besides the untuned one.

    Its demonstrations are training users: where none may be shown it searches instructions only.
    """

    name = "mipro"

    def run(self, task: Task) -> Found:
        """MIPROv2 gives up where its proposer fails; it is run again then, showing it less."""
        return search(task, "MIPROv2", _compile)


def _compile(session: Session) -> None:
    try:
        _compile_aware(session, aware=True)
    except Exception as error:
        if not isinstance(door_error(error), ModelError):
            raise
        _compile_aware(session, aware=False)


def _compile_aware(session: Session, *, aware: bool) -> None:
    """Bootstrap, propose, search. What is not `aware` sees no users, and failed proposals do not
    matter.
    """
    shown = _DEMONSTRATIONS if session.task.guard.demos == "real" else 0
    optimizer = dspy.MIPROv2(
        metric=session.metric,
        prompt_model=proposer(session, None if aware else UNTUNED_INSTRUCTION),
        task_model=session.lm,
        max_bootstrapped_demos=shown,
        max_labeled_demos=0,  # nobody wrote the right summaries
        auto=None,
        num_candidates=_CANDIDATES,
        num_threads=session.threads,
        seed=session.task.seed,  # the one of `compile` is not heeded where it is 0
        track_stats=False,
    )
    optimizer.compile(
        session.program(),
        trainset=session.trainset,
        valset=session.valset,
        num_trials=session.task.trials,
        minibatch=False,
        program_aware_proposer=aware,
        data_aware_proposer=aware,
        fewshot_aware_proposer=aware,
    )
