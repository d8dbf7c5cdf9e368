"""What is asked of a model, as a value; which requests are the same; answers as JSON and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from popi_prompt.models.cache_key import JSON, cache_key
from popi_prompt.models.call import Kind
from popi_prompt.models.model import Answer, Model, Sampling
from popi_prompt.models.route import Route
from popi_prompt.prompts import Messages

if TYPE_CHECKING:
    from popi_prompt.models.capability import Capability

Kept: TypeAlias = "Answer | tuple[float, ...] | Capability"
_VERSION = 1
_OF_SCORING = ("logprobs", "probe")
_TOKENS_AROUND = 16  # a message, by any chat template


@dataclass(frozen=True, slots=True)
class Request:
    """`given` are the responses to score or the options to choose from.

    A probe of what a route gives is a request too, whose messages are the prober's own.
    """

    kind: Kind
    messages: Messages
    sampling: Sampling | None = None
    given: tuple[str, ...] = ()

    def key(self, route: Route, identity: str | None, template: str | None = None) -> str:
        """The same for the same request to the same model at the same place, in every process.

        `template` is the digest of the chat template that responses are scored with; no other
        request depends on it, nor on `route.scoring`.
        """
        scores = self.kind in _OF_SCORING
        return cache_key(
            {
                "version": _VERSION,
                "kind": self.kind,
                "model": route.model,
                "identity": identity,
                "api_base": route.api_base,
                "headers": [list(pair) for pair in route.headers],
                "chat_template": template if scores else None,
                "scoring": route.scoring if scores else None,
                "messages": [[m.role, m.content] for m in self.messages],
                "sampling": _sampling(self.sampling),
                "given": list(self.given),
            }
        )

    def tokens(self, model: Model, answer: Any) -> tuple[int, int]:
        """Tokens in and out of a model that answers in this process."""
        if isinstance(answer, Answer):
            return answer.tokens_in, answer.tokens_out
        asked = sum(model.count_tokens(m.content) for m in self.messages)
        if self.kind == "odds":
            return asked, 1
        return asked + sum(map(model.count_tokens, self.given)), 0

    def most_tokens(self, model: Model) -> tuple[int, int]:
        """At most so many, before it is answered."""
        tokens_in, tokens_out = self.tokens(model, None)
        around = _TOKENS_AROUND * len(self.messages)
        return tokens_in + around, self.sampling.max_tokens if self.sampling else tokens_out


def _sampling(sampling: Sampling | None) -> JSON:
    """What decides an answer: drawn greedily, the number of the draw does not."""
    if sampling is None:
        return None
    sample = sampling.sample if sampling.temperature > 0 else 0
    return [sampling.max_tokens, sampling.temperature, sampling.seed, sample]


def to_json(answer: Kept) -> JSON:
    """An answer as the cache keeps it."""
    if isinstance(answer, Answer):
        return {name: getattr(answer, name) for name in Answer.__slots__}
    return list(answer) if isinstance(answer, tuple) else asdict(answer)


def from_json(kind: Kind, raw: Any) -> Kept | None:
    """The answer; None where it is none, so that it is asked for again."""
    try:
        if kind == "chat":
            return Answer(**raw)
        if kind == "probe":
            from popi_prompt.models.capability import Capability

            return Capability(**raw)
        return tuple(map(float, raw))
    except (TypeError, ValueError):
        return None
