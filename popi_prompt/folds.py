"""Cross-validation over users: the search repeated, each time with other users held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from popi_prompt.errors import BudgetExceeded, OptimizationError
from popi_prompt.intervals import Interval, as_record, bootstrap
from popi_prompt.report import Report
from popi_prompt.rows import COMPILED, MARGIN, UNTUNED, gaps
from popi_prompt.split import Split


@dataclass(frozen=True, slots=True)
class Fold:
    """One repetition. `report` is None where it did not get that far, `reason` says why."""

    split: Split
    report: Report | None
    reason: str = ""

    def gains(self) -> dict[str, float]:
        """D of the summary that was found minus the untuned one's, by held-out user.

        A fold whose search kept the untuned program gained nothing for anybody.
        """
        untuned = None if self.report is None else self.report.row(UNTUNED)
        if self.report is None or untuned is None:
            return {}
        compiled = self.report.row(COMPILED) or untuned
        scored = {outcome.user_id for outcome in untuned.scored}
        both = sorted(each.user_id for each in compiled.scored if each.user_id in scored)
        return dict(zip(both, gaps(compiled, untuned, MARGIN), strict=True))

    def gain(self) -> Interval | None:
        """Their mean, None without any."""
        return _mean([self])


@dataclass(frozen=True, slots=True)
class Folds:
    """All of them. Every user is held out in at most one."""

    folds: tuple[Fold, ...]

    def gain(self) -> Interval | None:
        """Mean gain over the held-out users of all folds.

        The interval is over users. That folds learn from many of the same users is not in it.
        """
        return _mean(self.folds)

    @property
    def users(self) -> int:
        """How many users are in that mean."""
        return sum(len(fold.gains()) for fold in self.folds)

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "users": self.users,
            "gain_in_margin": as_record(self.gain()),
            "folds": [
                {
                    "train": len(fold.split.train),
                    "val": len(fold.split.val),
                    "test": len(fold.split.test),
                    "gain_in_margin": as_record(fold.gain()),
                    "reason": fold.reason,
                }
                for fold in self.folds
            ],
        }


def cross_validate(splits: Sequence[Split], run: Callable[[Split], Report]) -> Folds:
    """Run every split. One that cannot be scored is a failed fold; at a cap the rest is left out.

    Answers come from the cache where an earlier fold, or an earlier run, had paid for them.
    """
    folds: list[Fold] = []
    for split in splits:
        try:
            folds.append(Fold(split, run(split)))
        except OptimizationError as error:
            folds.append(Fold(split, None, str(error)))
        except BudgetExceeded as stop:
            folds.append(Fold(split, None, str(stop)))
            break
    return Folds(tuple(folds))


def _mean(folds: Sequence[Fold]) -> Interval | None:
    found = {user_id: gain for fold in folds for user_id, gain in fold.gains().items()}
    return bootstrap([found[user_id] for user_id in sorted(found)]) if found else None
