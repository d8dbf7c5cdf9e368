"""Models that send nothing: they count what a request would take, and imagine its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Literal

from popi_prompt.models import imagined
from popi_prompt.models.capability import Capability, probe_methods
from popi_prompt.models.litellm_model import LiteLLMModel
from popi_prompt.models.meter import account
from popi_prompt.models.model import Answer, Model, Sampling
from popi_prompt.models.prices import price_of
from popi_prompt.models.route import Route, ScoringMethod
from popi_prompt.models.spent import Spent
from popi_prompt.models.stopwatch import wait
from popi_prompt.prompts import Messages

_TOKENS_AROUND = 4  # a message, by most chat templates
_TOKENS_BEFORE = 3  # an answer
_NAMING = 4  # tokens of an answer that names an option
_PROBE_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Speed:
    """Of a hosted model: seconds until its first token, and tokens a second that it writes."""

    latency: float = 0.7
    tokens_out: float = 60.0

    def seconds(self, calls: int, tokens_out: int) -> float:
        """Of requests, one after another."""
        return calls * self.latency + tokens_out / self.tokens_out


class DryModel:
    """In place of a model that answers in this process; satisfies `Model` and `ScoringModel`.

    `real` is asked for nothing but its tokens.
    """

    own_words = 0.0  # a small model repeats the summaries that it is shown

    def __init__(self, real: Model):
        self.name = real.name
        self.concurrency = real.concurrency
        self.identity: str | None = getattr(real, "identity", None)
        self.template_digest: str | None = getattr(real, "template_digest", None)
        self.count_tokens = lru_cache(maxsize=1 << 16)(real.count_tokens)

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """A text of a plausible length, never cut off."""
        drawn = str(astuple(sampling))
        words = imagined.answer(messages, drawn, sampling.max_tokens, self.own_words).split()
        text = " ".join(words[: sampling.max_tokens])
        tokens_out = min(self.count_tokens(text), sampling.max_tokens)
        return Answer(text, "stop", self.prompt_tokens(messages), tokens_out)

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        """Imagined."""
        return imagined.logprobs(messages, responses)

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """Imagined."""
        return imagined.odds(messages, options)

    def embed(self, text: str) -> tuple[float, ...]:
        """Imagined."""
        return imagined.embedding(text)

    def prompt_tokens(self, messages: Messages) -> int:
        """With what a chat template adds."""
        return _TOKENS_BEFORE + sum(
            _TOKENS_AROUND + self.count_tokens(message.content) for message in messages
        )


class DryHosted(DryModel):
    """In place of a hosted model; satisfies `Hosted`. Every request is billed and none is sent."""

    pays_by_request: Literal[True] = True
    own_words = 0.5  # between a model that repeats and one that never does

    def __init__(self, real: LiteLLMModel, speed: Speed):
        super().__init__(real)
        self.route: Route = real.transport.route
        self._price = price_of(self.route)
        self._real = real
        self._speed = speed

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """Billed as one request."""
        answer = super().chat(messages, sampling)
        self._bill(answer.tokens_in, answer.tokens_out)
        return answer

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """One request, whether the route returns log-probabilities or names an option."""
        self._bill(self.prompt_tokens(messages), 1 if self._real.top_logprobs else _NAMING)
        return super().option_odds(messages, options)

    def probe(self) -> Capability:
        """What the route's name and settings let expect: nothing is asked."""
        gives = self._expected()
        for _ in self._probes(gives):
            self._bill(_PROBE_TOKENS, 1)
        scorer = "likelihood" if gives in ("echo", "prompt_logprobs") else "choice"
        return Capability(gives, f"{scorer}: assumed, {self.name!r} was not probed")

    def score(
        self, method: ScoringMethod, messages: Messages, responses: Sequence[str]
    ) -> tuple[float, ...]:
        """One request for each response."""
        for response in responses:
            self._bill(self.prompt_tokens(messages) + self.count_tokens(response), 1)
        return self.logprobs(messages, responses)

    def embed(self, text: str) -> tuple[float, ...]:
        """One request."""
        self._bill(self.count_tokens(text), 0)
        return super().embed(text)

    def _expected(self) -> Literal["echo", "prompt_logprobs", "top_logprobs", "neither"]:
        if self.route.scoring is not None:
            return self.route.scoring
        if self.route.model.startswith("hosted_vllm/"):
            return "prompt_logprobs"
        if self.route.chat_template is not None:
            return "echo"
        return "top_logprobs" if self._real.top_logprobs else "neither"

    def _probes(self, gives: str) -> Iterator[str]:
        """The requests of a probe, up to the one that succeeds."""
        for method in probe_methods(self.route, self.route.chat_template is not None):
            yield method
            if method == gives:
                return
        yield "top_logprobs"

    def _bill(self, tokens_in: int, tokens_out: int) -> None:
        usd = None if self._price is None else self._price(tokens_in, tokens_out)
        wait(self._speed.seconds(1, tokens_out))
        with account().request(Spent()) as ticket:
            ticket.bill(tokens_in, tokens_out, usd)
