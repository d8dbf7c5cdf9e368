"""What decides the figures of a cell: under other conditions it is another measurement."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from typing import Any

from popi_prompt.candidate import Candidate
from popi_prompt.comparison import Scoring
from popi_prompt.rows import COMPILED, NO_CONTEXT, UNTUNED
from popi_prompt.runs.config import unusual

_INFERRED = (UNTUNED, COMPILED)


def conditions(name: str, candidate: Candidate, users: str, scoring: Scoring) -> dict[str, Any]:
    """Those of a row, as plain JSON values; of models only what the row asks.

    `users` is the fingerprint of those who are measured.
    """
    names, routes = scoring.door.names, scoring.door.routes
    scorers = (scoring.scorer, *scoring.also)
    judged = any(scorer.name == "judge" for scorer in scorers)
    inferred = name in _INFERRED
    roles = ["generator", *(["inference"] if inferred else []), *(["judge"] if judged else [])]
    return {
        "users": users,
        **({"inference": names["inference"]} if inferred else {}),
        "judge": names["judge"] if judged else None,
        "scorers": [[each.name, each.prefers_label, each.unit] for each in scorers],
        "routes": {role: own for role in roles if (own := unusual(routes[role]))},
        **_told_by(name, candidate),
    }


def _told_by(name: str, candidate: Candidate) -> dict[str, Any]:
    """What of the program decides a row: nothing, how it tells a text, or all of it."""
    if name in (NO_CONTEXT, UNTUNED):
        return {}
    conditioning = [candidate.conditioning.place, candidate.conditioning.wording]
    if name != COMPILED:
        return {"conditioning": conditioning}
    text = json.dumps(
        [
            candidate.instruction,
            candidate.view,
            [[demo.signals, demo.summary] for demo in candidate.demonstrations],
            conditioning,
            *([astuple(candidate.menu)] if candidate.menu else []),
        ]
    )
    return {"program": hashlib.sha256(text.encode()).hexdigest()[:16]}
