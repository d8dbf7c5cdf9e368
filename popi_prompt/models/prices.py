"""What a route costs."""

from __future__ import annotations

import math
from collections.abc import Callable

from popi_prompt.models.route import Route

MILLION = 1_000_000
Price = Callable[[int, int], float]


def price_of(route: Route) -> Price | None:
    """USD of (tokens in, tokens out): the route's own prices, else LiteLLM's, else None.

    The embedded engine costs nothing.
    """
    if route.embedded:
        return lambda tokens_in, tokens_out: 0.0
    if route.price_in is not None and route.price_out is not None:
        price_in, price_out = route.price_in, route.price_out
        return lambda sent, got: (sent * price_in + got * price_out) / MILLION
    return _litellm_price(route.model)


def _litellm_price(model: str) -> Price | None:
    from popi_prompt.models.litellm_errors import import_litellm

    litellm = import_litellm()
    try:
        litellm.cost_per_token(model=model, prompt_tokens=1, completion_tokens=1)
    # LiteLLM has no exception of its own for a model that is not on its list.
    except Exception:
        return None

    def price(tokens_in: int, tokens_out: int) -> float:
        return math.fsum(
            litellm.cost_per_token(
                model=model, prompt_tokens=tokens_in, completion_tokens=tokens_out
            )
        )

    return price
