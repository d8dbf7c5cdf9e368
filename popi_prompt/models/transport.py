"""How a hosted route's requests are sent: one event loop, limits, retries, each attempt paid."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from aiolimiter import AsyncLimiter
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from popi_prompt.errors import PopiError
from popi_prompt.models.background import Background
from popi_prompt.models.keys import api_key
from popi_prompt.models.litellm_errors import (
    import_litellm,
    passes,
    refused,
    retry_after,
    typed,
)
from popi_prompt.models.meter import Account, Ticket, account
from popi_prompt.models.openai_client import embedding_client, text_client
from popi_prompt.models.prices import price_of
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Spent
from popi_prompt.models.unlogged import silence, unlogged_chat

CONCURRENCY = 8
RETRIES = 4
_TOKEN_MARGIN = 1.25  # our tokenizer may not be the model's
_TOKENS_AROUND = 16  # a text, by any chat template
_backoff = wait_exponential(multiplier=0.5, max=20.0) + wait_random(0.0, 1.0)
_spread = wait_random(0.0, 0.5)


class Transport:
    """Sends the requests of one route from any thread.

    Concurrency and rate are limited here, for all roles that share the route. Retries inside
    LiteLLM and the OpenAI client are off: each attempt is reserved, sent and settled by itself.
    """

    def __init__(self, route: Route):
        self._litellm = import_litellm()
        self.route = route
        self.concurrency = route.concurrency or CONCURRENCY
        self._price = price_of(route)
        self._background = background()
        self._fixed = _fixed(route)
        self._answered = False
        self._slots = asyncio.Semaphore(self.concurrency)
        self._requests = AsyncLimiter(route.rpm) if route.rpm else None
        self._tokens = AsyncLimiter(route.tpm) if route.tpm else None
        self._retrying = Retrying(
            retry=retry_if_exception(passes),
            stop=stop_after_attempt(1 + RETRIES),
            wait=_wait,
            reraise=True,
        )

    def chat(self, messages: list[dict[str, str]], max_tokens: int, **parameters: Any) -> Any:
        """A chat completion as LiteLLM returns it. Raises `ModelError`."""

        def call(**fixed: Any) -> Any:
            # The first one goes the ordinary way: LiteLLM sets up custom providers in it.
            extra = unlogged_chat(self.route.model, messages) if self._answered else {}
            return self._litellm.acompletion(
                messages=messages, max_tokens=max_tokens, **parameters, **fixed, **extra
            )

        return self._send(call, [message["content"] for message in messages], max_tokens)

    def complete(self, prompts: list[str], max_tokens: int, **parameters: Any) -> Any:
        """Text completions as LiteLLM returns them. Raises `ModelError`."""
        call = partial(
            self._litellm.atext_completion,
            prompt=prompts,
            max_tokens=max_tokens,
            client=text_client(self.route, self._fixed.get("api_key")),
            **parameters,
        )
        return self._send(call, prompts, max_tokens * len(prompts))

    def embed(self, text: str) -> Any:
        """An embedding response as LiteLLM returns it. Raises `ModelError`."""
        call = partial(
            self._litellm.aembedding,
            input=[text],
            encoding_format="float",
            client=embedding_client(self.route, self._fixed.get("api_key")),
        )
        return self._send(call, [text], 0)

    def count_tokens(self, text: str) -> int:
        """By LiteLLM's tokenizer for the model, or its default where it knows none."""
        return int(self._litellm.token_counter(model=self.route.model, text=text))

    def _send(self, call: Callable[..., Any], texts: list[str], tokens_out: int) -> Any:
        payer = account()
        before = payer.spent.calls
        worst = self._worst(payer, texts, tokens_out)

        def retries() -> int:
            return max(0, payer.spent.calls - before - 1)

        def attempt() -> Any:
            with payer.request(worst) as ticket:
                return self._attempt(call, worst.tokens, ticket, payer)

        left = payer.seconds_left()
        retrying = self._retrying if left is None else self._retrying.copy(sleep=_until_cap(payer))
        try:
            return retrying(attempt)
        except PopiError:
            raise
        except Exception as error:
            # The provider's library may quote the key in its traceback.
            raise typed(error, self.route.model, retries()) from None
        finally:
            payer.retries += retries()

    def _worst(self, payer: Account, texts: list[str], tokens_out: int) -> Spent:
        if not payer.needs_estimates and self._tokens is None:
            return Spent(1, usd=None if self._price is None else 0.0)
        counted = sum(_TOKENS_AROUND + _TOKEN_MARGIN * self.count_tokens(each) for each in texts)
        usd = None if self._price is None else self._price(round(counted), tokens_out)
        return Spent(1, round(counted), tokens_out, usd)

    def _attempt(
        self, call: Callable[..., Any], tokens: int, ticket: Ticket, payer: Account
    ) -> Any:
        future = self._background.submit(self._when_free(call, tokens, payer.seconds_left()))
        try:
            response = future.result()
        except _TooLateError:
            ticket.unsent()
            raise payer.too_late() from None
        except Exception as error:
            if refused(error):
                ticket.bill(0, 0, 0.0)
            raise
        self._answered = True
        usage = getattr(response, "usage", None)
        if usage is not None:
            sent, got = usage.prompt_tokens or 0, usage.completion_tokens or 0
            ticket.bill(sent, got, None if self._price is None else self._price(sent, got))
        return response

    async def _when_free(self, call: Callable[..., Any], tokens: int, left: float | None) -> Any:
        """Wait for a turn, at most the seconds that are left, then send."""
        sent = False
        try:
            async with asyncio.timeout(left) as limit, self._slots:
                if self._requests is not None:
                    await self._requests.acquire()
                if self._tokens is not None:
                    await self._tokens.acquire(min(tokens, self._tokens.max_rate))
                sent = True
                # The client's own time-out starts anew with every byte that arrives.
                limit.reschedule(asyncio.get_running_loop().time() + self.route.timeout)
                silence()
                return await call(**self._fixed)
        except TimeoutError:
            if sent:
                raise
            raise _TooLateError from None


class _TooLateError(Exception):
    """The run's minutes were over before the request had its turn."""


def _until_cap(payer: Account) -> Callable[[float], None]:
    """Sleeps between attempts, but not past the cap: the next attempt is refused there."""

    def sleep(seconds: float) -> None:
        left = payer.seconds_left()
        time.sleep(seconds if left is None else min(seconds, left))

    return sleep


def _fixed(route: Route) -> dict[str, Any]:
    """What is the same in every request of a route."""
    fixed: dict[str, Any] = {
        "model": route.model,
        "timeout": route.timeout,
        "num_retries": 0,
        "drop_params": True,
    }
    if route.api_base is not None:
        fixed["api_base"] = route.api_base
    key = api_key(route)
    if key is not None:
        fixed["api_key"] = key
    if route.headers:
        fixed["extra_headers"] = dict(route.headers)
    return fixed


def _wait(state: RetryCallState) -> float:
    """As long as the provider asked, else doubling; never the same for two callers."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = retry_after(error) if error is not None else None
    return _backoff(state) if asked is None else asked + _spread(state)


_starting = threading.Lock()


def background() -> Background:
    """The event loop of all transports.

    One for the process: LiteLLM keeps clients and a log for the loop they were made on.
    """
    with _starting:
        return _started()


@cache
def _started() -> Background:
    return Background(import_litellm().close_litellm_async_clients)
