"""LiteLLM, imported quietly, and its exceptions in our vocabulary."""

from __future__ import annotations

import email.utils
import os
import re
import time
from typing import Any

from popi_prompt.errors import (
    AuthenticationError,
    BadResponse,
    ContextTooLong,
    ModelError,
    ModelUnavailable,
    RateLimited,
    UnknownModel,
)
from popi_prompt.models.redaction import redact

LONGEST_WAIT = 60.0
# LiteLLM keeps of an error's body little more than its message.
NO_QUOTA = ("insufficient_quota", "exceeded_quota", "exceeded your current quota")
# Google says "exceeded your current quota" of its limits by the minute, too.
_LATER = re.compile(r"resource_exhausted|(retry|try again) (in|after)", re.I)
_NO_KEY = "Missing credentials"  # OpenAI's client, before it sends anything
_TIMED_OUT = 408


def import_litellm() -> Any:
    """Import LiteLLM without its download of a price list, and without its banner."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True
    return litellm


def nobody_listens() -> bool:
    """Whether no callback of LiteLLM's is registered, such as one for OpenTelemetry."""
    litellm = import_litellm()
    return not (
        litellm.callbacks
        or litellm.success_callback
        or litellm.failure_callback
        or litellm._async_success_callback
        or litellm._async_failure_callback
    )


def typed(error: Exception, model: str, retries: int = 0) -> ModelError:
    """The error as a `ModelError`; the first line of its message is kept, without keys.

    `retries` are the attempts after the first one.
    """
    kinds = import_litellm().exceptions
    text = redact(str(error)).strip()
    reason = text.splitlines()[0] if text else type(error).__name__
    if "LLM Provider NOT provided" in text or isinstance(error, kinds.NotFoundError):
        return UnknownModel(
            f"LiteLLM knows no provider or model {model!r}; write it as "
            "provider/model, for example openai/gpt-4o-mini or local/smollm2-135m"
        )
    if _NO_KEY in text:
        return AuthenticationError("no key is set; export it first, for example OPENAI_API_KEY")
    if isinstance(error, kinds.AuthenticationError | kinds.PermissionDeniedError):
        return AuthenticationError(
            f"the provider refused the key, or none is set; export it first ({reason})"
        )
    if isinstance(error, kinds.ContextWindowExceededError):
        return ContextTooLong(reason)
    if isinstance(error, kinds.ContentPolicyViolationError):
        return BadResponse(f"the provider's content filter refused the request ({reason})")
    if isinstance(error, kinds.BadRequestError | kinds.UnprocessableEntityError):
        return BadResponse(f"the provider refused the request ({reason})")
    return _not_now(error, reason, retries)


def _not_now(error: Exception, reason: str, retries: int) -> ModelError:
    """What another time may go well, and why it was not tried again."""
    after = f" after {retries} {'retry' if retries == 1 else 'retries'}" if retries else ""
    asked = retry_after(error) or 0.0
    if asked > LONGEST_WAIT:
        after += f"; the provider asks to wait {asked:,.0f} s"
    if isinstance(error, import_litellm().exceptions.RateLimitError):
        if _is_used_up(error):
            return RateLimited(f"the quota is used up ({reason})")
        return RateLimited(f"{'still ' if retries else ''}rate-limited{after} ({reason})")
    if isinstance(error, TimeoutError):
        return ModelUnavailable(f"timed out{', also' if retries else ''}{after}")
    return ModelUnavailable(f"no answer{after} ({reason})")


def passes(error: BaseException) -> bool:
    """Whether sending the same request again may help."""
    kinds = import_litellm().exceptions
    if _NO_KEY in str(error) or (retry_after(error) or 0.0) > LONGEST_WAIT:
        return False
    if isinstance(error, kinds.RateLimitError):
        return not _is_used_up(error)
    if isinstance(error, kinds.APIError):
        return bool(error.status_code >= 500)
    again = (
        TimeoutError,
        kinds.Timeout,
        kinds.APIConnectionError,
        kinds.InternalServerError,
        kinds.ServiceUnavailableError,
        kinds.BadGatewayError,
    )
    return isinstance(error, again)


def _is_used_up(error: BaseException) -> bool:
    """Whether a rate limit is one that no wait ends: a quota without money behind it."""
    text = str(error)
    if _LATER.search(text) or retry_after(error) is not None:
        return False
    return any(sign in text.lower() for sign in NO_QUOTA)


def refused(error: Exception) -> bool:
    """Whether the request was turned away or never left, so that nobody bills it."""
    status = getattr(error, "status_code", None)
    turned_away = isinstance(status, int) and 400 <= status < 500 and status != _TIMED_OUT
    return turned_away or _NO_KEY in str(error)


def retry_after(error: BaseException) -> float | None:
    """Seconds that the provider asked to wait, as a number or a date; None if it did not."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        date = email.utils.parsedate_to_datetime(value) if _is_date(value) else None
        return None if date is None else max(0.0, date.timestamp() - time.time())


def _is_date(value: str) -> bool:
    return email.utils.parsedate(value) is not None
