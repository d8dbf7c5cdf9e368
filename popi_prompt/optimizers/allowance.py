"""What a search may still ask, where its effort bounds the calls."""

from __future__ import annotations

from popi_prompt.optimizers.optimizer import Task


class Allowance:
    """Counts from here on, by different requests: the same in a run that goes on from the cache."""

    def __init__(self, task: Task):
        self._door = task.door
        self._most = task.effort.calls
        self._before = task.door.asked()
        users = task.validation()
        priors = max(scope.calibrating for scope in task.effort.rounds)
        self._trial = priors + len(users) + sum(len(user.pairs) for user in users)

    def affords(self, more: int = 0) -> bool:
        """Whether one more trial, its priors included, and so much `more`, is within it."""
        if self._most is None:
            return True
        return self._door.asked() - self._before + self._trial + more <= self._most
