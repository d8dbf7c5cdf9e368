"""The parts that models play."""

from __future__ import annotations

from typing import Literal

Role = Literal["generator", "inference", "proposer", "judge", "embedding"]
ROLES: tuple[Role, ...] = ("generator", "inference", "proposer", "judge", "embedding")
RECORDED: tuple[Role, ...] = ("generator", "inference", "proposer")  # in a program
# Whose model plays a role for which none is named.
STANDS_IN: dict[Role, Role] = {
    "proposer": "inference",
    "judge": "generator",
    "embedding": "generator",  # where it is embedded in this process: others do not embed texts
}
