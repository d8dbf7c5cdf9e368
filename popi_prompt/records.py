"""JSON records <-> schema values: the one place where outside data is checked.

Each function takes what `json.loads` gave and raises `DataError` that names the key. Callers add
file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from popi_prompt.errors import DataError
from popi_prompt.fields import (
    Record,
    checked_object,
    did_you_mean,
    flag_field,
    list_field,
    number_value,
    optional_text,
    shown,
    text_field,
)
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


def parse_user(raw: Any) -> User:
    """One line of a JSONL file of users."""
    record = checked_object(raw, "a user", required=("user_id",), optional=_USER_OPTIONAL)
    user_id = text_field(record, "user_id", "a user")
    where = f"user {user_id!r}"
    signals = parse_signals(list_field(record, "signals", where), where)
    pairs = tuple(
        parse_pair(raw_pair, f"{where}, pairs[{i}]")
        for i, raw_pair in enumerate(list_field(record, "pairs", where))
    )
    return User(
        user_id=user_id,
        signals=signals,
        pairs=pairs,
        gold=optional_text(record, "gold", where),
        group=optional_text(record, "group", where),
        public=flag_field(record, "public", where),
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
        hint = did_you_mean(kind, _SIGNAL_PARSERS)
        raise DataError(f"{where} has unknown kind {kind!r}{hint}; known: {known}")
    return parser({key: value for key, value in raw.items() if key != "kind"}, where)


def parse_pair(raw: Any, where: str = "a pair") -> Pair:
    """A pair; `chosen` and `rejected` must differ, or it could not tell anything."""
    record = checked_object(raw, where, required=_CONTRAST, optional=("weight",))
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
    if user.public:
        record["public"] = True
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


_USER_OPTIONAL = ("signals", "pairs", "gold", "group", "public")


def _persona(raw: Record, where: str) -> Persona:
    record = checked_object(raw, where, required=("text",))
    return Persona(text_field(record, "text", where))


def _interaction(raw: Record, where: str) -> Interaction:
    record = checked_object(raw, where, required=("prompt", "response"), optional=("feedback",))
    feedback = record.get("feedback")
    if feedback not in (None, "liked", "disliked"):
        raise DataError(f"{where} has feedback {feedback!r}, expected 'liked', 'disliked' or null")
    return Interaction(
        text_field(record, "prompt", where), text_field(record, "response", where), feedback
    )


def _preference(raw: Record, where: str) -> Preference:
    return Preference(*_contrast(checked_object(raw, where, required=_CONTRAST), where))


def _edit(raw: Record, where: str) -> Edit:
    record = checked_object(raw, where, required=("draft", "edited"))
    return Edit(text_field(record, "draft", where), text_field(record, "edited", where))


def _rating(raw: Record, where: str) -> Rating:
    record = checked_object(raw, where, required=("item", "rating", "scale"))
    scale = record["scale"]
    if not isinstance(scale, Sequence) or isinstance(scale, str) or len(scale) != 2:
        raise DataError(f"{where} has scale {shown(scale)}, expected [lowest, highest]")
    low, high = (number_value(value, f"{where}, scale") for value in scale)
    rating = number_value(record["rating"], f"{where}, rating")
    if not low < high or not low <= rating <= high:
        raise DataError(f"{where} rates {rating:g} on the scale {low:g} to {high:g}")
    return Rating(text_field(record, "item", where), rating, (low, high))


def _dialogue(raw: Record, where: str) -> Dialogue:
    record = checked_object(raw, where, required=("messages",))
    turns: list[Turn] = []
    for i, item in enumerate(list_field(record, "messages", where)):
        turn = checked_object(item, f"{where}, messages[{i}]", required=("role", "content"))
        role = turn["role"]
        if role not in ("user", "assistant"):
            raise DataError(f"{where}, messages[{i}] has role {role!r}, expected user or assistant")
        turns.append(Turn(role, text_field(turn, "content", f"{where}, messages[{i}]")))
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
    prompt, chosen, rejected = (text_field(record, key, where) for key in _CONTRAST)
    if chosen.strip() == rejected.strip():
        raise DataError(f"{where}: chosen and rejected are the same text {shown(chosen)}")
    return prompt, chosen, rejected
