"""Building a search space: what earns a place in it, measured on training users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.optimizers.calibration import FEWEST, Calibration
from popi_prompt.optimizers.couples import asking, in_couples
from popi_prompt.optimizers.demonstrations import (
    DemonstrationSet,
    Pool,
    clearest,
    draw_sets,
    fits,
    users_by_summary,
)
from popi_prompt.optimizers.effort import Round
from popi_prompt.optimizers.guesses import Guesses, by_dimension, guess
from popi_prompt.optimizers.instructions import propose
from popi_prompt.optimizers.invented import invented_people
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.own_words import own_sets
from popi_prompt.optimizers.rehearsal import VIEW, Rehearsal
from popi_prompt.optimizers.space import Space
from popi_prompt.optimizers.statements import RewardTable, candidate_summaries
from popi_prompt.prompts import CONDITIONINGS, TELLING, UNTUNED_CONDITIONING, Conditioning
from popi_prompt.schema import User
from popi_prompt.starting_points import DIRECT

_CONDITIONINGS = 2


def build_space(task: Task, scope: Round) -> Space:
    """Score, rank and draw on training users; see the optimizer's docstring for the steps."""
    rng = np.random.default_rng(task.seed)
    synthetic = task.guard.demos == "synthetic"
    most = scope.rehearsing_users if synthetic else scope.training_users
    drawn = [task.train[i] for i in rng.permutation(len(task.train))]
    drawn = in_couples(drawn) if scope.couples else drawn
    users = _first(drawn, most, scope)
    tables = {conditioning: RewardTable(task, conditioning) for conditioning in CONDITIONINGS}
    few = _first(users, scope.screening[0][0], scope)
    more = _first(users, scope.screening[-1][0], scope)
    candidates = candidate_summaries(task, few, scope.statements)
    guesses = guess(task, users, candidates) if scope.guided else None
    texts = _screened(tables[TELLING], users, candidates, guesses, scope)
    ranked = _rank_conditionings(task, tables, few, texts, scope)
    table = tables[ranked[0]]
    table.fill(more, texts, "scoring the best under the best conditioning")
    if guesses is None:
        texts = table.kinds_of_taste(more, texts)
    else:
        texts = guesses.kinds_of_taste(table, more, by_dimension(texts, scope.statements))
    table.fill(users, texts, "scoring what is left on all of them")
    kinds = users_by_summary(table, users, texts)
    rehearsing = _rehearsing(kinds, scope, synthetic)
    menus = _menus(task, texts, rehearsing, [*drawn[len(users) :], *users], scope)
    bounds = (scope.variations, scope.parents, scope.sets)
    rehearsal = Rehearsal(task, table, texts, *bounds, calibrated=bool(menus))
    sets = _Sets(rehearsal, kinds, rehearsing, rng).best(scope.drawn)
    shown = sets[0] if sets else DemonstrationSet(())
    instructions = propose(task, shown, scope.proposals)
    if scope.own:
        instructions = (*instructions, DIRECT)
        sets = (*sets, *_own(task, table, users[: scope.own]))
    best = (each for each in ranked[:_CONDITIONINGS] if each != UNTUNED_CONDITIONING)
    return Space().joined(Space(instructions, sets, tuple(best), menus))


def _screened(
    table: RewardTable,
    users: Sequence[User],
    texts: tuple[str, ...],
    guesses: Guesses | None,
    scope: Round,
) -> tuple[str, ...]:
    """The texts that are left when each step of the screening has dropped the worse ones."""
    title = "scoring candidate summaries"
    for step, (count, kept) in enumerate(scope.screening):
        first = _first(users, count, scope)
        table.fill(first, texts, title)
        title = "scoring the better ones on more users"
        if guesses is not None:
            groups = by_dimension(texts, scope.statements)
            texts = guesses.kept(table, first, groups, kept)
            continue
        opposed = scope.opposed if step == 0 else 0
        chosen = table.cover(first, texts, kept - opposed)
        texts = (*chosen, *table.opposed(first, texts, opposed, chosen))
    return texts


def _first(users: Sequence[User], count: int, scope: Round) -> Sequence[User]:
    """So many users, or couples for the same calls."""
    return asking(users, count) if scope.couples else users[:count]


@dataclass(frozen=True, slots=True)
class _Sets:
    """Draws sets that show these kinds of taste; the best are found in rehearsals with users."""

    rehearsal: Rehearsal
    kinds: Mapping[str, Sequence[User]]
    rehearsing: Sequence[User]
    rng: np.random.Generator

    def best(self, count: int) -> tuple[DemonstrationSet, ...]:
        """Of so many sets of users who do not rehearse, or of all sets of invented people."""
        synthetic = self.rehearsal.task.guard.demos == "synthetic"
        return self._invented() if synthetic else self._real(count)

    def _real(self, count: int) -> tuple[DemonstrationSet, ...]:
        guard = self.rehearsal.task.guard
        shown = clearest(
            {
                text: [u for u in found if u not in self.rehearsing and guard.allows_user(u)]
                for text, found in self.kinds.items()
            }
        )
        return self._rehearsed(draw_sets(shown, count=count, rng=self.rng), [shown])

    def _invented(self) -> tuple[DemonstrationSet, ...]:
        """A set for every dimension of taste."""
        tastes = invented_people(self.rehearsal.task, tuple(self.kinds))
        drawn = [each for taste in tastes for each in draw_sets(taste, count=1, rng=self.rng)]
        return self._rehearsed(list(dict.fromkeys(drawn)), tastes)

    def _rehearsed(
        self, drawn: Sequence[DemonstrationSet], pools: Sequence[Pool]
    ) -> tuple[DemonstrationSet, ...]:
        fitting = [each for each in drawn if fits(each, VIEW, self.rehearsal.task.door)]
        return self.rehearsal.best(fitting, self.rehearsing, pools, self.rng)


def _own(task: Task, table: RewardTable, users: Sequence[User]) -> tuple[DemonstrationSet, ...]:
    """None where no user may be shown."""
    return own_sets(task, table, users) if task.guard.demos == "real" else ()


def _rehearsing(
    kinds: Mapping[str, Sequence[User]], scope: Round, synthetic: bool
) -> Sequence[User]:
    """Every taste in its turn: every second of its users, all where they are not shown anyway."""
    if synthetic:
        return _in_turn(list(kinds.values()))
    users = sum(map(len, kinds.values()))
    halves = [found[1::2] for found in kinds.values()]
    return _in_turn(halves)[: min(scope.rehearsing_users, users // 2)]


def _menus(
    task: Task,
    texts: tuple[str, ...],
    rehearsing: Sequence[User],
    others: Sequence[User],
    scope: Round,
) -> tuple[Calibration, ...]:
    """The summaries that demonstrations show; none where a model could only write them.

    Who rehearses is asked anyway.
    """
    further = [user for user in others if user not in rehearsing]
    users = (*rehearsing, *further)[: scope.calibrating]
    if len(texts) < 2 or len(users) < FEWEST or not task.door.scores_responses("inference"):
        return ()
    return (Calibration(texts, users),)


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
        return [TELLING, UNTUNED_CONDITIONING]
    users, texts = users[:most_users], texts[:most_texts]
    for table in tables.values():
        table.fill(users, texts, "trying ways to put a summary to the generator")
    return sorted(tables, key=lambda each: tables[each].best_of(users, texts), reverse=True)
