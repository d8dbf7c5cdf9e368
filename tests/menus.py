"""What every kind of menu, portrait and quotation is put through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from popi_prompt.candidate import Candidate
from popi_prompt.errors import ProgramError
from popi_prompt.inference import PreferenceInference, dspy_state
from popi_prompt.program import Program, program_from_record


def through_dspy_state(candidate: Candidate, folder: Path) -> PreferenceInference:
    """The module that plain DSPy loads from the candidate's state."""
    path = folder / "state.json"
    path.write_text(json.dumps(dspy_state(candidate)), encoding="utf-8")
    module = PreferenceInference()
    module.load(str(path))
    return module


def refused_menu(program: Program, damage: Mapping[str, Any]) -> str:
    """What the reader says of the program with these keys of its menu changed."""
    record = program.as_record()
    record["menu"].update(damage)
    with pytest.raises(ProgramError) as found:
        program_from_record(record)
    return str(found.value)
