"""No secret leaves: keys of the environment and well-known shapes of keys, taken out of text."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
_SHORTEST = 8
_SECRET_NAME = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|AUTHORIZATION)S?(?:_|\d|$)"
    r"|(?:^|_)PASS(?:_|$)",
    re.IGNORECASE,
)
# Each pattern runs only where one of its words is in the lower-case text: most texts hold none.
# Group 1, where there is one, is kept: it says what was here.
_SHAPES = tuple(
    (tuple(words.split()), re.compile(pattern, re.IGNORECASE))
    for words, pattern in (
        ("sk- pk- rk-", r"\b[spr]k-[a-z0-9_-]{16,}"),
        ("ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_[a-z0-9]{20,}"),
        (
            "github_pat_ glpat- gsk_ xai- hf_ r8_",
            r"\b(?:github_pat|glpat|gsk|xai|hf|r8)[_-][\w-]{20,}",
        ),
        ("aiza", r"\baiza[\w-]{30,}"),
        ("akia", r"\bakia[a-z0-9]{16}\b"),
        ("xox", r"\bxox[a-z]-[a-z0-9-]{10,}"),
        ("eyj", r"\beyj[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}"),
        ("basic", r"(\bbasic\s{1,4})[a-z0-9+/=]{16,}"),
        ("bearer", r"(\bbearer\s{1,4})(?:[\w.~+/=-]{16,}|(?=[^\s]{0,15}\d)[\w.~+/=-]{8,})"),
        ("://", r"(://[^\s/:@]{0,64}:)[^\s/@]{3,256}(?=@)"),
        (
            "key token secret password",
            r"((?:api[_-]?key|access[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret"
            r"|password)\\?[\"']?\s{0,4}[=:]\s{0,4}\\?[\"']?)[^\s\"'\\&,;]{8,}",
        ),
    )
)
_Error = TypeVar("_Error", bound=BaseException)


def redact(text: str) -> str:
    """The text without secrets; "[redacted]" stands in their place.

    Secrets are the values, of 8 characters or more, of environment variables that are named like a
    key, token, secret or password (as they are, and as JSON, Python, URLs and base64 write them),
    and what looks like a provider's key, a bearer token or `api_key=...`.
    """
    return redactor()(text)


def redactor() -> Callable[[str], str]:
    """`redact` for many texts at once: the environment is read now and not again."""
    known = _known(_secrets())

    def clean(text: str) -> str:
        text = known.replaced(text)
        lowered = text.lower()
        for words, shape in _SHAPES:
            if any(word in lowered for word in words):
                text = shape.sub(_replaced, text)
        return text

    return clean


def redacted(error: _Error) -> _Error:
    """A copy of the error without secrets in its fields, and without its cause.

    Raise it `from None`: what a provider's library says in a traceback is not redacted.
    """
    clean = redactor()
    copied = type(error).__new__(type(error))
    copied.args = tuple(clean(each) if isinstance(each, str) else each for each in error.args)
    for name, value in vars(error).items():
        setattr(copied, name, clean(value) if isinstance(value, str) else value)
    return copied


def holds_secret(text: str) -> bool:
    """Whether a secret of the environment is in the text. Shapes are not looked for."""
    return _known(_secrets()).are_in(text)


def _replaced(match: re.Match[str]) -> str:
    return f"{match[1] if match.re.groups else ''}{REDACTED}"


def _secrets() -> frozenset[str]:
    """Of the environment as it is now: keys may be set after the first call."""
    values = (os.environ.get(name, "").strip() for name in os.environ if _is_secret(name))
    return frozenset(value for value in values if len(value) >= _SHORTEST)


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


class _Known:
    """Secrets in all their forms. Looking for strings is faster than running the pattern."""

    def __init__(self, secrets: frozenset[str]):
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, self._forms)))

    def are_in(self, text: str) -> bool:
        return any(form in text for form in self._forms)

    def replaced(self, text: str) -> str:
        return self._pattern.sub(REDACTED, text) if self.are_in(text) else text


_known = lru_cache(maxsize=4)(_Known)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    yield repr(secret)[1:-1]
    raw = secret.encode("utf-8", "surrogateescape")
    yield from (quote(raw), quote(raw, safe=""), quote_plus(raw))
    for start, skipped in enumerate((0, 2, 3)):
        # What stands before the secret shifts its base64; the first and last letter are shared.
        padded = bytes(start) + raw
        inner = slice(skipped, len(padded) * 8 // 6)
        yield base64.b64encode(padded).decode()[inner]
        yield base64.urlsafe_b64encode(padded).decode()[inner]
