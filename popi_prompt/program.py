"""The compiled program: what optimizing leaves behind, as one JSON file.

It holds text and numbers, no endpoint, no key, no code; loading it runs nothing. Demonstrations may
hold text of training users, or of nobody: `holds` says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from popi_prompt.candidate import Candidate
from popi_prompt.files import write_text
from popi_prompt.json_record import read_record
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.origin import Origin as Origin
from popi_prompt.origin import Scores as Scores
from popi_prompt.program_record import SCHEMA_VERSION as SCHEMA_VERSION
from popi_prompt.program_record import parts_from_record, program_record
from popi_prompt.records import parse_signals
from popi_prompt.schema import Signal, User
from popi_prompt.shipped import located

if TYPE_CHECKING:
    from popi_prompt.inference import PreferenceInference


@dataclass(frozen=True)
class Program:
    """A compiled program. `models` maps generator, inference and proposer to model names."""

    candidate: Candidate
    models: Mapping[str, str]
    origin: Origin

    def infer(self, signals: Sequence[Signal | Mapping[str, Any]]) -> str:
        """The summary of a user's signals, given as values or as JSON objects.

        Raises `DataError` for signals that are none, `ModelError` where there is no answer.
        """
        from popi_prompt.inference import compile_module, infer_summary

        module = compile_module(self.candidate)
        return infer_summary(module, self._lm, parse_signals(signals))

    def infer_user(self, user: User) -> str:
        """The summary of a user; a `ModelError` names them."""
        with attributed(user_id=user.user_id):
            return self.infer(user.signals)

    def respond(self, prompt: str, summary: str | None, *, model: str | None = None) -> str:
        """The generator's answer for a person with this summary; without one, for anybody.

        `model` is any LiteLLM route, `local/...` or path to a GGUF file; by default the generator
        that the program was optimized for.
        """
        from popi_prompt.generator import Generator

        door = self.door if model is None else self.door.elsewhere({"generator": model})
        return Generator(door, self.candidate.conditioning).respond(prompt, summary).text

    @property
    def module(self) -> PreferenceInference:
        """A new `dspy.Module` with the compiled inference step, bound to the inference model."""
        from popi_prompt.inference import compile_module

        module = compile_module(self.candidate)
        module.set_lm(self._lm)
        return module

    def through(self, door: Door) -> Program:
        """The same program, its models reached through this door."""
        program = replace(self)
        program.__dict__["door"] = door  # where the cached property looks first
        return program

    @cached_property
    def door(self) -> Door:
        """The program's models; opened at first use, answers remembered."""
        return Door(self.models)

    @cached_property
    def _lm(self) -> Any:
        from popi_prompt.inference import SUMMARY_SAMPLING
        from popi_prompt.models.dspy_engine import door_lm

        return door_lm(self.door, "inference", SUMMARY_SAMPLING)

    @property
    def holds(self) -> str:
        """What of people is in the file, in words."""
        count = len(self.candidate.demonstrations)
        if self.origin.demos == "synthetic":
            invented = f": {count} invented demonstration{'s' if count > 1 else ''}"
            checked = f"checked: 0 shared 6-grams with {self.origin.users_checked} users' signals"
            return f"no user's text{invented if count else ''}; {checked}"
        if count == 0:
            return "no user's text"
        return f"signals of {count} training user{'s' if count > 1 else ''}, as demonstrations"

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        write_text(Path(path), json.dumps(self.as_record(), indent=2, ensure_ascii=False) + "\n")

    def as_record(self) -> dict[str, Any]:
        """The JSON object of the file; `program_from_record` reads it back."""
        return program_record(self.candidate, self.models, self.origin, self.holds)


def load(path: str | Path) -> Program:
    """Read a compiled program: a file, or by its name one that comes with the package.

    Runs nothing; refuses what it does not understand. Raises `ProgramError` with the path and what
    is wrong.
    """
    return read_record(located(Path(path)), program_from_record)


def program_from_record(raw: Any) -> Program:
    """A program from its JSON object. Raises `ProgramError`."""
    return Program(*parts_from_record(raw))
