"""The search space of the POPI optimizer: what earns a place in it, measured on training users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.models.door import Door
from popi_prompt.optimizers.couples import asking, in_couples
from popi_prompt.optimizers.demonstrations import (
    DemonstrationSet,
    clearest,
    draw_sets,
    fits,
    users_by_summary,
)
from popi_prompt.optimizers.effort import Round
from popi_prompt.optimizers.instructions import propose
from popi_prompt.optimizers.invented import invented_people
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.own_words import own_sets
from popi_prompt.optimizers.rehearsal import VIEW, Rehearsal
from popi_prompt.optimizers.statements import RewardTable, candidate_summaries
from popi_prompt.prompts import (
    CONDITIONINGS,
    LENGTH_TARGETS,
    UNTUNED_CONDITIONING,
    VIEWS,
    Conditioning,
)
from popi_prompt.schema import User
from popi_prompt.starting_points import DIRECT

_CONDITIONINGS = 2
_PROBED_WITH = CONDITIONINGS[-1]

Choice = dict[str, int]
LENGTHS = tuple(LENGTH_TARGETS)


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of the search; index 0 of each is the untuned program's."""

    instructions: tuple[str, ...] = (UNTUNED_CANDIDATE.instruction,)
    sets: tuple[DemonstrationSet, ...] = (DemonstrationSet(()),)
    conditionings: tuple[Conditioning, ...] = (UNTUNED_CONDITIONING,)

    @property
    def sizes(self) -> Choice:
        """How many choices each name of `candidate` has."""
        return {
            "instruction": len(self.instructions),
            "demonstrations": len(self.sets),
            "view": len(VIEWS),
            "conditioning": len(self.conditionings),
            "length": len(LENGTHS),
        }

    def joined(self, other: Space) -> Space:
        """With what is new in the other one at the ends, so that indices stay what they are."""
        return Space(
            tuple(dict.fromkeys((*self.instructions, *other.instructions))),
            tuple(dict.fromkeys((*self.sets, *other.sets))),
            tuple(dict.fromkeys((*self.conditionings, *other.conditionings))),
        )

    def started(self, start: Candidate) -> tuple[Space, Choice]:
        """With what is new in a candidate without demonstrations; and the choices that make it."""
        grown = self.joined(Space((start.instruction,), (), (start.conditioning,)))
        return grown, {
            **dict.fromkeys(self.sizes, 0),
            "instruction": grown.instructions.index(start.instruction),
            "view": VIEWS.index(start.view),
            "conditioning": grown.conditionings.index(start.conditioning),
        }

    def allows(self, chosen: Choice, door: Door) -> bool:
        """Whether the chosen demonstrations fit a small context in the chosen view."""
        return fits(self.sets[chosen["demonstrations"]], VIEWS[chosen["view"]], door)

    def candidate(self, chosen: Choice) -> Candidate:
        """The combination of these choices, by index."""
        view = VIEWS[chosen["view"]]
        target = LENGTH_TARGETS[LENGTHS[chosen["length"]]]
        instruction = self.instructions[chosen["instruction"]]
        return Candidate(
            instruction=f"{instruction} {target}" if target else instruction,
            demonstrations=self.sets[chosen["demonstrations"]].rendered(view),
            view=view,
            conditioning=self.conditionings[chosen["conditioning"]],
        )

    def described(self, chosen: Choice) -> dict[str, str | int]:
        """The choices for people and for records: names where there are some, else indices."""
        return {
            **chosen,
            "view": VIEWS[chosen["view"]],
            "length": LENGTHS[chosen["length"]],
        }


def build_space(task: Task, scope: Round) -> Space:
    """Score, rank and draw on training users; see the optimizer's docstring for the steps."""
    rng = np.random.default_rng(task.seed)
    synthetic = task.guard.demos == "synthetic"
    most = scope.rehearsing_users if synthetic else scope.training_users
    drawn = [task.train[i] for i in rng.permutation(len(task.train))]
    users = (in_couples(drawn) if scope.couples else drawn)[:most]
    tables = {conditioning: RewardTable(task, conditioning) for conditioning in CONDITIONINGS}
    few = _first(users, scope.screening[0][0], scope)
    more = _first(users, scope.screening[-1][0], scope)
    candidates = candidate_summaries(task, few, scope.statements)
    texts = _screened(tables[_PROBED_WITH], users, candidates, scope)
    ranked = _rank_conditionings(task, tables, few, texts, scope)
    table = tables[ranked[0]]
    table.fill(more, texts, "scoring the best under the best conditioning")
    texts = table.kinds_of_taste(more, texts)
    table.fill(users, texts, "scoring what is left on all of them")
    demonstrations = _invented if synthetic else _demonstrations
    sets = demonstrations(task, table, users, texts, rng, scope)
    shown = sets[0] if sets else DemonstrationSet(())
    instructions = propose(task, shown, scope.proposals)
    if scope.own:
        instructions = (*instructions, DIRECT)
        sets = (*sets, *_own(task, table, users[: scope.own]))
    best = (each for each in ranked[:_CONDITIONINGS] if each != UNTUNED_CONDITIONING)
    return Space().joined(Space(instructions, sets, tuple(best)))


def _screened(
    table: RewardTable, users: Sequence[User], texts: tuple[str, ...], scope: Round
) -> tuple[str, ...]:
    """The texts that are left when each step of the screening has dropped the worse ones."""
    title = "scoring candidate summaries"
    for step, (count, kept) in enumerate(scope.screening):
        first = _first(users, count, scope)
        table.fill(first, texts, title)
        title = "scoring the better ones on more users"
        opposed = scope.opposed if step == 0 else 0
        chosen = table.cover(first, texts, kept - opposed)
        texts = (*chosen, *table.opposed(first, texts, opposed, chosen))
    return texts


def _first(users: Sequence[User], count: int, scope: Round) -> Sequence[User]:
    """So many users, or couples for the same calls."""
    return asking(users, count) if scope.couples else users[:count]


def _demonstrations(
    task: Task,
    table: RewardTable,
    users: Sequence[User],
    texts: tuple[str, ...],
    rng: np.random.Generator,
    scope: Round,
) -> tuple[DemonstrationSet, ...]:
    """Sets drawn from some of the users, the best in rehearsals with the others."""
    by_summary = users_by_summary(table, users, texts)
    halves = [found[1::2] for found in by_summary.values()]
    rehearsing = _in_turn(halves)[: min(scope.rehearsing_users, len(users) // 2)]
    shown = clearest(
        {
            text: [u for u in found if u not in rehearsing and task.guard.allows_user(u)]
            for text, found in by_summary.items()
        }
    )
    drawn = draw_sets(shown, count=scope.drawn, rng=rng)
    fitting = [each for each in drawn if fits(each, VIEW, task.door)]
    return _rehearsal(task, table, texts, scope).best(fitting, rehearsing, [shown], rng)


def _own(task: Task, table: RewardTable, users: Sequence[User]) -> tuple[DemonstrationSet, ...]:
    """None where no user may be shown."""
    return own_sets(task, table, users) if task.guard.demos == "real" else ()


def _invented(
    task: Task,
    table: RewardTable,
    users: Sequence[User],
    texts: tuple[str, ...],
    rng: np.random.Generator,
    scope: Round,
) -> tuple[DemonstrationSet, ...]:
    """A set of invented people for every dimension of taste, rehearsed with the users."""
    tastes = invented_people(task, texts)
    drawn = [each for taste in tastes for each in draw_sets(taste, count=1, rng=rng)]
    fitting = [each for each in dict.fromkeys(drawn) if fits(each, VIEW, task.door)]
    rehearsing = _in_turn(list(users_by_summary(table, users, texts).values()))
    return _rehearsal(task, table, texts, scope).best(fitting, rehearsing, tastes, rng)


def _rehearsal(task: Task, table: RewardTable, texts: tuple[str, ...], scope: Round) -> Rehearsal:
    return Rehearsal(task, table, texts, scope.variations, scope.parents, scope.sets)


def _in_turn(groups: Sequence[Sequence[User]]) -> list[User]:
    """One user of each group in turn, so that any first few hold all tastes."""
    longest = max(map(len, groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]


def _rank_conditionings(
    task: Task,
    tables: dict[Conditioning, RewardTable],
    users: Sequence[User],
    texts: Sequence[str],
    scope: Round,
) -> list[Conditioning]:
    """Conditionings by what the texts reach under them, the best first."""
    most_users, most_texts = scope.probing
    if not most_users:
        return [_PROBED_WITH, UNTUNED_CONDITIONING]
    users, texts = users[:most_users], texts[:most_texts]
    for table in tables.values():
        table.fill(users, texts, "trying ways to put a summary to the generator")
    return sorted(tables, key=lambda each: tables[each].best_of(users, texts), reverse=True)
