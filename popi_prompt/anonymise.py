"""Users without names: ids hashed with a salt, e-mail addresses and phone numbers masked.

No library serves here: those for phone numbers need the country, or mask whatever is a number
somewhere. What is masked instead is what is written like one; tests hold it against the example
numbers of every region that the `phonenumbers` library knows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from popi_prompt.errors import UsageError
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

_T = TypeVar("_T", Pair, Signal)

_TEXTS: dict[type, tuple[str, ...]] = {
    Persona: ("text",),
    Interaction: ("prompt", "response"),
    Preference: ("prompt", "chosen", "rejected"),
    Edit: ("draft", "edited"),
    Rating: ("item",),
    Pair: ("prompt", "chosen", "rejected"),
}

SHORTEST_SALT = 16
_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
_EMAIL = rf"""
    (?: (?<!{_LOCAL}) (?: {_LOCAL}+?%40 | {_LOCAL}++@ ) | "[^"\n]{{1,64}}"@ )
    (?: (?:[\w-]++\.)+ [\w-]{{2,}} | \[[\d.:a-fA-F]+\] )
"""
_YEAR = r"(?:1\d|20)\d\d"
# Written like a phone number, but none: dates, spans of years, decimals.
_OTHER = rf"""
    (?<![\w+(.-]) (?:
        {_YEAR} (?P<a>[-./]) \d\d? (?P=a) \d\d? (?! (?P=a)? \d )
      | \d\d? (?P<b>[-./]) \d\d? (?P=b) {_YEAR} (?! (?P=b)? \d )
      | {_YEAR} [ ]? [-\u2013/] [ ]? {_YEAR} (?! [-./ ]? \d )
      | (?! 0\d ) \d{{1,3}} \. \d{{5,}} (?! [-./ ]? \d )
    )
"""
_PHONE = r"""
    (?<! [0-9A-Za-z] ) (?P<phone> [+(]{0,2} \d (?: [ \t\xa0.()/\u2010-\u2015-]{0,3} \d ){5,} )
    (?! \w )
"""
_FOUND = re.compile(rf"(?P<email>{_EMAIL}) | (?P<other>{_OTHER}) | {_PHONE}", re.VERBOSE)
_DIGITS = re.compile(r"\d+")
_CALLED = re.compile(
    r"(?:phone|tele?|t\u00e9l|mobile|cell|fax|call|text|sms|whatsapp|handy|ring|dial)"
    r"[^\d\n]{0,15}$",
    re.IGNORECASE,
)


def anonymise(user: User, salt: bytes) -> User:
    """The user with a hashed id, and every e-mail address and phone number masked.

    The id is an HMAC-SHA256 under the salt: the same user has the same one under the same salt, and
    without the salt nobody can tell whose it is. Masks are numbered within one signal or pair,
    "[email 1]", so texts that differ still do, and equal prompts stay equal.
    """
    return User(
        user_id=_hashed(user.user_id, salt),
        signals=tuple(_signal(signal) for signal in user.signals),
        pairs=tuple(_fields(pair, _masking(_values(pair))) for pair in user.pairs),
        gold=None if user.gold is None else _masking([user.gold])(user.gold),
        group=None if user.group is None else _masking([user.group])(user.group),
    )


@dataclass(frozen=True, slots=True)
class Anonymised:
    """The users, how many of them had a text to mask, and the salt their ids are hashed with."""

    users: tuple[User, ...]
    masked: int
    salt: str


def anonymise_all(users: Sequence[User], salt: str | None = None) -> Anonymised:
    """Every user by `anonymise`, under a salt as text; without one, a new one."""
    salt = secrets.token_hex(32) if salt is None else salt
    key = salt.encode("utf-8", "surrogateescape")
    done = tuple(anonymise(user, key) for user in users)
    same = sum(
        replace(new, user_id=old.user_id) == old for new, old in zip(done, users, strict=True)
    )
    return Anonymised(done, len(users) - same, salt)


def checked_salt(text: str, where: str) -> str:
    """The salt that a file or variable holds. Raises `UsageError` for one that can be guessed."""
    salt = text.strip()
    if len(salt) < SHORTEST_SALT:
        raise UsageError(
            f"the salt in {where} has {len(salt)} characters; it needs {SHORTEST_SALT} or more, "
            "or ids can be found out by trying"
        )
    return salt


def _hashed(user_id: str, salt: bytes) -> str:
    return "u-" + hmac.new(salt, user_id.encode(), hashlib.sha256).hexdigest()[:32]


def _signal(signal: Signal) -> Signal:
    if not isinstance(signal, Dialogue):
        return _fields(signal, _masking(_values(signal)))
    mask = _masking([turn.content for turn in signal.messages])
    return Dialogue(tuple(replace(turn, content=mask(turn.content)) for turn in signal.messages))


def _values(of: Pair | Signal) -> list[str]:
    return [getattr(of, name) for name in _TEXTS[type(of)]]


def _fields(of: _T, mask: Callable[[str], str]) -> _T:
    texts: dict[str, Any] = {name: mask(getattr(of, name)) for name in _TEXTS[type(of)]}
    return replace(of, **texts)


def _masking(texts: Iterable[str]) -> Callable[[str], str]:
    """Masks that are the same for the same address, and occur in none of the texts already."""
    whole = "\n".join(texts)
    masks: dict[str, str] = {}
    taken: set[str] = set()

    def masked(found: re.Match[str]) -> str:
        kind, text = _kind(found), found[0]
        if kind is None:
            return text
        if text not in masks:
            number = 1
            while (mask := f"[{kind} {number}]") in taken or mask in whole:
                number += 1
            taken.add(mask)
            masks[text] = mask
        return masks[text]

    return lambda text: _FOUND.sub(masked, text)


def _kind(found: re.Match[str]) -> str | None:
    if found["email"]:
        return "email"
    number = found["phone"]
    return "phone" if number and (_is_phone(number) or _called(found)) else None


def _called(found: re.Match[str]) -> bool:
    return _CALLED.search(found.string[max(0, found.start() - 30) : found.start()]) is not None


def _is_phone(number: str) -> bool:
    """By how its digits are grouped; in doubt it is one."""
    groups = [len(group) for group in _DIGITS.findall(number)]
    count = sum(groups)
    if number.startswith(("+", "00", "(+", "(00")):
        return count >= 7
    if len(groups) == 1:
        return 9 <= count <= 15 and not number.endswith("00000")
    if count < 7 or 2 * groups.count(1) > len(groups):
        return False  # a list of digits
    thousands = groups[0] <= 3 and all(size == 3 for size in groups[1:])
    if thousands and number.endswith("000") and not number.startswith("0"):
        return False
    return count > 7 or "(" in number or groups == [3, 4] or number.startswith("0")
