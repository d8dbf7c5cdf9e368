"""The JSON object of a compiled program: written, and read with everything in it checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from popi_prompt.candidate import DEMOS, Candidate, Demonstration, Menu
from popi_prompt.errors import DataError, ProgramError
from popi_prompt.files import parse_json, read_bytes
from popi_prompt.origin import USUAL_DEMOS, USUAL_OPTIMIZER, USUAL_REWARD, Origin, Scores
from popi_prompt.prompts import VIEWS, Conditioning

T = TypeVar("T")
SCHEMA_VERSION = 2  # 1 has no menu; a program without one is still written as such
_VERSION_KEY = "popi_prompt_program"
_NUMBER = (int, float)
_SCORES: dict[str, Any] = {
    "users": int,
    "reward_accuracy": _NUMBER,
    "margin": _NUMBER,
    "tokens_median": _NUMBER,
}


def program_record(
    candidate: Candidate, models: Mapping[str, str], origin: Origin, holds: str
) -> dict[str, Any]:
    """The JSON object of a program's file; `parts_from_record` reads it back."""
    return {
        _VERSION_KEY: 1 if candidate.menu is None else SCHEMA_VERSION,
        "holds": holds,
        "instruction": candidate.instruction,
        "view": candidate.view,
        "conditioning": {
            "place": candidate.conditioning.place,
            "wording": candidate.conditioning.wording,
        },
        "demonstrations": [
            {"signals": demo.signals, "summary": demo.summary} for demo in candidate.demonstrations
        ],
        **_menu_record(candidate.menu),
        "models": dict(models),
        "origin": _origin_record(origin),
    }


def _menu_record(menu: Menu | None) -> dict[str, Any]:
    """Priors are rounded to a millionth of a nat, far below what any choice turns on."""
    if menu is None:
        return {}
    priors = [round(prior, 6) for prior in menu.priors]
    return {"menu": {"model": menu.model, "summaries": list(menu.summaries), "priors": priors}}


def _origin_record(origin: Origin) -> dict[str, Any]:
    return {
        "scorer": origin.scorer,
        **_unusual(origin),
        "seed": origin.seed,
        "dataset": origin.dataset,
        "users": origin.users,
        **_demos_record(origin),
        "trials": origin.trials,
        "scores_before": _scores_record(origin.scores_before),
        "scores_after": _scores_record(origin.scores_after),
        "versions": dict(origin.versions),
    }


def _demos_record(origin: Origin) -> dict[str, Any]:
    if origin.demos == USUAL_DEMOS:
        return {}
    return {"demos": origin.demos, "users_checked": origin.users_checked}


def _unusual(origin: Origin) -> dict[str, str]:
    """What goes without saying is not said."""
    usual = {"reward": USUAL_REWARD, "optimizer": USUAL_OPTIMIZER}
    return {name: value for name in usual if (value := getattr(origin, name)) != usual[name]}


def _scores_record(scores: Scores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {
        "users": scores.users,
        "reward_accuracy": round(scores.reward_accuracy, 6),
        "margin": round(scores.margin, 6),
        "tokens_median": scores.tokens_median,
    }


def read_record(path: Path, parse: Callable[[Any], T]) -> T:
    """What a JSON file holds. Raises `ProgramError` with the path and what is wrong."""
    try:
        return parse(parse_json(read_bytes(path).decode("utf-8"), path))
    except UnicodeDecodeError as error:
        raise ProgramError(f"{path}: is not valid UTF-8 at byte {error.start + 1}") from None
    except DataError as error:
        raise ProgramError(str(error)) from None
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from None


def versioned(raw: Any, key: str, newest: int, what: str) -> dict[str, Any]:
    """The JSON object of a schema that is understood. Raises `ProgramError` for another."""
    if not isinstance(raw, dict) or key not in raw:
        raise ProgramError(f"is {what}: there is no {key!r}")
    version = raw[key]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProgramError(f"has schema version {version!r}, expected {newest}")
    if version > newest:
        raise ProgramError(
            f"was written by a newer popi-prompt (schema {version}, this one reads {newest}); run: "
            "pip install -U popi-prompt"
        )
    return raw


def parts_from_record(raw: Any) -> tuple[Candidate, dict[str, str], Origin]:
    """Candidate, models and origin from a program's JSON object. Raises `ProgramError`."""
    raw = versioned(raw, _VERSION_KEY, SCHEMA_VERSION, "not a compiled program")
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
            **({"menu": dict} if "menu" in raw and raw[_VERSION_KEY] > 1 else {}),
            "models": dict,
            "origin": dict,
        },
    )
    return _candidate(top), _models(top["models"]), _origin(top["origin"])


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
        menu=_menu(top["menu"]) if "menu" in top else None,
    )


def _menu(raw: dict[str, Any]) -> Menu:
    menu = _fields(raw, "'menu'", {"model": str, "summaries": list, "priors": list})
    summaries, priors = menu["summaries"], menu["priors"]
    for summary in summaries:
        if not isinstance(summary, str) or not summary.strip():
            raise ProgramError(f"'menu' has a summary that is no text: {summary!r:.60}")
    for prior in priors:
        if not isinstance(prior, _NUMBER) or isinstance(prior, bool) or not math.isfinite(prior):
            raise ProgramError(f"'menu' has a prior that is no number: {prior!r:.60}")
    if len(summaries) < 2 or len(summaries) != len(priors):
        raise ProgramError(
            f"'menu' has {len(summaries)} summaries and {len(priors)} priors; it takes two or more "
            "summaries, and a prior for each"
        )
    return Menu(menu["model"], tuple(summaries), tuple(float(prior) for prior in priors))


def _models(raw: dict[str, Any]) -> dict[str, str]:
    return dict(_fields(raw, "'models'", {"generator": str, "inference": str, "proposer": str}))


def _origin(raw: dict[str, Any]) -> Origin:
    fields = _fields(
        {
            "reward": USUAL_REWARD,
            "optimizer": USUAL_OPTIMIZER,
            "demos": USUAL_DEMOS,
            "users_checked": 0,
            **raw,
        },
        "'origin'",
        {
            "scorer": str,
            "reward": str,
            "optimizer": str,
            "seed": int,
            "dataset": str,
            "users": int,
            "demos": str,
            "users_checked": int,
            "trials": int,
            "scores_before": (dict, type(None)),
            "scores_after": (dict, type(None)),
            "versions": dict,
        },
    )
    if fields["demos"] not in DEMOS:
        raise ProgramError(f"has unknown demos {fields['demos']!r}; known: {', '.join(DEMOS)}")
    for key in ("scores_before", "scores_after"):
        if fields[key] is not None:
            fields[key] = Scores(**_fields(fields[key], f"'{key}'", _SCORES))
    for package, version in fields["versions"].items():
        if not isinstance(version, str):
            raise ProgramError(f"has a version of {package!r} that is no text: {version!r:.60}")
    return Origin(**fields)


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
