"""Log-probabilities of a given response over the network: requests to build, answers to read.

Two ways. "echo": text completions that repeat the prompt with its log-probabilities, where the chat
template is applied here. "prompt_logprobs": vLLM's chat completions, where the server applies it.

The response goes out as the prompt's last words, so the server's tokens must be cut where it
begins. Mostly they tell: the last tokens spell the response. Where they do not (bytes of one
character in several tokens, tokenizers that hide spaces), one more request with the prompt alone
counts the prompt's tokens. A token that is both prompt and response is a `BadResponse`: its
probability is not the response's, and no other answer would be exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from popi_prompt.errors import BadResponse
from popi_prompt.models.chat_template import ChatTemplate
from popi_prompt.prompts import Messages, as_data

_NO_PROBABILITY = -9999.0  # what vLLM and OpenAI write for minus infinity
_HIDDEN = "\ufffd"  # what some servers print for a part of a character


class Sender(Protocol):
    """Sends through LiteLLM, with a route's model, address, key and limits; a `Transport` is one.

    Gives back LiteLLM's response. Raises a `ModelError`: `BadResponse` where the server refuses the
    request, `UnknownModel` where it knows no such model or address.
    """

    def chat(self, messages: list[dict[str, str]], max_tokens: int, **parameters: Any) -> Any:
        """Send a chat completion."""
        ...

    def complete(self, prompts: list[str], max_tokens: int, **parameters: Any) -> Any:
        """Send a text completion."""
        ...


@dataclass(frozen=True, slots=True)
class GivenTokens:
    """The tokens of a text that a server was given, with their log-probabilities.

    A text is what the server prints for a token: nothing for control tokens and parts of a
    character, on some servers. The first token has no log-probability. `generated` counts the
    tokens that the server wrote after them, which are left out here.
    """

    texts: tuple[str, ...]
    logprobs: tuple[float | None, ...]
    generated: int


def score_with_echo(
    sender: Sender, template: ChatTemplate, messages: Messages, responses: Sequence[str]
) -> tuple[float, ...]:
    """`ScoringModel.logprobs` through text completions with echo."""
    prompt = template.text(messages)
    return tuple(_score(lambda text: ask_echo(sender, prompt, text), each) for each in responses)


def score_with_prompt_logprobs(
    sender: Sender, messages: Messages, responses: Sequence[str]
) -> tuple[float, ...]:
    """`ScoringModel.logprobs` through vLLM's chat completions."""
    return tuple(
        _score(lambda text: ask_prompt_logprobs(sender, messages, text), each) for each in responses
    )


def ask_echo(sender: Sender, prompt: str, response: str = "") -> GivenTokens:
    """The tokens of a templated prompt and a response behind it, both as data already.

    One token is generated: to llama.cpp's Python server, 0 means no limit.
    """
    return parse_echo(
        sender.complete([prompt + response], 1, echo=True, logprobs=1, temperature=0.0)
    )


def ask_prompt_logprobs(sender: Sender, messages: Messages, response: str = "") -> GivenTokens:
    """The tokens of a chat up to the end of the response (as data), or to where it would begin."""
    turns = [{"role": m.role, "content": as_data(m.content)} for m in messages]
    if response:
        turns.append({"role": "assistant", "content": response})
    body = {
        "prompt_logprobs": 0,  # the given tokens themselves, no alternatives
        "add_generation_prompt": not response,
        "continue_final_message": bool(response),
    }
    return parse_prompt_logprobs(sender.chat(turns, 1, temperature=0.0, extra_body=body))


def parse_echo(raw: Any) -> GivenTokens:
    """Read a text completion with echo. Raises `BadResponse` where it lacks log-probabilities."""
    data = plain(raw)
    logprobs = plain(first_choice(data).get("logprobs"))
    texts, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    generated = plain(data.get("usage")).get("completion_tokens")
    if not texts or not values or len(texts) != len(values):
        raise BadResponse("the text completion holds no log-probabilities of its prompt")
    if not isinstance(generated, int) or not 0 <= generated < len(texts):
        raise BadResponse(
            f"the text completion says it wrote {generated!r} tokens and shows {len(texts)} with "
            "its prompt"
        )
    end = len(texts) - generated
    return GivenTokens(tuple(texts[:end]), tuple(values[:end]), generated)


def parse_prompt_logprobs(raw: Any) -> GivenTokens:
    """Read a chat completion with `prompt_logprobs`. Raises `BadResponse` where it has none."""
    data = plain(raw)
    positions = data.get("prompt_logprobs")
    if not positions:
        raise BadResponse("the chat completion holds no prompt_logprobs")
    texts: list[str] = []
    values: list[float | None] = []
    for position in positions:
        if position is None:
            texts.append("")
            values.append(None)
            continue
        if len(position) != 1:
            raise BadResponse(
                f"prompt_logprobs holds {len(position)} tokens for one place, asked was for one"
            )
        token = plain(next(iter(position.values())))
        texts.append(token.get("decoded_token") or "")
        values.append(token.get("logprob"))
    generated = plain(data.get("usage")).get("completion_tokens") or 0
    return GivenTokens(tuple(texts), tuple(values), generated)


def response_start(given: GivenTokens, response: str) -> int | None:
    """The index of the response's first token, if the last tokens' texts spell just the response.

    None where they leave a doubt: they spell something else, or a token without text stands at the
    border or within.
    """
    if _HIDDEN in response:
        return None
    rest = response
    for index in range(len(given.texts) - 1, 0, -1):
        text = given.texts[index]
        if not text or not rest.endswith(text):
            return None
        rest = rest.removesuffix(text)
        if not rest:
            return index if given.texts[index - 1] else None
    return None


def response_start_after(prompt: GivenTokens, given: GivenTokens, response: str) -> int:
    """The same, counted by the tokens of the prompt alone.

    Raises `BadResponse` where the prompt's tokens are others with the response behind them, or
    where the server does not show the response's letters.
    """
    start = len(prompt.texts)
    if given.texts[:start] != prompt.texts:
        raise BadResponse(
            "the server does not cut its tokens between prompt and answer; an answer that starts "
            f"with a space or a line break cannot be scored there: {_shown(response)}"
        )
    shown = "".join(given.texts[start:])
    cut = (response[0].isspace() and not shown[:1].isspace()) or (
        response[-1].isspace() and not shown[-1:].isspace()
    )
    if cut or _letters(shown) != _letters(response):
        raise BadResponse(
            f"the server's last tokens do not spell the answer {_shown(response)}: it takes a part "
            "of it for a control token, cuts it, or shifts its log-probabilities"
        )
    return start


def summed(given: GivenTokens, start: int) -> float:
    """The log-probability of the tokens from `start` on."""
    total = 0.0
    for value in given.logprobs[start:]:
        if value is None or not _NO_PROBABILITY < value < math.inf:
            raise BadResponse(f"the server gives {value!r} as log-probability of a token")
        total += value
    return total


def plain(raw: Any) -> dict[str, Any]:
    """LiteLLM's response objects as a dict; empty for what is neither."""
    if hasattr(raw, "model_dump"):
        raw = raw.model_dump()
    return raw if isinstance(raw, dict) else {}


def first_choice(data: Mapping[str, Any]) -> dict[str, Any]:
    """A completion's first choice; empty where there is none."""
    choices = data.get("choices")
    return plain(choices[0]) if isinstance(choices, list) and choices else {}


def _score(ask: Callable[[str], GivenTokens], response: str) -> float:
    text = as_data(response)
    if not text:
        raise BadResponse("an empty response has no log-probability")
    given = ask(text)
    start = response_start(given, text)
    if start is None:
        start = response_start_after(ask(""), given, text)
    return summed(given, start)


def _letters(text: str) -> str:
    """What every server prints of a text: ASCII without spaces."""
    return "".join(char for char in text if "!" <= char <= "~")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
