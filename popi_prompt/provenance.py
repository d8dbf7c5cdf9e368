"""What a program records of how it came to be."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.guard import Guard
from popi_prompt.origin import Origin, Scores
from popi_prompt.report import Report
from popi_prompt.rows import COMPILED, IMPROVED, MARGIN, UNTUNED, Row


def with_scores(origin: Origin, report: Report, shipped: Candidate) -> Origin:
    """Before: the untuned program; after: the one that is shipped."""
    before = report.row(UNTUNED)
    after = before if shipped == UNTUNED_CANDIDATE else report.row(COMPILED)
    return replace(origin, scores_before=scores_of(before), scores_after=scores_of(after))


def with_demos(origin: Origin, guard: Guard) -> Origin:
    """What the program's demonstrations are, and for how many users that was checked."""
    checked = guard.users if guard.demos == "synthetic" else 0
    return replace(origin, demos=guard.demos, users_checked=checked)


def scores_of(row: Row | None) -> Scores | None:
    """What a program records of a row, if anybody was scored."""
    if row is None or not row.scored:
        return None
    return Scores(
        users=len(row.scored),
        reward_accuracy=row.mean(IMPROVED).mean,
        margin=row.mean(MARGIN).mean,
        tokens_median=row.tokens(50),
    )


def versions() -> dict[str, str]:
    """Installed versions of what decides the result."""
    found: dict[str, str] = {}
    for package in ("popi-prompt", "dspy", "litellm", "optuna", "numpy", "llama-cpp-python"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
