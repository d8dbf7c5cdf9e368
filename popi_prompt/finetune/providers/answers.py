"""What a provider answered instead of doing it, in our vocabulary; and its keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from popi_prompt.errors import (
    AuthenticationError,
    FineTuningRefused,
    FineTuningUnavailable,
    PopiError,
)
from popi_prompt.finetune.provider import Place
from popi_prompt.models.litellm_errors import NO_QUOTA
from popi_prompt.models.redaction import redact

ELSEWHERE = (
    "the training file can go elsewhere as it is: another --provider, a server of your own by "
    "--api-base, or a trainer such as TRL"
)
_NO_MONEY = (*NO_QUOTA, "credit")
_BUSY = (408, 409, 425, 429)
_STARTING = ("tune", "take", "list")  # before there is a job
_NO_KEY = 401
_NO_ACCESS = (402, 403, 404, 405, 410, 501)
_LONGEST = 300


def key(place: Place, *usual: str) -> str:
    """The key, from the environment alone. Raises `AuthenticationError` that names the variable.

    A server at an address of one's own, but Azure's, may want none; it is sent "none" then.
    """
    names = (place.api_key_env,) if place.api_key_env is not None else usual
    found = next(filter(None, (os.environ.get(name) for name in names)), None)
    if found is not None:
        return found
    own = place.api_base is not None and place.provider != "azure"
    if own and place.api_key_env is None:
        return "none"
    raise AuthenticationError(f"{place.provider}: its key is missing; export {names[0]} first")


def failed(place: Place, what: str, status: int, said: str, retry: float | None) -> PopiError:
    """The error for an answer with an HTTP status of 400 or more to `what`, a verb phrase."""
    reason = shortened(said)
    about = f"{what}: HTTP {status}{f', {reason}' if reason else ''}"
    no_money = any(word in said.lower() for word in _NO_MONEY)
    if status == _NO_KEY:
        return AuthenticationError(f"{place.shown} refused the key to {about}")
    if (status in _BUSY and not no_money) or (status >= 500 and status not in _NO_ACCESS):
        return FineTuningUnavailable(
            f"could not {about}; run the same command again to go on",
            provider=place.shown,
            arrived=status >= 500,
            retry_after=retry,
        )
    parts = [f"refused to {about}"]
    if no_money:
        parts.append("the account has no quota left")
    if what.startswith(_STARTING):
        parts.append(ELSEWHERE)
    return FineTuningRefused("; ".join(parts), provider=place.shown, status=status)


def unreachable(place: Place, what: str, error: Exception, *, arrived: bool) -> PopiError:
    """The error where no answer came at all."""
    reason = shortened(str(error)) or type(error).__name__
    return FineTuningUnavailable(
        f"no answer when asked to {what} ({reason}); run the same command again to go on",
        provider=place.shown,
        arrived=arrived,
    )


def unexpected(place: Place, what: str, answer: Any) -> FineTuningUnavailable:
    """The error for an answer that is not what is documented."""
    shown = shortened(repr(answer))
    return FineTuningUnavailable(f"answered {shown} when asked to {what}", provider=place.shown)


def message_of(body: Any) -> str:
    """What an error's body says, as most providers write it."""
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping):
            said = [inner.get("message") or inner.get("detail"), inner.get("code")]
            return ", ".join(f"{each}" for each in said if each)
        return str(inner)
    return "" if body is None else str(body)


def seconds(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, as far as it says so in seconds."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def shortened(text: str) -> str:
    """One line without keys, of a length to read."""
    line = " ".join(redact(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
