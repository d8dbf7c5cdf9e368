"""Scorers: how far does a summary move the frozen generator towards what the person chose?

`likelihood` wherever the generator gives log-probabilities of given answers, `choice` elsewhere;
`judge`, `similarity` and functions of one's own score what the generator writes.
"""

from __future__ import annotations

from popi_prompt.errors import UsageError
from popi_prompt.models.door import Door
from popi_prompt.scorers.choice import ChoiceScorer
from popi_prompt.scorers.function import FunctionScorer, ScoringFunction, load_function, uncalled
from popi_prompt.scorers.judge import JudgeScorer
from popi_prompt.scorers.likelihood import LikelihoodScorer
from popi_prompt.scorers.scorer import Comparing, PairScore, Scorer
from popi_prompt.scorers.similarity import SimilarityScorer

SCORERS: dict[str, type[LikelihoodScorer | ChoiceScorer | JudgeScorer | SimilarityScorer]] = {
    "likelihood": LikelihoodScorer,
    "choice": ChoiceScorer,
    "judge": JudgeScorer,
    "similarity": SimilarityScorer,
}


def make_scorer(scorer: str | Scorer | None, door: Door) -> Scorer:
    """The scorer with this name or at this `module:function`; None: the best the route allows.

    Models that it alone asks are opened. Raises `UsageError` for a name that is none and for a
    scorer that these models cannot serve, `ModelError` for a model that cannot be opened.
    """
    if scorer is None:
        scorer = "likelihood" if door.scores_responses("generator") else "choice"
    if not isinstance(scorer, str):
        return scorer
    if ":" in scorer:
        return load_function(scorer)
    if scorer not in SCORERS:
        raise UsageError(
            f"unknown scorer {scorer!r}; known: {', '.join(SCORERS)}, or module:function for "
            "one of your own"
        )
    _check(scorer, door)
    return SCORERS[scorer]()


def _check(name: str, door: Door) -> None:
    if name == "likelihood" and not door.scores_responses("generator"):
        raise UsageError(
            f"generator {door.names['generator']!r} gives no log-probabilities of given answers, "
            f"which the scorer 'likelihood' needs ({door.capability('generator').reason}); "
            "use --scorer choice"
        )
    if name == "judge":
        door.model("judge")
    if name == "similarity":
        if "embedding" not in door.names:
            raise UsageError(
                "the scorer 'similarity' needs a model that embeds texts; name one with "
                "--embedding-model, such as openai/text-embedding-3-small or local/smollm2-135m"
            )
        door.model("embedding")


__all__ = [
    "SCORERS",
    "ChoiceScorer",
    "Comparing",
    "FunctionScorer",
    "JudgeScorer",
    "LikelihoodScorer",
    "PairScore",
    "Scorer",
    "ScoringFunction",
    "SimilarityScorer",
    "load_function",
    "make_scorer",
    "uncalled",
]
