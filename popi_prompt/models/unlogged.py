"""LiteLLM calls without the records and prices that nobody reads.

LiteLLM logs every call for its callbacks, and prices it. Where no callback is registered, nobody
reads that; the meter counts and prices. Together that takes a third of a call.
The switches are not public: in a LiteLLM without them the records are made, and nothing else
depends on that.
"""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from typing import Any

from popi_prompt.models.litellm_errors import import_litellm, nobody_listens


def unlogged_chat(model: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    """Arguments that make the next `acompletion` of this task unlogged, if nobody listens."""
    if not nobody_listens():
        return {}
    silence()
    made = _logging_class()
    if made is None:
        return {}
    call_id = str(uuid.uuid4())
    try:
        record = made(
            model=model,
            messages=messages,
            stream=False,
            call_type="acompletion",
            start_time=datetime.now(),
            litellm_call_id=call_id,
            function_id="",
        )
    except TypeError:
        return {}
    return {"litellm_logging_obj": record, "litellm_call_id": call_id}


def silence() -> None:
    """No log record of what this task calls next, if nobody listens."""
    switch = _switch()
    if switch is not None and nobody_listens():
        switch.set(True)


@cache
def _switch() -> ContextVar[bool] | None:
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:
        return None
    switch: ContextVar[bool] = is_internal_call
    return switch


@cache
def _logging_class() -> Any:
    """LiteLLM's record of a call, without its price."""
    import_litellm()
    try:
        from litellm.litellm_core_utils.litellm_logging import Logging
    except ImportError:
        return None

    def unknown(*_: object, **__: object) -> None:
        """No price."""

    prices = {"response_cost_calculator": unknown, "_response_cost_calculator": unknown}
    return type("Unpriced", (Logging,), prices)
