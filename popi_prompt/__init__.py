"""popi-prompt: infer a person's preferences as a short text, and let any model answer by it.

    import popi_prompt

    program = popi_prompt.load("programs/tastes.json")
    summary = program.infer(signals)
    answer = program.respond(prompt, summary, model="openai/gpt-4o-mini")

Names are loaded at first use, so importing this costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from popi_prompt.candidate import Candidate, Demonstration
    from popi_prompt.dataset import load_users, write_users
    from popi_prompt.errors import PopiError
    from popi_prompt.front import load_front
    from popi_prompt.inference import PreferenceInference
    from popi_prompt.models.litellm_provider import register as register_litellm
    from popi_prompt.program import Program, load
    from popi_prompt.runs import RunFolder
    from popi_prompt.schema import (
        Dialogue,
        Edit,
        Interaction,
        Pair,
        Persona,
        Preference,
        Rating,
        Signal,
        Turn,
        User,
    )
    from popi_prompt.settings import Settings
    from popi_prompt.workflow import optimize

_HOMES = {
    "Candidate": "candidate",
    "Demonstration": "candidate",
    "load_users": "dataset",
    "write_users": "dataset",
    "PopiError": "errors",
    "load_front": "front",
    "PreferenceInference": "inference",
    "register_litellm": "models.litellm_provider:register",
    "Program": "program",
    "load": "program",
    "RunFolder": "runs",
    "Dialogue": "schema",
    "Edit": "schema",
    "Interaction": "schema",
    "Pair": "schema",
    "Persona": "schema",
    "Preference": "schema",
    "Rating": "schema",
    "Signal": "schema",
    "Turn": "schema",
    "User": "schema",
    "Settings": "settings",
    "optimize": "workflow",
}

__all__ = [
    "Candidate",
    "Demonstration",
    "Dialogue",
    "Edit",
    "Interaction",
    "Pair",
    "Persona",
    "PopiError",
    "Preference",
    "PreferenceInference",
    "Program",
    "Rating",
    "RunFolder",
    "Settings",
    "Signal",
    "Turn",
    "User",
    "load",
    "load_front",
    "load_users",
    "optimize",
    "register_litellm",
    "write_users",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
