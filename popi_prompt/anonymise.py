"""Users without their names: ids hashed with a salt, e-mail addresses and phone numbers masked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Signal,
    User,
)

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])(?:\+|\(?0)[\d(][\d()\s./-]{5,}\d(?!\w)")


def anonymise(user: User, salt: bytes) -> User:
    """The same user under another id, texts masked. The same salt gives the same id."""
    name = user.user_id.encode("utf-8", "surrogatepass")
    return replace(
        user,
        user_id=hashlib.blake2b(name, key=salt, digest_size=8).hexdigest(),
        signals=tuple(map(_signal, user.signals)),
        pairs=tuple(map(_pair, user.pairs)),
        gold=None if user.gold is None else _masked(user.gold),
    )


def _masked(text: str) -> str:
    return _PHONE.sub("[phone]", _EMAIL.sub("[email]", text))


def _pair(pair: Pair) -> Pair:
    return replace(
        pair,
        prompt=_masked(pair.prompt),
        chosen=_masked(pair.chosen),
        rejected=_masked(pair.rejected),
    )


def _signal(signal: Signal) -> Signal:
    match signal:
        case Persona(text=text):
            return Persona(_masked(text))
        case Interaction(prompt=prompt, response=response, feedback=feedback):
            return Interaction(_masked(prompt), _masked(response), feedback)
        case Preference(prompt=prompt, chosen=chosen, rejected=rejected):
            return Preference(_masked(prompt), _masked(chosen), _masked(rejected))
        case Edit(draft=draft, edited=edited):
            return Edit(_masked(draft), _masked(edited))
        case Rating(item=item):
            return replace(signal, item=_masked(item))
        case Dialogue(messages=messages):
            return Dialogue(
                tuple(replace(turn, content=_masked(turn.content)) for turn in messages)
            )
