"""The embedded models as LiteLLM routes: `litellm.completion(model="local/smollm2-135m", ...)`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from popi_prompt.errors import ContextTooLong, ModelError, UnknownModel
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.local import PREFIX, load_local
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.prompts import Message, Messages

litellm = import_litellm()
PROVIDER = PREFIX.rstrip("/")
_DEFAULT_MAX_TOKENS = 512


class LocalProvider(litellm.CustomLLM):  # type: ignore[misc, name-defined]
    """LiteLLM's custom-provider interface over the embedded engine."""

    def completion(
        self,
        model: str,
        messages: list[Any],
        model_response: Any,
        optional_params: dict[str, Any],
        **_: Any,
    ) -> Any:
        """Fill LiteLLM's response with the engine's answer."""
        answer = _chat(model, messages, optional_params)
        choice = model_response.choices[0]
        choice.message.content = answer.text
        choice.finish_reason = answer.finish
        model_response.model = PREFIX + model
        model_response.usage = litellm.Usage(**_usage(answer))
        return model_response

    async def acompletion(self, *args: Any, **kwargs: Any) -> Any:
        """The same, off the event loop."""
        return await asyncio.to_thread(self.completion, *args, **kwargs)

    def streaming(
        self, model: str, messages: list[Any], optional_params: dict[str, Any], **_: Any
    ) -> Iterator[Any]:
        """The whole answer as one chunk: the engine answers in one piece."""
        answer = _chat(model, messages, optional_params)
        yield {
            "text": answer.text,
            "is_finished": True,
            "finish_reason": answer.finish,
            "index": 0,
            "tool_use": None,
            "usage": _usage(answer),
        }

    async def astreaming(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """The same, off the event loop."""
        for chunk in await asyncio.to_thread(lambda: list(self.streaming(*args, **kwargs))):
            yield chunk


def register() -> None:
    """Make `local/...` a LiteLLM provider in this process; calling it again changes nothing."""
    if any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
        return
    litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": LocalProvider()})
    litellm.utils.custom_llm_setup()


def _chat(model: str, messages: list[Any], parameters: dict[str, Any]) -> Answer:
    sampling = Sampling(
        max_tokens=parameters.get("max_tokens")
        or parameters.get("max_completion_tokens")
        or _DEFAULT_MAX_TOKENS,
        temperature=parameters.get("temperature") or 0.0,
        seed=parameters.get("seed") or 0,
    )
    try:
        return load_local(model).chat(_messages(messages), sampling)
    except ModelError as error:
        status = {ContextTooLong: 400, UnknownModel: 404}.get(type(error), 500)
        raise litellm.llms.custom_llm.CustomLLMError(status, str(error)) from error


def _messages(raw: list[Any]) -> Messages:
    """OpenAI-style messages with text content; anything else is refused, not dropped."""
    messages: list[Message] = []
    for item in raw:
        role, content = item["role"], item["content"]
        if isinstance(content, list) and all(part.get("type") == "text" for part in content):
            content = "".join(part["text"] for part in content)
        if role not in ("system", "user", "assistant") or not isinstance(content, str):
            raise litellm.llms.custom_llm.CustomLLMError(
                400, f"local models take text messages only, got role {role!r}"
            )
        messages.append(Message(role, content))
    return tuple(messages)


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.tokens_in,
        "completion_tokens": answer.tokens_out,
        "total_tokens": answer.tokens_in + answer.tokens_out,
    }
