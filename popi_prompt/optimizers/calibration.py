"""Calibration: how much a model leans to each summary of a menu, whoever is asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from popi_prompt.candidate import Candidate, Menu
from popi_prompt.errors import ModelError
from popi_prompt.evaluation import in_parallel
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.schema import User

FEWEST = 4  # users, for a prior


@dataclass(frozen=True, slots=True)
class Calibration:
    """Summaries to choose from, and training users on whom priors are measured.

    Of the users every taste should have its share: a taste that most of them have would look like a
    lean. The default one leaves candidates as they are.
    """

    summaries: tuple[str, ...] = ()
    users: tuple[User, ...] = ()

    def of(self, candidate: Candidate, door: Door) -> Candidate:
        """The candidate with a menu; without, where too few users could be asked.

        Whom the candidate shows is not asked about. What was asked before is in the door's memory.
        """
        if not self.summaries:
            return candidate
        users = [user for user in self.users if user.user_id not in candidate.quoted]
        ask = partial(logs_of, candidate, self.summaries, door)
        workers = max(1, door.model("inference").concurrency // 2)
        logs = [each for each in in_parallel(ask, users, workers) if each is not None]
        if len(logs) < FEWEST:
            return candidate
        priors = tuple(float(prior) for prior in np.mean(logs, axis=0))
        return replace(candidate, menu=Menu(door.names["inference"], self.summaries, priors))


def logs_of(
    candidate: Candidate, summaries: tuple[str, ...], door: Door, user: User
) -> tuple[float, ...] | None:
    """Log-probabilities of the summaries after the user's signals; None where the call fails."""
    try:
        with attributed(user_id=user.user_id, quoted=candidate.quoted):
            return door.logprobs("inference", candidate.messages(user.signals), summaries)
    except ModelError:
        return None
