"""JSON records <-> schema values: the one place where outside data is checked.

Each function takes what `json.loads` gave and raises `DataError` that names the key. Callers add
file and line.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from popi_prompt.errors import DataError
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

Record = Mapping[str, Any]
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_user(raw: Any) -> User:
    """One line of a JSONL file of users."""
    record = _object(raw, "a user", required=("user_id",), optional=_USER_OPTIONAL)
    user_id = _text(record, "user_id", "a user")
    where = f"user {user_id!r}"
    signals = parse_signals(_list(record, "signals", where), where)
    pairs = tuple(
        parse_pair(raw_pair, f"{where}, pairs[{i}]")
        for i, raw_pair in enumerate(_list(record, "pairs", where))
    )
    return User(
        user_id=user_id,
        signals=signals,
        pairs=pairs,
        gold=_optional_text(record, "gold", where),
        group=_optional_text(record, "group", where),
    )


def parse_signals(raw: Iterable[Any], where: str = "signals") -> tuple[Signal, ...]:
    """Signals from JSON objects; values that are signals already pass through."""
    return tuple(
        item if isinstance(item, Signal) else parse_signal(item, f"{where}, signals[{i}]")
        for i, item in enumerate(raw)
    )


def parse_signal(raw: Any, where: str = "a signal") -> Signal:
    """One signal; `kind` says which of the six."""
    if not isinstance(raw, Mapping):
        raise DataError(f"{where} is {shown(raw)}, expected an object with a 'kind'")
    kind = raw.get("kind")
    parser = _SIGNAL_PARSERS.get(kind) if isinstance(kind, str) else None
    if parser is None:
        known = ", ".join(_SIGNAL_PARSERS)
        raise DataError(f"{where} has unknown kind {kind!r}{_did_you_mean(kind)}; known: {known}")
    return parser({key: value for key, value in raw.items() if key != "kind"}, where)


def parse_pair(raw: Any, where: str = "a pair") -> Pair:
    """A pair; `chosen` and `rejected` must differ, or it could not tell anything."""
    record = _object(raw, where, required=_CONTRAST, optional=("weight",))
    weight = number_value(record.get("weight", 1.0), f"{where}, weight")
    if weight <= 0:
        raise DataError(f"{where} has weight {weight:g}, expected a number above 0")
    return Pair(*_contrast(record, where), weight=weight)


def user_record(user: User) -> dict[str, Any]:
    """The JSON object that `parse_user` reads back as the same user."""
    record: dict[str, Any] = {"user_id": user.user_id}
    if user.group is not None:
        record["group"] = user.group
    record["signals"] = [signal_record(signal) for signal in user.signals]
    record["pairs"] = [_pair_record(pair) for pair in user.pairs]
    if user.gold is not None:
        record["gold"] = user.gold
    return record


def _pair_record(pair: Pair) -> dict[str, Any]:
    record: dict[str, Any] = {name: getattr(pair, name) for name in _CONTRAST}
    return record if pair.weight == 1 else {**record, "weight": _written(pair.weight)}


def signal_record(signal: Signal) -> dict[str, Any]:
    """The JSON object that `parse_signal` reads back as the same signal."""
    fields: dict[str, Any] = {
        name: getattr(signal, name) for name in type(signal).__dataclass_fields__ if name != "kind"
    }
    if isinstance(signal, Dialogue):
        fields["messages"] = [{"role": t.role, "content": t.content} for t in signal.messages]
    if isinstance(signal, Rating):
        fields["rating"] = _written(signal.rating)
        fields["scale"] = [_written(value) for value in signal.scale]
    return {"kind": signal.kind, **fields}


def _written(value: float) -> float:
    """Equal numbers alike, whole ones without a point up to 2**53."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


_USER_OPTIONAL = ("signals", "pairs", "gold", "group")


def _persona(raw: Record, where: str) -> Persona:
    record = _object(raw, where, required=("text",))
    return Persona(_text(record, "text", where))


def _interaction(raw: Record, where: str) -> Interaction:
    record = _object(raw, where, required=("prompt", "response"), optional=("feedback",))
    feedback = record.get("feedback")
    if feedback not in (None, "liked", "disliked"):
        raise DataError(f"{where} has feedback {feedback!r}, expected 'liked', 'disliked' or null")
    return Interaction(_text(record, "prompt", where), _text(record, "response", where), feedback)


def _preference(raw: Record, where: str) -> Preference:
    return Preference(*_contrast(_object(raw, where, required=_CONTRAST), where))


def _edit(raw: Record, where: str) -> Edit:
    record = _object(raw, where, required=("draft", "edited"))
    return Edit(_text(record, "draft", where), _text(record, "edited", where))


def _rating(raw: Record, where: str) -> Rating:
    record = _object(raw, where, required=("item", "rating", "scale"))
    scale = record["scale"]
    if not isinstance(scale, Sequence) or isinstance(scale, str) or len(scale) != 2:
        raise DataError(f"{where} has scale {shown(scale)}, expected [lowest, highest]")
    low, high = (number_value(value, f"{where}, scale") for value in scale)
    rating = number_value(record["rating"], f"{where}, rating")
    if not low < high or not low <= rating <= high:
        raise DataError(f"{where} rates {rating:g} on the scale {low:g} to {high:g}")
    return Rating(_text(record, "item", where), rating, (low, high))


def _dialogue(raw: Record, where: str) -> Dialogue:
    record = _object(raw, where, required=("messages",))
    turns: list[Turn] = []
    for i, item in enumerate(_list(record, "messages", where)):
        turn = _object(item, f"{where}, messages[{i}]", required=("role", "content"))
        role = turn["role"]
        if role not in ("user", "assistant"):
            raise DataError(f"{where}, messages[{i}] has role {role!r}, expected user or assistant")
        turns.append(Turn(role, _text(turn, "content", f"{where}, messages[{i}]")))
    if not turns:
        raise DataError(f"{where} has no messages")
    return Dialogue(tuple(turns))


_SIGNAL_PARSERS: dict[str, Callable[[Record, str], Signal]] = {
    "persona": _persona,
    "interaction": _interaction,
    "preference": _preference,
    "edit": _edit,
    "rating": _rating,
    "dialogue": _dialogue,
}


_CONTRAST = ("prompt", "chosen", "rejected")


def _contrast(record: Record, where: str) -> tuple[str, str, str]:
    prompt, chosen, rejected = (_text(record, key, where) for key in _CONTRAST)
    if chosen.strip() == rejected.strip():
        raise DataError(f"{where}: chosen and rejected are the same text {shown(chosen)}")
    return prompt, chosen, rejected


def _object(
    raw: Any, where: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The mapping with its keys in the order of `required`, `optional`; no others are taken."""
    if not isinstance(raw, Mapping):
        raise DataError(f"{where} is {shown(raw)}, expected an object")
    for key in raw:
        if key not in required and key not in optional:
            known = ", ".join((*required, *optional))
            hint = _did_you_mean(key, (*required, *optional))
            raise DataError(f"{where} has unknown key {key!r}{hint}; known: {known}")
    for key in required:
        if key not in raw:
            raise DataError(f"{where} has no {key!r}")
    return {key: raw[key] for key in (*required, *optional) if key in raw}


def text_value(value: Any, what: str) -> str:
    """The value, if it is text that can be kept: not blank, without NUL, valid Unicode."""
    if not isinstance(value, str):
        raise DataError(f"{what} is {shown(value)}, expected text")
    if not value.strip():
        raise DataError(f"{what} is empty")
    if "\x00" in value:
        raise DataError(f"{what} holds a NUL character; remove it")
    if not value.isascii() and _SURROGATE.search(value):
        raise DataError(f"{what} holds half of a surrogate pair; it is not valid Unicode")
    return value


def _text(record: Record, key: str, where: str) -> str:
    return text_value(record[key], f"{where}: {key!r}")


def _optional_text(record: Record, key: str, where: str) -> str | None:
    return None if record.get(key) is None else _text(record, key, where)


def _list(record: Record, key: str, where: str) -> list[Any]:
    value = record.get(key, [])
    if not isinstance(value, list):
        raise DataError(f"{where}: {key!r} is {shown(value)}, expected a list")
    return value


def number_value(value: Any, where: str) -> float:
    """The value, if it is a finite number."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        number = float(value) if known else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{where} is {shown(value)}, expected a number")
    return number


def shown(value: Any) -> str:
    """A value from outside as an error quotes it: at most 60 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep, or an integer of thousands of digits
        text = f"too large a value of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _did_you_mean(word: Any, known: Iterable[str] | None = None) -> str:
    choices = list(known if known is not None else _SIGNAL_PARSERS)
    close = difflib.get_close_matches(str(word), choices, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
