"""The JSON object of a compiled program: written, and read with everything in it checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popi_prompt.candidate import DEMOS, Candidate, Demonstration, Menu
from popi_prompt.errors import ProgramError
from popi_prompt.json_record import NUMBER, fields_of, versioned
from popi_prompt.menu_record import menu_from_record, record_of_menu
from popi_prompt.models.route import holds_address
from popi_prompt.origin import USUAL_DEMOS, USUAL_OPTIMIZER, USUAL_REWARD, Origin, Scores
from popi_prompt.portrait import Portrait
from popi_prompt.prompts import VIEWS, Conditioning
from popi_prompt.quotation import Quotation

SCHEMA_VERSION = 4
# What came with a schema; a program is written in the oldest that it fits in.
_SINCE = {type(None): 1, Menu: 2, Portrait: 3, Quotation: 4}
_VERSION_KEY = "popi_prompt_program"
_SCORES: dict[str, Any] = {
    "users": int,
    "reward_accuracy": NUMBER,
    "margin": NUMBER,
    "tokens_median": NUMBER,
}


def program_record(
    candidate: Candidate, models: Mapping[str, str], origin: Origin, holds: str
) -> dict[str, Any]:
    """The JSON object of a program's file; `parts_from_record` reads it back."""
    return {
        _VERSION_KEY: _SINCE[type(candidate.menu)],
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
        **({"menu": record_of_menu(candidate.menu)} if candidate.menu else {}),
        "models": dict(models),
        "origin": _origin_record(origin),
    }


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


def parts_from_record(raw: Any) -> tuple[Candidate, dict[str, str], Origin]:
    """Candidate, models and origin from a program's JSON object. Raises `ProgramError`."""
    raw = versioned(raw, _VERSION_KEY, SCHEMA_VERSION, "not a compiled program")
    top = fields_of(
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
    conditioning = fields_of(top["conditioning"], "'conditioning'", {"place": str, "wording": str})
    if conditioning["place"] not in ("system", "before", "after"):
        raise ProgramError(f"has unknown conditioning place {conditioning['place']!r}")
    if conditioning["wording"].count("{summary}") != 1:
        raise ProgramError("has a conditioning whose wording does not hold {summary} once")
    demonstrations = tuple(
        Demonstration(**fields_of(demo, f"demonstrations[{i}]", {"signals": str, "summary": str}))
        for i, demo in enumerate(top["demonstrations"])
    )
    if not top["instruction"].strip():
        raise ProgramError("has an empty instruction")
    return Candidate(
        instruction=top["instruction"],
        demonstrations=demonstrations,
        view=top["view"],
        conditioning=Conditioning(**conditioning),
        menu=_menu(top) if "menu" in top else None,
    )


def _menu(top: dict[str, Any]) -> Menu | Portrait | Quotation:
    menu = menu_from_record(top["menu"])
    if top[_VERSION_KEY] < _SINCE[type(menu)]:
        what = "lines" if isinstance(menu, Portrait) else "passages"
        raise ProgramError(f"'menu' has {what}, which schema {top[_VERSION_KEY]} does not know")
    return menu


def _models(raw: dict[str, Any]) -> dict[str, str]:
    found = fields_of(raw, "'models'", {"generator": str, "inference": str, "proposer": str})
    for role, name in found.items():
        if holds_address(name):
            raise ProgramError(
                f"names {name!r:.60} as {role}, which is an address, and a program holds none: "
                "text of users would go there; put a model's name there, and the address in "
                "--config"
            )
    return found


def _origin(raw: dict[str, Any]) -> Origin:
    fields = fields_of(
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
    for key in ("seed", "users", "users_checked", "trials"):
        if fields[key] < 0:
            raise ProgramError(f"'origin' has a {key!r} below 0: {fields[key]}")
    for key in ("scores_before", "scores_after"):
        if fields[key] is not None:
            fields[key] = Scores(**fields_of(fields[key], f"'{key}'", _SCORES))
    for package, version in fields["versions"].items():
        if not isinstance(version, str):
            raise ProgramError(f"has a version of {package!r} that is no text: {version!r:.60}")
    return Origin(**fields)
