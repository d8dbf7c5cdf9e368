"""A model call as a value and as JSON, and what many calls add up to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from popi_prompt.errors import DataError
from popi_prompt.prompts import Message, Messages

Kind = Literal["chat", "logprobs", "odds", "embedding", "probe"]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "role": (str,),
    "model": (str,),
    "kind": (str,),
    "messages": (list,),
    "answer": (str, list, dict, type(None)),
    "tokens_in": (int,),
    "tokens_out": (int,),
    "usd": (int, float, type(None)),
    "seconds": (int, float),
    "cached": (bool,),
    "retries": (int,),
    "candidate": (str, type(None)),
    "user_id": (str, type(None)),
    "error": (str, type(None)),
    "started": (int, float),
    "quoted": (list,),
    "requests": (int,),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One model call as the door saw it.

    `answer` is the text or the numbers; `usd` is None where the price is unknown; `error` is
    "TypeName: message"; `candidate` is a short label, never text of a user; `started` is in seconds
    since the epoch; `quoted` are users other than `user_id` whose text the messages hold. Of the
    `requests` that were sent, `retries` went again after one that failed; a `cached` call has none.
    """

    role: str
    model: str
    kind: Kind
    messages: Messages
    answer: str | tuple[float, ...] | None
    tokens_in: int
    tokens_out: int
    usd: float | None
    seconds: float
    cached: bool
    retries: int
    candidate: str | None
    user_id: str | None
    error: str | None
    started: float
    quoted: tuple[str, ...] = ()
    requests: int = 1

    @property
    def error_type(self) -> str | None:
        """The error's type alone: its message may quote a user."""
        if self.error is None:
            return None
        name = self.error.partition(":")[0]
        return name if name.isidentifier() else "Error"


def call_record(call: Call) -> dict[str, Any]:
    """The call as JSON, fields by name. Numbers that JSON cannot hold are null."""
    record = {name: getattr(call, name) for name in _TYPES}
    record["messages"] = [{"role": m.role, "content": m.content} for m in call.messages]
    record["usd"] = _finite(call.usd)
    if call.answer is not None and not isinstance(call.answer, str):
        record["answer"] = [_finite(each) for each in call.answer]
    return record


def parse_call(raw: Any) -> Call:
    """A call from its JSON; texts that were left out read as "<12 characters>".

    Raises `DataError` that names the field.
    """
    if not isinstance(raw, dict):
        raise DataError("is not a call; expected a JSON object")
    raw = {**_untold(raw), **raw}
    for name, types in _TYPES.items():
        if name not in raw:
            raise DataError(f"is not a call: {name!r} is missing")
        value = raw[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise DataError(f"is not a call: {name!r} is a {type(value).__name__}")
    if raw["kind"] not in get_args(Kind):
        raise DataError(f"is not a call: 'kind' is {raw['kind']!r}")
    return Call(
        **{name: raw[name] for name in _TYPES if name not in ("messages", "answer", "quoted")},
        messages=tuple(map(_message, raw["messages"])),
        answer=_answer(raw["answer"]),
        quoted=_ids(raw["quoted"]),
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """What calls add up to. Tokens, USD and seconds are of calls that were sent.

    `usd` adds the known prices; `unpriced` counts the sent calls without one. `failures` counts
    failed calls by type of error.
    """

    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0
    failures: Mapping[str, int] = field(default_factory=dict)


def totals(calls: Iterable[Call]) -> Totals:
    """Add up calls."""
    calls = tuple(calls)
    sent = [call for call in calls if not call.cached]
    return Totals(
        calls=len(calls),
        cached=len(calls) - len(sent),
        tokens_in=sum(call.tokens_in for call in sent),
        tokens_out=sum(call.tokens_out for call in sent),
        usd=math.fsum(call.usd for call in sent if call.usd is not None),
        unpriced=sum(call.usd is None for call in sent),
        seconds=math.fsum(call.seconds for call in sent),
        failures=Counter(call.error_type for call in calls if call.error_type is not None),
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _message(raw: Any) -> Message:
    match raw:
        case {"role": "system" | "user" | "assistant" as role, "content": str(content)}:
            return Message(role, content)
        case {"role": "system" | "user" | "assistant" as role, "length": int(length)}:
            return Message(role, _left_out(length))
    raise DataError("is not a call: 'messages' holds something else than messages")


def _answer(raw: Any) -> str | tuple[float, ...] | None:
    match raw:
        case None | str():
            return raw
        case {"length": int(length)}:
            return _left_out(length)
        case list() if all(each is None or type(each) in (int, float) for each in raw):
            return tuple(math.nan if each is None else float(each) for each in raw)
    raise DataError("is not a call: 'answer' is neither text nor a list of numbers")


def _ids(raw: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(each, str) for each in raw):
        raise DataError("is not a call: 'quoted' holds something else than ids")
    return tuple(raw)


def _untold(raw: dict[str, Any]) -> dict[str, Any]:
    """What earlier versions do not name: in their traces every further request is a retry."""
    retries = raw.get("retries")
    sent = 1 + retries if isinstance(retries, int) and not raw.get("cached") else 0
    return {"quoted": [], "requests": sent}


def _left_out(length: int) -> str:
    return f"<{length} characters>"
