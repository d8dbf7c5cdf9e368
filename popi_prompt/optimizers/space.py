"""The search space of the POPI optimizer: what earns a place in it, measured on training users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import Candidate
from popi_prompt.models.door import Door
from popi_prompt.optimizers.demonstrations import (
    DemonstrationSet,
    clearest,
    draw_sets,
    fits,
    users_by_summary,
)
from popi_prompt.optimizers.instructions import propose
from popi_prompt.optimizers.invented import invented_people
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.rehearsal import VIEW, Rehearsal
from popi_prompt.optimizers.statements import RewardTable, candidate_summaries
from popi_prompt.prompts import CONDITIONINGS, UNTUNED_CONDITIONING, VIEWS, Conditioning
from popi_prompt.schema import User

_SCREENING_USERS = (6, 12)
_SCREENED = 7
_SHORTLIST = 4
_TRAINING_USERS = 72
_PROBING_USERS = 4
_PROBED = 2
_CONDITIONINGS = 2
_DRAWN = 10
_REHEARSING_USERS = 36
_PROPOSALS = 2


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of the search; index 0 of each is the untuned program's."""

    instructions: tuple[str, ...]
    sets: tuple[DemonstrationSet, ...]
    conditionings: tuple[Conditioning, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """How many choices each name of `candidate` has."""
        return {
            "instruction": len(self.instructions),
            "demonstrations": len(self.sets),
            "view": len(VIEWS),
            "conditioning": len(self.conditionings),
        }

    def allows(self, chosen: dict[str, int], door: Door) -> bool:
        """Whether the chosen demonstrations fit a small context in the chosen view."""
        return fits(self.sets[chosen["demonstrations"]], VIEWS[chosen["view"]], door)

    def candidate(self, chosen: dict[str, int]) -> Candidate:
        """The combination of these choices, by index."""
        view = VIEWS[chosen["view"]]
        return Candidate(
            instruction=self.instructions[chosen["instruction"]],
            demonstrations=self.sets[chosen["demonstrations"]].rendered(view),
            view=view,
            conditioning=self.conditionings[chosen["conditioning"]],
        )


def build_space(task: Task) -> Space:
    """Score, rank and draw on training users; see the optimizer's docstring for the steps."""
    rng = np.random.default_rng(task.seed)
    synthetic = task.guard.demos == "synthetic"
    most = _REHEARSING_USERS if synthetic else _TRAINING_USERS
    users = [task.train[i] for i in rng.permutation(len(task.train))[:most]]
    few, more = (users[:count] for count in _SCREENING_USERS)
    tables = {conditioning: RewardTable(task, conditioning) for conditioning in CONDITIONINGS}
    probe = tables[CONDITIONINGS[-1]]
    texts = candidate_summaries(task, few)
    probe.fill(few, texts, "scoring candidate summaries")
    texts = probe.cover(few, texts, _SCREENED)
    probe.fill(more, texts, "scoring the better ones on more users")
    texts = probe.cover(more, texts, _SHORTLIST)
    ranked = _rank_conditionings(task, tables, few[:_PROBING_USERS], texts[:_PROBED])
    table = tables[ranked[0]]
    table.fill(more, texts, "scoring the best under the best conditioning")
    texts = table.kinds_of_taste(more, texts)
    table.fill(users, texts, "scoring what is left on all of them")
    demonstrations = _invented if synthetic else _demonstrations
    sets = demonstrations(task, table, users, texts, rng)
    none = DemonstrationSet(())
    instructions = propose(task, sets[0] if sets else none, _PROPOSALS)
    best = (each for each in ranked[:_CONDITIONINGS] if each != UNTUNED_CONDITIONING)
    return Space(instructions, (none, *sets), (UNTUNED_CONDITIONING, *best))


def _demonstrations(
    task: Task,
    table: RewardTable,
    users: Sequence[User],
    texts: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[DemonstrationSet, ...]:
    """Sets drawn from some of the users, the best in rehearsals with the others."""
    by_summary = users_by_summary(table, users, texts)
    halves = [found[1::2] for found in by_summary.values()]
    rehearsing = _in_turn(halves)[: min(_REHEARSING_USERS, len(users) // 2)]
    shown = clearest(
        {
            text: [u for u in found if u not in rehearsing and task.guard.allows_user(u)]
            for text, found in by_summary.items()
        }
    )
    drawn = draw_sets(shown, count=_DRAWN, rng=rng)
    fitting = [each for each in drawn if fits(each, VIEW, task.door)]
    return Rehearsal(task, table, texts).best(fitting, rehearsing, [shown], rng)


def _invented(
    task: Task,
    table: RewardTable,
    users: Sequence[User],
    texts: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[DemonstrationSet, ...]:
    """A set of invented people for every dimension of taste, rehearsed with the users."""
    tastes = invented_people(task, texts)
    drawn = [each for taste in tastes for each in draw_sets(taste, count=1, rng=rng)]
    fitting = [each for each in dict.fromkeys(drawn) if fits(each, VIEW, task.door)]
    rehearsing = _in_turn(list(users_by_summary(table, users, texts).values()))
    return Rehearsal(task, table, texts).best(fitting, rehearsing, tastes, rng)


def _in_turn(groups: Sequence[Sequence[User]]) -> list[User]:
    """One user of each group in turn, so that any first few hold all tastes."""
    longest = max(map(len, groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]


def _rank_conditionings(
    task: Task,
    tables: dict[Conditioning, RewardTable],
    users: Sequence[User],
    texts: Sequence[str],
) -> list[Conditioning]:
    """Conditionings by what the texts reach under them, the best first."""
    for table in tables.values():
        table.fill(users, texts, "trying ways to put a summary to the generator")
    return sorted(tables, key=lambda each: tables[each].best_of(users, texts), reverse=True)
