"""Quotations: how many passages of what a person chose are told, and how long ones.

No model is asked for a summary, neither here nor in the program: all calls are of the generator.
"""

from __future__ import annotations

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.shortlist import Choice, best_of
from popi_prompt.prompts import TELLING
from popi_prompt.quotation import Quotation

_SIZES = ((3, 120), (4, 90), (2, 120))  # passages and characters, as they are tried


class QuotationOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "quotation"

    def run(self, task: Task) -> Found:
        """Score the untuned program, then quotations of several sizes."""
        task.keep(UNTUNED_CANDIDATE, None)
        return best_of(task, [_choice(Quotation(*size)) for size in _SIZES])


def _choice(quotation: Quotation) -> Choice:
    passages, characters = quotation.passages, quotation.characters
    described = f"{passages} passage{'s' if passages > 1 else ''} of {characters} characters"
    return Choice(Candidate(conditioning=TELLING, menu=quotation), f"quotation: {described}")
