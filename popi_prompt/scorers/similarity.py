"""Similarity: is what the generator writes closer to the chosen answer or to the rejected one?"""

from __future__ import annotations

import numpy as np

from popi_prompt.generator import Generator
from popi_prompt.schema import Pair, User
from popi_prompt.scorers.scorer import PairScore


class SimilarityScorer:
    """By the role "embedding": g(s) = cos(answer, chosen) - cos(answer, rejected).

    The margin is g(s) - g(no summary), in cosines: between -4 and 4, mostly a few hundredths.
    `prefers` is 1 where the answer is closer to the chosen one, 0.5 for a tie.
    """

    name = "similarity"
    prefers_label = "closer to chosen"
    unit = "cosine"

    def score(self, generator: Generator, user: User, pair: Pair, summary: str | None) -> PairScore:
        """Two answers and four embeddings, all but two of them shared by every summary."""
        bare = _gap(generator, pair, None)
        gap = bare if summary is None else _gap(generator, pair, summary)
        prefers = 0.5 if gap == 0 else float(gap > 0)
        return PairScore(margin=gap - bare, prefers=prefers)


def _gap(generator: Generator, pair: Pair, summary: str | None) -> float:
    answer = _direction(generator, generator.respond(pair.prompt, summary).text)
    chosen, rejected = (_direction(generator, text) for text in (pair.chosen, pair.rejected))
    return float(answer @ chosen) - float(answer @ rejected)


def _direction(generator: Generator, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    vector = np.array(generator.door.embedding("embedding", text))
    direction: np.ndarray[tuple[int], np.dtype[np.float64]] = vector / np.linalg.norm(vector)
    return direction
