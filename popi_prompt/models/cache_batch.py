"""What the cache of answers holds in memory until it is on disk."""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_BYTES = 64 << 20


@dataclass(slots=True)
class Batch:
    """Answers, (user id, key) of their owners, and when keys were used, in nanoseconds."""

    answers: dict[str, bytes] = field(default_factory=dict)
    owners: set[tuple[str, str]] = field(default_factory=set)
    used: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def put(self, key: str, value: bytes) -> None:
        """Add an answer; the first ones go where memory is at its bound."""
        self.drop(key)
        self.answers[key] = value
        self.size += len(value)
        while self.size > _MOST_BYTES and len(self.answers) > 1:
            self.drop(next(iter(self.answers)))

    def drop(self, key: str) -> int:
        """Remove an answer; 1 if there was one."""
        value = self.answers.pop(key, None)
        if value is None:
            return 0
        self.size -= len(value)
        return 1

    def forget(self, user_id: str | None) -> int:
        """Remove the answers of a user, or all for None; how many."""
        mine = {key for owner, key in self.owners if owner == user_id}
        removed = sum(map(self.drop, list(self.answers) if user_id is None else mine))
        self.owners = {each for each in self.owners if user_id is not None and each[1] not in mine}
        return removed

    def add(self, newer: Batch) -> None:
        """Everything of `newer` too."""
        for key, value in newer.answers.items():
            self.put(key, value)
        self.owners |= newer.owners
        self.used |= newer.used
