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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
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
    Turn,
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
_MASK = re.compile(r"\[(?:email|phone) \d+\]")

SHORTEST_SALT = 16
_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
_SENT_TO = rf"(?: {_LOCAL}+?%40 | {_LOCAL}++@ )"
_DOMAIN = r"(?: (?:[\w-]++\.)+ [\w-]{2,} | \[[\d.:a-fA-F]+\] )"
# Several with nothing between them that could not be part of one are one: "a@b.org/c@d.org".
_EMAIL = rf"""
    (?: (?<!{_LOCAL}) {_SENT_TO} | "[^"\n]{{1,64}}"@ ) {_DOMAIN} (?: {_SENT_TO} {_DOMAIN} )*
"""
_YEAR = r"(?:1\d|20)\d\d"
# Written like a phone number, but none: dates, spans of years, decimals.
_OTHER = rf"""
    (?<![\d+(.-]) (?:
        {_YEAR} (?P<a>[-./]) \d\d? (?P=a) \d\d? (?! (?P=a)? \d )
      | \d\d? (?P<b>[-./]) \d\d? (?P=b) {_YEAR} (?! (?P=b)? \d )
      | {_YEAR} [ ]? [-\u2013/] [ ]? {_YEAR} (?! [-./ ]? \d )
      | (?! 0\d ) \d{{1,3}} \. \d{{5,}} (?! [-./ ]? \d )
    )
"""
_CALLS = (
    *("phone", "tel", "tele", "t\u00e9l", "mobile", "cell", "fax", "call", "text", "sms"),
    *("whatsapp", "handy", "ring", "dial"),
)
_CALLED = re.compile(rf"(?:{'|'.join(_CALLS)})[^\d\n]{{0,15}}$", re.IGNORECASE)
_AFTER_CALL = "|".join(f"(?<=(?<![a-z]){word})" for word in _CALLS)
_GAP = r"[ \t\xa0.()/\u2010-\u2015-]"
_NUMBER = rf"[+(]{{0,2}} \d (?: {_GAP}{{0,3}} \d ){{5,}}"
_EXTENSION = r"""
    [ \t\xa0,;]{0,2} (?i: x | ext(?:ension|n)?\.? ) [ \t\xa0:=]{0,2} \d{1,6} (?! [\dA-Za-z] )
"""
_END = rf"(?! [\dA-Za-z] | (?!\s) {_GAP}{{1,3}} \d | {_GAP}{{1,3}} \d{{3}} )"
# Scripts without spaces write on behind a number. A Latin letter there says that its last digits
# belong to what follows, if a space parts them ("555-0100 3pm"), or that it is no number at all.
_PHONE = rf"""
    (?= [+(\d] ) (?: (?<! [\dA-Za-z] ) | (?i:{_AFTER_CALL}) )
    (?: (?P<phone> {_NUMBER} ) (?: {_EXTENSION} | {_END} ) | (?P<glued> {_NUMBER} ) )
"""
_EMAILS = re.compile(_EMAIL, re.VERBOSE)
_NUMBERS = re.compile(rf"(?P<other>{_OTHER}) | {_PHONE}", re.VERBOSE)
_DIGITS = re.compile(r"\d+")


def anonymise(user: User, salt: bytes) -> User:
    """The user with a hashed id, and every e-mail address and phone number masked.

    The id is an HMAC-SHA256 under the salt: the same user has the same one under the same salt, and
    without the salt nobody can tell whose it is. Masks, "[email 1]", are numbered within a prompt
    and on through its answers, so answers that differ still do, and equal prompts stay equal; a
    dialogue's turns of the user are prompts. Other texts of a signal are numbered together.
    """
    return replace(
        user,
        user_id=_hashed(user.user_id, salt),
        signals=tuple(_signal(signal) for signal in user.signals),
        pairs=tuple(_fields(pair) for pair in user.pairs),
        gold=None if user.gold is None else _masked([user.gold], True)[0],
        group=None if user.group is None else _masked([user.group], True)[0],
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
    return (
        "u-"
        + hmac.new(salt, user_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
    )


def _signal(signal: Signal) -> Signal:
    if not isinstance(signal, Dialogue):
        return _fields(signal)
    return Dialogue(tuple(turn for part in _parts(signal) for turn in _turns(part)))


def _parts(dialogue: Dialogue) -> list[list[Turn]]:
    """A user's turn and the answers to it; answers that come first are a part of their own."""
    parts: list[list[Turn]] = []
    for turn in dialogue.messages:
        if turn.role == "user" or not parts:
            parts.append([])
        parts[-1].append(turn)
    return parts


def _turns(part: Sequence[Turn]) -> Iterator[Turn]:
    texts = _masked([turn.content for turn in part], part[0].role == "user")
    return (replace(turn, content=text) for turn, text in zip(part, texts, strict=True))


def _fields(of: _T) -> _T:
    names = _TEXTS[type(of)]
    texts = _masked([getattr(of, name) for name in names], names[0] == "prompt")
    values: dict[str, Any] = dict(zip(names, texts, strict=True))
    return replace(of, **values)


def _masked(texts: Sequence[str], asked: bool) -> list[str]:
    """Texts that belong together; the first, if it was `asked`, as it is masked anywhere else.

    Where an answer holds such a mask as it is, its address gets another one in the answers.
    """
    prompt, answers = texts[:asked], texts[asked:]
    alone = _Masks(_held(prompt))
    first = [alone.masked(text) for text in prompt]
    held = _held(answers)
    known = {address: mask for address, mask in alone.masks.items() if mask not in held}
    beside = _Masks(held | _held(first), known)
    return first + [beside.masked(text) for text in answers]


def _held(texts: Iterable[str]) -> set[str]:
    return {mask for text in texts for mask in _MASK.findall(text)}


class _Masks:
    """Masks that are the same for the same address, and none of those that are taken."""

    def __init__(self, taken: Set[str], masks: Mapping[str, str] = MappingProxyType({})):
        self.masks = dict(masks)
        self._taken = taken
        self._last: Counter[str] = Counter()

    def masked(self, text: str) -> str:
        """The text with a mask in the place of each address."""
        # One by one: else no address would be found behind a number that could begin it.
        return _NUMBERS.sub(self._number, _EMAILS.sub(self._email, text))

    def _email(self, found: re.Match[str]) -> str:
        return self._mask("email", found[0])

    def _number(self, found: re.Match[str]) -> str:
        return self._mask("phone", found[0]) if _is_meant(found) else found[0]

    def _mask(self, kind: str, address: str) -> str:
        if address not in self.masks:
            self.masks[address] = self._next(kind)
        return self.masks[address]

    def _next(self, kind: str) -> str:
        while True:
            self._last[kind] += 1
            mask = f"[{kind} {self._last[kind]}]"
            if mask not in self._taken:
                return mask


def _is_meant(found: re.Match[str]) -> bool:
    number = found["phone"] or found["glued"]
    if number is None or (found["glued"] and number.isdigit()):
        return False
    return _is_phone(number) or _called(found)


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
