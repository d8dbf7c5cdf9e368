"""DSPy's random search: demonstration sets of the inference model's own summaries that gained."""

from __future__ import annotations

import dspy

from popi_prompt.errors import UsageError
from popi_prompt.optimizers.dspy_program import Session
from popi_prompt.optimizers.dspy_search import search
from popi_prompt.optimizers.optimizer import Found, Task

_DEMONSTRATIONS = 4
_FIXED = (-3, -1)  # its program without demonstrations, and the one with the first that gained


class RandomSearchOptimizer:
    """Demonstrations only; `trials` programs are scored, the untuned one among them."""

    name = "random"

    def run(self, task: Task) -> Found:
        """`dspy.BootstrapFewShotWithRandomSearch`; the seed orders the training users.

        Raises `UsageError` where no user may be shown: there is nothing else that it searches.
        """
        if task.guard.demos != "real":
            raise UsageError(
                "random search tries demonstrations of your users only, and none may be in the "
                "program; allow them with --demos real, or choose another --optimizer"
            )
        return search(task, "random search", _compile)


def _compile(session: Session) -> None:
    drawn = max(session.task.trials - len(_FIXED), 0)
    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        metric=session.metric,
        max_bootstrapped_demos=_DEMONSTRATIONS,
        max_labeled_demos=0,  # nobody wrote the right summaries
        num_candidate_programs=drawn,
        num_threads=session.threads,
    )
    optimizer.compile(
        session.program(),
        trainset=session.trainset,
        valset=session.valset,
        restrict=[*_FIXED, *range(drawn)],
    )
