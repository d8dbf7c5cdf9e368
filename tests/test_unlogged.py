"""LiteLLM's records of calls: left out where nobody reads them, made where somebody does."""

from __future__ import annotations

from typing import Any

import pytest

from popi_prompt.models import unlogged
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.unlogged import unlogged_chat

MESSAGES = [{"role": "user", "content": "What is a cloud?"}]


def test_the_record_of_a_call_has_no_price() -> None:
    record = unlogged_chat("openai/gpt-4o-mini", MESSAGES)["litellm_logging_obj"]
    assert record.response_cost_calculator(result=None) is None


def test_where_somebody_listens_litellm_makes_its_own_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_litellm(), "success_callback", ["somebody"])
    assert unlogged_chat("openai/gpt-4o-mini", MESSAGES) == {}


def test_a_litellm_that_makes_them_differently_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(**_: Any) -> None:
        raise TypeError("unexpected argument")

    monkeypatch.setattr(unlogged, "_logging_class", lambda: other)
    assert unlogged_chat("openai/gpt-4o-mini", MESSAGES) == {}
    monkeypatch.setattr(unlogged, "_logging_class", lambda: None)
    assert unlogged_chat("openai/gpt-4o-mini", MESSAGES) == {}
