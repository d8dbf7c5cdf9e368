"""PAHF shopping: twenty simulated people choose between three products, and change their taste.

Format: github.com/facebookresearch/PAHF: `phase1.json` ... `phase4.json`, JSON arrays of choices,
phases 3 and 4 after the change; `persona_info.json` and `updated_persona_info.json` say what is
liked before and after it. A choice of `null` rejects all three options.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from popi_prompt.errors import DataError, UsageError
from popi_prompt.importers.file_names import full_path
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import is_array, read_array, read_object
from popi_prompt.schema import Interaction, Pair, Preference, Signal, User

PHASES = ("phase1", "phase2", "phase3", "phase4")
PAHF_FILES = "*.json"  # of its folder
TASTES = ("persona_info", "updated_persona_info")
ALL_REJECTED = "choices to be held out in which every option was rejected"
NOTHING_TO_CHOOSE = "choices whose options are the same"
_LETTERS = ("A", "B", "C")

Who = tuple[str, str]  # person and product


@dataclass(frozen=True, slots=True)
class Choice:
    """Three options and the chosen one, if any."""

    prompt: str
    options: Mapping[str, str]
    chosen: str | None


def read_pahf(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """A user is a person's taste in one product: before the change, and again after it.

    Before: signals are the choices of phase 1, pairs those of phase 2. After: signals are those of
    phase 1 and then 3, pairs those of phase 4; such users are of the group "drift".
    """
    paths = _by_name(files)
    phases = [_choices(paths.get(name), left_out) for name in PHASES]
    likes = [_likes(paths.get(name)) for name in TASTES]
    for group, learn, measure, taste in (
        ("stable", phases[:1], phases[1], likes[0]),
        ("drift", [phases[0], phases[2]], phases[3], likes[1]),
    ):
        # Who has nothing to hold out is a user without pairs.
        for who in dict.fromkeys((*measure, *learn[-1])):
            chosen = [choice for phase in learn for choice in phase.get(who, ())]
            yield User(
                "-".join([*who, *([group] if group == "drift" else [])]),
                tuple(signal for choice in chosen for signal in _signals(choice)),
                tuple(pair for choice in measure.get(who, ()) for pair in _pairs(choice, left_out)),
                gold=taste.get(who),
                group=group,
            )


def _by_name(files: Sequence[str]) -> dict[str, str]:
    paths: dict[str, str] = {}
    for source in files:
        # Not `Path.is_dir`, which raises for a name too long or a folder that may not be entered.
        is_folder = os.path.isdir(source)
        inside = sorted(Path(source).glob(PAHF_FILES)) if is_folder else [Path(source)]
        for path in inside:
            if path.stem not in (*PHASES, *TASTES):
                known = ", ".join((*PHASES, *TASTES))
                raise UsageError(f"PAHF has no file {path.name!r}; files: {known}, all .json")
            first = paths.setdefault(path.stem, str(path))
            if full_path(first) != full_path(str(path)):
                problem = f"holds {path.stem}, and so does {first}; import one folder at a time"
                raise DataError(problem, path=path)
    for name in PHASES[:2]:
        if name not in paths:
            raise UsageError(f"PAHF needs {name}.json; give its folder, or all files")
    if (PHASES[2] in paths) != (PHASES[3] in paths):
        raise UsageError("PAHF needs phase3.json and phase4.json, or neither")
    return paths


def _choices(source: str | None, left_out: Counter[str]) -> dict[Who, list[Choice]]:
    found: dict[Who, list[Choice]] = defaultdict(list)
    if source is None:
        return found
    if not is_array(source):
        raise DataError("is not a PAHF phase: expected a JSON array of choices", path=source)
    for row in read_array(source):
        choice = _choice(row)
        if len(set(choice.options.values())) < len(_LETTERS):
            left_out[NOTHING_TO_CHOOSE] += 1
        else:
            found[row.label("User"), row.label("product")].append(choice)
    return found


def _choice(row: Row) -> Choice:
    options = {letter: _option(row, f"Option {letter}") for letter in _LETTERS}
    chosen = row.get("gt")
    if chosen is not None and chosen not in _LETTERS:
        raise row.error(f"'gt' is {chosen!r}, expected A, B, C or null")
    task = row.text("Task")
    if not task:
        raise row.error("'Task' is empty")
    listed = "\n".join(f"{letter}: {text}" for letter, text in options.items())
    return Choice(f"{task}\n{listed}", options, chosen)


def _option(row: Row, key: str) -> str:
    text = ", ".join(row.as_text(feature, key) for feature in row.items(key))
    if not text:
        raise row.error(f"{key!r} is empty")
    return text


def _signals(choice: Choice) -> list[Signal]:
    if choice.chosen is None:
        listed = "\n".join(choice.options.values())
        return [Interaction(choice.prompt, listed, "disliked")]
    return [Preference(choice.prompt, *sides) for sides in _sides(choice, choice.chosen)]


def _pairs(choice: Choice, left_out: Counter[str]) -> list[Pair]:
    if choice.chosen is None:
        left_out[ALL_REJECTED] += 1
        return []
    return [Pair(choice.prompt, *sides) for sides in _sides(choice, choice.chosen)]


def _sides(choice: Choice, chosen: str) -> list[tuple[str, str]]:
    best = choice.options[chosen]
    return [(best, text) for letter, text in choice.options.items() if letter != chosen]


def _likes(source: str | None) -> dict[Who, str]:
    if source is None:
        return {}
    found: dict[Who, str] = {}
    row = read_object(source)
    for person, value in row.values.items():
        info = row.inner(row.inner(value, repr(person)).get("persona_info"), "'persona_info'")
        for product, features in info.values.items():
            if product != "name":
                found[person, product] = _taste(row.inner(features, repr(product)))
    return found


def _taste(features: Row) -> str:
    said: list[str] = []
    for name, value in features.values.items():
        liked = features.inner(value, repr(name))
        said.append(
            f"{features.as_text(name, 'feature')}: likes {liked.text('like_most')} most, "
            f"then {_joined(liked, 'like_second')}; dislikes {_joined(liked, 'dislike')}."
        )
    if not said:
        raise features.error("a product has no features")
    return " ".join(said)


def _joined(row: Row, key: str) -> str:
    return " or ".join(row.as_text(item, key) for item in row.items(key))
