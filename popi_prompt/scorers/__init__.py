"""Scorers: how far does a summary move the frozen generator towards the chosen answer?

`likelihood` wherever the generator gives log-probabilities of given answers, `choice` elsewhere.
"""

from __future__ import annotations

from popi_prompt.errors import UsageError
from popi_prompt.models.door import Door
from popi_prompt.scorers.choice import ChoiceScorer
from popi_prompt.scorers.likelihood import LikelihoodScorer
from popi_prompt.scorers.scorer import PairScore, Scorer

SCORERS: dict[str, type[LikelihoodScorer] | type[ChoiceScorer]] = {
    "likelihood": LikelihoodScorer,
    "choice": ChoiceScorer,
}


def make_scorer(name: str | None, door: Door) -> Scorer:
    """The scorer with this name; without one, the best the generator's route allows."""
    if name is None:
        name = "likelihood" if door.scores_responses("generator") else "choice"
    if name not in SCORERS:
        raise UsageError(f"unknown scorer {name!r}; known: {', '.join(SCORERS)}")
    if name == "likelihood" and not door.scores_responses("generator"):
        raise UsageError(
            f"generator {door.names['generator']!r} gives no log-probabilities of given answers, "
            f"which the scorer 'likelihood' needs ({door.capability('generator').reason}); "
            "use --scorer choice"
        )
    return SCORERS[name]()


__all__ = ["SCORERS", "ChoiceScorer", "LikelihoodScorer", "PairScore", "Scorer", "make_scorer"]
