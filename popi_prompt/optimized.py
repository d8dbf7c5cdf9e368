"""What an optimization came to: the program, the report, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.folds import Folds
from popi_prompt.front import Member
from popi_prompt.models.spent import Spent, spent_record
from popi_prompt.optimizers import Kept
from popi_prompt.program import Program
from popi_prompt.report import Report
from popi_prompt.rows import COMPILED, UNTUNED
from popi_prompt.split import Split


@dataclass(frozen=True, slots=True)
class Optimized:
    """The program, and the report on held-out users it never saw.

    `found` is the search's best candidate, `curve` what it kept on the way. `found` is the
    program's where the interval of its gain in D excludes 0 upward, or by `force`; else the program
    is the untuned one.

    `spent` is by role, `folds` included, which are None unless asked for. `front` is that of reward
    against tokens, the best reward first, where "pareto" has searched.
    """

    program: Program
    report: Report
    split: Split
    found: Candidate
    spent: Mapping[str, Spent] = field(default_factory=dict)
    curve: tuple[Kept, ...] = ()
    folds: Folds | None = None
    front: tuple[Member, ...] = ()

    @property
    def stopped(self) -> str | None:
        """Which cap ended the run early: the report then lacks rows.

        Without the row of what was found, the program is the best one so far, not compared.
        """
        return self.report.stopped

    @property
    def shipped(self) -> str:
        """The program's row in the report: "compiled" or "untuned"."""
        return UNTUNED if self.program.candidate == UNTUNED_CANDIDATE else COMPILED

    @property
    def kept_baseline(self) -> bool:
        """Whether the untuned program is shipped in place of what the search found."""
        return self.program.candidate != self.found

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values: how it ended, what it spent, and the report."""
        folds = {} if self.folds is None else {"folds": self.folds.as_record()}
        return {
            "shipped": self.shipped,
            "spent": spent_record(self.spent),
            **folds,
            **self.report.as_record(),
        }
