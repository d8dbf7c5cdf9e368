"""No secret leaves: keys of the environment and well-known shapes of keys, taken out of text."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
from collections.abc import Iterator
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
# Group 1, where there is one, is kept: it says what was here.
_SHAPES = re.compile(
    r"""\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}                      # OpenAI, Anthropic, OpenRouter
    | \b(?:gh[pousr]|github_pat|hf|gsk|r8|xai|glpat)[_-][A-Za-z0-9_-]{20,}
    | \bAIza[A-Za-z0-9_-]{30,} | \bAKIA[A-Z0-9]{16}\b | \bxox[a-z]-[A-Za-z0-9-]{10,}
    | \beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}                    # JSON Web Token
    | (\bBasic\s+)[A-Za-z0-9+/=]{16,} | (://[^\s/:@]{0,64}:)[^\s/@]{3,256}(?=@)
    | (\bBearer\s+)(?:[A-Za-z0-9._~+/=-]{16,}|(?=[^\s]{0,15}\d)[A-Za-z0-9._~+/=-]{8,})
    | (\b(?:[a-z]{1,16}[_-])?(?:api[_-]?key|access[_-]?key|access[_-]?token|auth[_-]?token
        |client[_-]?secret|password)\\?["']?\s{0,4}[=:]\s{0,4}\\?["']?)[^\s"'\\&,;]{8,}""",
    re.IGNORECASE | re.VERBOSE,
)
_Error = TypeVar("_Error", bound=BaseException)


def redact(text: str) -> str:
    """The text without secrets; "[redacted]" stands in their place.

    Secrets are the values, of 8 characters or more, of environment variables that are named like a
    key, token, secret or password (as they are, and as JSON, Python, URLs and base64 write them),
    and what looks like a provider's key, a bearer token or `api_key=...`.
    """
    known = _known(_secrets())
    if known is not None:
        text = known.sub(REDACTED, text)
    return _SHAPES.sub(lambda match: f"{_kept(match)}{REDACTED}", text)


def redacted(error: _Error) -> _Error:
    """A copy of the error without secrets in its fields, and without its cause.

    Raise it `from None`: what a provider's library says in a traceback is not redacted.
    """
    clean = copy.copy(error)
    clean.args = tuple(redact(each) if isinstance(each, str) else each for each in error.args)
    for name, value in vars(error).items():
        if isinstance(value, str):
            setattr(clean, name, redact(value))
    return clean


def holds_secret(text: str) -> bool:
    """Whether a secret of the environment is in the text. Shapes are not looked for."""
    known = _known(_secrets())
    return known is not None and known.search(text) is not None


def _kept(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group), "")


def _secrets() -> frozenset[str]:
    """Of the environment as it is now: keys may be set after the first call."""
    values = (value.strip() for name, value in os.environ.items() if _SECRET_NAME.search(name))
    return frozenset(value for value in values if len(value) >= _SHORTEST)


@lru_cache(maxsize=4)
def _known(secrets: frozenset[str]) -> re.Pattern[str] | None:
    forms = {form for secret in secrets for form in _forms(secret)}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None


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
