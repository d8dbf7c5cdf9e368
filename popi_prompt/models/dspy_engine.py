"""DSPy's model calls through the door: a DSPy engine, so nothing bypasses count and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
from dspy.lm15 import Message as DspyMessage
from dspy.lm15 import ProviderError, Request, Response, Usage

from popi_prompt.errors import ModelError
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.models.roles import Role
from popi_prompt.prompts import Message, Messages


class DoorEngine:
    """`complete(Request) -> Response` for `dspy.LM(engine=...)`.

    The last `ModelError` of the calling thread's request is the `__cause__` of what DSPy raises.
    """

    def __init__(self, door: Door, role: Role):
        self._door = door
        self._role = role

    @property
    def model(self) -> str:
        """The name of the role's model."""
        return self._door.names[self._role]

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...] | None:
        """Summed log-probabilities of given answers; None where the model gives none."""
        if not self._door.scores_responses(self._role):
            return None
        return self._door.logprobs(self._role, messages, responses)

    def complete(self, request: Request) -> Response:
        """One request, one answer. Raises lm15's `ProviderError` as the engine contract asks."""
        config = request.config
        sampling = Sampling(
            max_tokens=config.max_tokens or Sampling().max_tokens,
            temperature=config.temperature or 0.0,
            seed=config.seed or 0,
        )
        try:
            # A small embedded model that nobody tuned seldom ends a summary by itself, and what it
            # wrote until then still serves; its tokens cost nothing. A hosted one can have more.
            answer = self._door.chat(
                self._role,
                _messages(request),
                sampling,
                cut_off_ok=self._door.embedded(self._role),
            )
        except ModelError as error:
            raise ProviderError(str(error)) from error
        return Response(
            id=None,
            model=request.model,
            message=DspyMessage.assistant(answer.text),
            # "length" makes DSPy log a warning for each.
            finish_reason="stop",
            usage=Usage(input_tokens=answer.tokens_in, output_tokens=answer.tokens_out),
        )


def door_lm(door: Door, role: Role, sampling: Sampling) -> dspy.LM:
    """A `dspy.LM` whose calls go through the door; the door remembers, so DSPy's cache is off."""
    return dspy.LM(
        door.names[role],
        engine=DoorEngine(door, role),
        cache=False,
        num_retries=0,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        seed=sampling.seed,
    )


def _messages(request: Request) -> Messages:
    messages: list[Message] = []
    if request.system is not None:
        messages.append(Message("system", _text(request.system)))
    for message in request.messages:
        text = message.text or ""
        is_answer = message.role == "assistant"
        messages.append(Message("assistant" if is_answer else "user", text))
    return tuple(messages)


def _text(system: Any) -> str:
    return system if isinstance(system, str) else "".join(part.text for part in system)
