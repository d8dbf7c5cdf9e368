"""What an export says about itself: users, tokens, how far the best summaries are ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popi_prompt.finetune.examples import Gap
from popi_prompt.intervals import Interval, as_record, bootstrap
from popi_prompt.ngrams import RUN

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of the messages' contents; a chat template adds a few for each. `usd` is of one epoch."""

    prompts: int
    completions: int
    usd: float | None = None

    def priced(self, price: float | None) -> Tokens:
        """At this many USD for a million training tokens; None where the price is unknown."""
        usd = None if price is None else (self.prompts + self.completions) * price / MILLION
        return Tokens(self.prompts, self.completions, usd)


@dataclass(frozen=True, slots=True)
class Gaps:
    """Means over users of how far the best summary is ahead, in the reward's unit.

    `mean`: of the mean of all drawn; `worst`: of the worst; `program`: of the one that is written
    greedily, which is what the program tells where it has no menu.
    """

    users: int
    mean: Interval
    worst: Interval
    program: Interval | None

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "users": self.users,
            "best_minus_mean": as_record(self.mean),
            "best_minus_worst": as_record(self.worst),
            "best_minus_program": as_record(self.program),
        }


def gaps_of(found: Sequence[Gap]) -> Gaps | None:
    """None where no user has two summaries."""
    if not found:
        return None
    own = [each.program for each in found if each.program is not None]
    return Gaps(
        len(found),
        bootstrap([each.mean for each in found]),
        bootstrap([each.worst for each in found]),
        bootstrap(own) if own else None,
    )


@dataclass(frozen=True, slots=True)
class PartReport:
    """One file. `left_out` counts users by reason, `missed` draws by error.

    `output` is None where no user was left, so nothing was written. `tokens` is None where no
    tokenizer could be had. `repeats` counts completions in the file that repeat `RUN` words in a
    row of anybody's signals: always 0.
    """

    output: Path | None
    users: int
    examples: int
    left_out: Mapping[str, int]
    missed: Mapping[str, int]
    tokens: Tokens | None
    gaps: Gaps | None
    completions: int
    repeats: int

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        tokens = self.tokens
        return {
            "output": None if self.output is None else str(self.output),
            "users": self.users,
            "examples": self.examples,
            "left_out": dict(self.left_out),
            "missed_draws": dict(self.missed),
            "tokens": None
            if tokens is None
            else {
                "prompts": tokens.prompts,
                "completions": tokens.completions,
                "usd_per_epoch": tokens.usd,
            },
            "reward_gap": None if self.gaps is None else self.gaps.as_record(),
            "completions": self.completions,
            "completions_that_repeat_signals": self.repeats,
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """Both files. `apart` counts users who are in neither, by reason.

    `runs` is how many different runs of `RUN` words the signals of all users hold. `failed` are
    the users of whom a draw failed that may work another time, with the reason.
    """

    provider: str
    kind: str
    fewest: int
    train: PartReport
    validation: PartReport | None
    apart: Mapping[str, int]
    own_split: bool
    runs: int
    failed: Mapping[str, str]

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        validation = self.validation
        return {
            "provider": self.provider,
            "format": self.kind,
            "fewest_lines": self.fewest,
            "own_split": self.own_split,
            "train": self.train.as_record(),
            "validation": None if validation is None else validation.as_record(),
            "users_apart": dict(self.apart),
            "words_in_a_row": RUN,
            "runs_in_signals": self.runs,
            "users_to_try_again": len(self.failed),
        }
