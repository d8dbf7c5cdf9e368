"""What to export, and where to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from popi_prompt.errors import UsageError
from popi_prompt.files import check_writable
from popi_prompt.finetune.examples import KINDS, Kind
from popi_prompt.finetune.formats import FORMATS, Format


@dataclass(frozen=True, slots=True)
class Plan:
    """What to export, and where to.

    `samples` keeps what was drawn and scored: an export that finds all of it there calls no model.
    `validation` None writes no such file. `scorer` None is the program's. `base_model` is the one
    to be tuned, for its tokenizer; None is the inference model. `price` is USD for a million
    training tokens. Demonstrations stay out unless asked for: tuning takes their place.
    """

    output: Path
    samples: Path
    validation: Path | None = None
    kind: Kind = "sft"
    provider: str = "openai"
    draws: int = 4
    temperature: float = 0.8
    min_margin: float = 0.5
    max_users: int | None = None
    scorer: str | None = None
    base_model: str | None = None
    price: float | None = None
    anonymise: bool = False
    with_demonstrations: bool = False

    def check(self) -> Format:
        """The format. Raises `UsageError` for what cannot work, before anything is sent."""
        if self.provider not in FORMATS or self.kind not in KINDS:
            known = f"{', '.join(FORMATS)} with {', '.join(KINDS)}"
            raise UsageError(f"no format {self.kind!r} of {self.provider!r}; known: {known}")
        numbers = {"--temperature": self.temperature, "--min-margin": self.min_margin}
        for name, value in {**numbers, "--price": self.price or 0.0}.items():
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is {value:g}; it must be a number of 0 or more")
        fewest = 2 if self.kind == "preference" else 1
        if self.draws < fewest:
            raise UsageError(
                f"--draws is {self.draws}; {self.kind} needs {fewest} or more for each user"
            )
        found = FORMATS[self.provider][self.kind]
        if found.one_turn and self.with_demonstrations:
            raise UsageError(
                f"{self.provider} takes preference examples of one turn; drop "
                "--with-demonstrations or --provider"
            )
        paths = [path for path in (self.output, self.validation, self.samples) if path is not None]
        for path in paths:
            check_writable(path)
        if len({path.resolve() for path in paths}) < len(paths):
            raise UsageError("--output, --validation-output and --samples must be different files")
        return found
