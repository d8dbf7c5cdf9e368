"""The search space of the POPI optimizer: what earns a place in it, measured on training users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import Candidate
from popi_prompt.evaluation import Outcome, evaluate
from popi_prompt.events import PhaseStarted
from popi_prompt.inference import summarizer
from popi_prompt.optimizers.demonstrations import DemonstrationSet, draw_sets, fits
from popi_prompt.optimizers.instructions import propose
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.statements import RewardTable, candidate_summaries
from popi_prompt.prompts import CONDITIONINGS, UNTUNED_CONDITIONING, VIEWS, Conditioning
from popi_prompt.schema import User

_SCREENING_USERS = (5, 8)
_TRAINING_USERS = 18
_SCREENED = 5
_SHORTLIST = 4
_PROBING_USERS = 4
_PROBED = 2
_CONDITIONINGS = 2
_DRAWN = 8
_SETS = 3
_REHEARSING_USERS = 7
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
    users = [task.train[i] for i in rng.permutation(len(task.train))[:_TRAINING_USERS]]
    few, more = (users[:count] for count in _SCREENING_USERS)
    tables = {conditioning: RewardTable(task, conditioning) for conditioning in CONDITIONINGS}
    probe = tables[CONDITIONINGS[-1]]
    texts = candidate_summaries(task, few)
    probe.fill(few, texts, "scoring candidate summaries")
    texts = probe.cover(few, texts, _SCREENED)
    probe.fill(more, texts, "scoring the better half again")
    texts = probe.cover(more, texts, _SHORTLIST)
    ranked = _rank_conditionings(task, tables, few[:_PROBING_USERS], texts[:_PROBED])
    table = tables[ranked[0]]
    table.fill(users, texts, "scoring the best on more users")
    rehearsing, shown = users[:_REHEARSING_USERS], users[_REHEARSING_USERS:]
    drawn = draw_sets(table, shown, table.kinds_of_taste(users, texts), count=_DRAWN, rng=rng)
    fitting = tuple(each for each in drawn if all(fits(each, v, task.door) for v in VIEWS))
    sets = _rehearse(task, fitting, ranked[0], rehearsing)
    none = DemonstrationSet(())
    instructions = propose(task, sets[0] if sets else none, _PROPOSALS)
    best = (each for each in ranked[:_CONDITIONINGS] if each != UNTUNED_CONDITIONING)
    return Space(instructions, (none, *sets), (UNTUNED_CONDITIONING, *best))


def _rehearse(
    task: Task,
    sets: Sequence[DemonstrationSet],
    conditioning: Conditioning,
    users: Sequence[User],
) -> tuple[DemonstrationSet, ...]:
    """The sets that lead to the best summaries of training users who are in none of them.

    The order of demonstrations alone can make a small model write the same summary for everybody,
    so many are tried. What they lead to has mostly been scored before and costs no generator call.
    """
    metric = task.metric(conditioning)
    means: list[float] = []
    task.observer(PhaseStarted("rehearsing demonstrations", len(sets) * len(users)))
    for each in sets:
        candidate = Candidate(
            demonstrations=each.rendered("liked"), view="liked", conditioning=conditioning
        )
        results = evaluate(users, summarizer(candidate, task.door), metric, task.observer)
        rewards = [result.reward for result in results if isinstance(result, Outcome)]
        means.append(float(np.mean(rewards)) if rewards else -np.inf)
    best_first = np.argsort([-mean for mean in means], kind="stable")
    return tuple(sets[i] for i in best_first[:_SETS])


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
