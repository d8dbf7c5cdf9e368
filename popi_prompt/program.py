"""The compiled program: what optimizing leaves behind, as one JSON file.

It holds text and numbers, no endpoint, no key, no code; loading it runs nothing. Demonstrations may
hold text of training users: `holds` says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from popi_prompt.candidate import Candidate, Demonstration
from popi_prompt.errors import DataError, ProgramError
from popi_prompt.files import parse_json, read_bytes, write_text
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.prompts import VIEWS, Conditioning
from popi_prompt.records import parse_signals
from popi_prompt.schema import Signal, User
from popi_prompt.shipped import located

if TYPE_CHECKING:
    from popi_prompt.inference import PreferenceInference

SCHEMA_VERSION = 1
_VERSION_KEY = "popi_prompt_program"
_USUAL_REWARD = "popi"  # of a program that names none


@dataclass(frozen=True, slots=True)
class Scores:
    """A program on held-out users: n, share of pairs with D > 0, mean D, tokens inserted."""

    users: int
    reward_accuracy: float
    margin: float
    tokens_median: float


@dataclass(frozen=True, slots=True)
class Origin:
    """How a program came to be; `scores_*` are None where nothing was measured."""

    scorer: str
    seed: int
    dataset: str
    users: int
    trials: int
    scores_before: Scores | None = None
    scores_after: Scores | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    reward: str = _USUAL_REWARD


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

        door = self.door if model is None else Door({"generator": model})
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
        if count == 0:
            return "no user's text"
        return f"signals of {count} training user{'s' if count > 1 else ''}, as demonstrations"

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        write_text(Path(path), json.dumps(self.as_record(), indent=2, ensure_ascii=False) + "\n")

    def as_record(self) -> dict[str, Any]:
        """The JSON object of the file; `program_from_record` reads it back."""
        candidate, origin = self.candidate, self.origin
        return {
            _VERSION_KEY: SCHEMA_VERSION,
            "holds": self.holds,
            "instruction": candidate.instruction,
            "view": candidate.view,
            "conditioning": {
                "place": candidate.conditioning.place,
                "wording": candidate.conditioning.wording,
            },
            "demonstrations": [
                {"signals": demo.signals, "summary": demo.summary}
                for demo in candidate.demonstrations
            ],
            "models": dict(self.models),
            "origin": {
                "scorer": origin.scorer,
                **({} if origin.reward == _USUAL_REWARD else {"reward": origin.reward}),
                "seed": origin.seed,
                "dataset": origin.dataset,
                "users": origin.users,
                "trials": origin.trials,
                "scores_before": _scores_record(origin.scores_before),
                "scores_after": _scores_record(origin.scores_after),
                "versions": dict(origin.versions),
            },
        }


def load(path: str | Path) -> Program:
    """Read a compiled program: a file, or by its name one that comes with the package.

    Runs nothing; refuses what it does not understand. Raises `ProgramError` with the path and what
    is wrong.
    """
    path = located(Path(path))
    try:
        return program_from_record(parse_json(read_bytes(path).decode("utf-8"), path))
    except UnicodeDecodeError as error:
        raise ProgramError(f"{path}: is not valid UTF-8 at byte {error.start + 1}") from None
    except DataError as error:
        raise ProgramError(str(error)) from None
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from None


def program_from_record(raw: Any) -> Program:
    """A program from its JSON object. Raises `ProgramError`."""
    if not isinstance(raw, dict) or _VERSION_KEY not in raw:
        raise ProgramError(f"is not a compiled program: there is no {_VERSION_KEY!r}")
    version = raw[_VERSION_KEY]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProgramError(f"has schema version {version!r}, expected {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise ProgramError(
            f"was written by a newer popi-prompt (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); run: pip install -U popi-prompt"
        )
    top = _fields(
        raw,
        "the program",
        {
            _VERSION_KEY: int,
            "holds": str,
            "instruction": str,
            "view": str,
            "conditioning": dict,
            "demonstrations": list,
            "models": dict,
            "origin": dict,
        },
    )
    return Program(_candidate(top), _models(top["models"]), _origin(top["origin"]))


def _candidate(top: dict[str, Any]) -> Candidate:
    if top["view"] not in VIEWS:
        raise ProgramError(f"has unknown view {top['view']!r}; known: {', '.join(VIEWS)}")
    conditioning = _fields(top["conditioning"], "'conditioning'", {"place": str, "wording": str})
    if conditioning["place"] not in ("system", "before", "after"):
        raise ProgramError(f"has unknown conditioning place {conditioning['place']!r}")
    if conditioning["wording"].count("{summary}") != 1:
        raise ProgramError("has a conditioning whose wording does not hold {summary} once")
    demonstrations = tuple(
        Demonstration(**_fields(demo, f"demonstrations[{i}]", {"signals": str, "summary": str}))
        for i, demo in enumerate(top["demonstrations"])
    )
    return Candidate(
        instruction=top["instruction"],
        demonstrations=demonstrations,
        view=top["view"],
        conditioning=Conditioning(**conditioning),
    )


def _models(raw: dict[str, Any]) -> dict[str, str]:
    return dict(_fields(raw, "'models'", {"generator": str, "inference": str, "proposer": str}))


def _origin(raw: dict[str, Any]) -> Origin:
    fields = _fields(
        {"reward": _USUAL_REWARD, **raw},
        "'origin'",
        {
            "scorer": str,
            "reward": str,
            "seed": int,
            "dataset": str,
            "users": int,
            "trials": int,
            "scores_before": (dict, type(None)),
            "scores_after": (dict, type(None)),
            "versions": dict,
        },
    )
    for key in ("scores_before", "scores_after"):
        if fields[key] is not None:
            fields[key] = Scores(**_fields(fields[key], f"'{key}'", _SCORES))
    for package, version in fields["versions"].items():
        if not isinstance(version, str):
            raise ProgramError(f"has a version of {package!r} that is no text: {version!r:.60}")
    return Origin(**fields)


_NUMBER = (int, float)
_SCORES: dict[str, Any] = {
    "users": int,
    "reward_accuracy": _NUMBER,
    "margin": _NUMBER,
    "tokens_median": _NUMBER,
}


def _scores_record(scores: Scores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {
        "users": scores.users,
        "reward_accuracy": round(scores.reward_accuracy, 6),
        "margin": round(scores.margin, 6),
        "tokens_median": scores.tokens_median,
    }


def _fields(raw: Any, where: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The object with exactly these keys and kinds of value."""
    if not isinstance(raw, dict):
        raise ProgramError(f"{where} is not an object")
    unknown = [key for key in raw if key not in kinds]
    missing = [key for key in kinds if key not in raw]
    if unknown or missing:
        found = f"unknown key {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise ProgramError(f"{where} has {found}; is it damaged or from another version?")
    for key, kind in kinds.items():
        if not isinstance(raw[key], kind) or (isinstance(raw[key], bool) and kind is not bool):
            raise ProgramError(f"{where} has a {key!r} of the wrong type: {raw[key]!r:.60}")
    return {key: raw[key] for key in kinds}
