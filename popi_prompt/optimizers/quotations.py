"""Quotations: how many passages of what a person chose are told, and how long ones.

No model is asked for them. The inference model writes the untuned summaries that they are compared
with, and those of people who chose nothing.
"""

from __future__ import annotations

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.events import Noted
from popi_prompt.leaks import leaks_within
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.shortlist import Entry, best_of
from popi_prompt.prompts import TELLING
from popi_prompt.quotation import Quotation

_SIZES = ((3, 120), (4, 90), (2, 120))  # passages and characters, as they are tried


class QuotationOptimizer:
    """Maximises the mean reward over validation users. Same task, same scores, same result."""

    name = "quotation"

    def run(self, task: Task) -> Found:
        """Score the untuned program, then quotations of several sizes."""
        task.keep(UNTUNED_CANDIDATE, None)
        found = leaks_within(task.validation())
        if found.seen:
            task.observer(
                Noted(
                    f"{found.seen} of {found.pairs} pairs to choose by were seen in the signals of "
                    "their own user: quoting these copies the answer; see popi-prompt check"
                )
            )
        return best_of(task, [_entry(Quotation(*size)) for size in _SIZES])


def _entry(quotation: Quotation) -> Entry:
    passages, characters = quotation.passages, quotation.characters
    described = f"{passages} passage{'s' if passages > 1 else ''} of {characters} characters"
    return Entry(
        Candidate(conditioning=TELLING, menu=quotation),
        f"quotation: {described}",
        {"passages": passages, "characters": characters},
    )
