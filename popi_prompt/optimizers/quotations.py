"""Quotations: which passages of what a person chose are told, how many, and how long ones.

The inference model is asked which passages it expects least, if it gives log-probabilities. It
writes the untuned summaries that they are compared with, and those of people who chose nothing.
"""

from __future__ import annotations

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.events import Noted
from popi_prompt.leaks import leaks_within
from popi_prompt.optimizers.optimizer import Found, Task
from popi_prompt.optimizers.shortlist import Entry, best_of
from popi_prompt.prompts import TELLING
from popi_prompt.quotation import Quotation

# Passages and characters, and whether they are the least expected or the latest; as they are tried.
_KINDS = ((3, 120, True), (3, 120, False), (4, 90, True), (2, 120, True))


class QuotationOptimizer:
    """Maximises the mean reward over all who may choose: quotations learn nothing from anybody.

    Same task, same scores, same result.
    """

    name = "quotation"

    def run(self, task: Task) -> Found:
        """Score the untuned program, then quotations of several kinds."""
        task.keep(UNTUNED_CANDIDATE, None)
        users = task.choosers()
        found = leaks_within(users)
        if found.seen:
            task.observer(
                Noted(
                    f"{found.seen} of {found.pairs} pairs to choose by were seen in the signals of "
                    "their own user: quoting these copies the answer; see popi-prompt check"
                )
            )
        scores = task.door.scores_responses("inference")
        model = task.door.names["inference"]
        kinds = dict.fromkeys(
            Quotation(passages, characters, model=model if picked and scores else None)
            for passages, characters, picked in _KINDS
        )
        return best_of(task, users, [_entry(each) for each in kinds])


def _entry(quotation: Quotation) -> Entry:
    passages, characters = quotation.passages, quotation.characters
    which = "latest" if quotation.model is None else "least expected"
    described = f"the {passages} {which} passages of {characters} characters"
    return Entry(
        Candidate(conditioning=TELLING, menu=quotation),
        f"quotation: {described}",
        {
            "passages": passages,
            "characters": characters,
            "least_expected": int(quotation.model is not None),
        },
    )
