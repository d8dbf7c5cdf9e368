"""Score summaries on users; a user who cannot be scored is a failure, never a zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeVar

from popi_prompt.errors import BadResponse, ModelError
from popi_prompt.events import Advanced, Observer, ignore
from popi_prompt.generator import Generator
from popi_prompt.models.attribution import attributed
from popi_prompt.models.stopwatch import stopwatch, wait_for_all
from popi_prompt.prompts import render_signals
from popi_prompt.rewards import Reward, weighted_mean
from popi_prompt.schema import Pair, User
from popi_prompt.scorers.scorer import PairScore, Scorer

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ByPrompt:
    """A text for each of a user's prompts, in place of one text for the user."""

    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Borrowed:
    """The text of another user, `giver`."""

    text: str
    giver: str


Told = str | ByPrompt | Borrowed | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One user under one context. `summary` is None for no context, and where texts differ.

    `tokens` of texts that differ is their mean, rounded.
    """

    user_id: str
    summary: str | None
    tokens: int
    scores: tuple[PairScore, ...]
    reward: float

    @property
    def margin(self) -> float:
        """Mean margin over the user's pairs by their weights, in the scorer's unit."""
        return weighted_mean(self.scores, attrgetter("margin"))

    @property
    def improved(self) -> float:
        """Share of the user's pairs with a margin above 0, by their weights."""
        return weighted_mean(self.scores, lambda score: float(score.margin > 0))

    @property
    def tied(self) -> float:
        """Share of the user's pairs with a margin of exactly 0, moved neither way, by weights."""
        return weighted_mean(self.scores, lambda score: float(score.margin == 0))

    @property
    def prefers(self) -> float:
        """Mean `prefers` over the user's pairs by their weights."""
        return weighted_mean(self.scores, attrgetter("prefers"))


@dataclass(frozen=True, slots=True)
class Failure:
    """A user who could not be scored: left out of every mean, counted and shown."""

    user_id: str
    reason: str


Result = Outcome | Failure


def outcomes(results: Iterable[Result]) -> dict[str, Outcome]:
    """Of the users who could be scored, by id."""
    return {each.user_id: each for each in results if isinstance(each, Outcome)}


def failed(results: Iterable[Result]) -> int:
    """How many could not."""
    return sum(isinstance(each, Failure) for each in results)


def mean_tokens(results: Iterable[Result]) -> float | None:
    """Inserted on average; None where nobody could be scored."""
    counts = [each.tokens for each in outcomes(results).values()]
    return sum(counts) / len(counts) if counts else None


@dataclass(frozen=True, slots=True)
class Metric:
    """How a context is measured: by which generator, scorer and reward."""

    generator: Generator
    scorer: Scorer
    reward: Reward

    def outcome(self, user: User, told: Told) -> Outcome:
        """Score all pairs of a user under what is told.

        Raises `ModelError` that names the user, also where there are no pairs.
        """
        if not user.pairs:
            raise BadResponse("there are no pairs", user_id=user.user_id)
        quoted = (told.giver,) if isinstance(told, Borrowed) else None
        told = told.text if isinstance(told, Borrowed) else told
        with attributed(user_id=user.user_id, quoted=quoted):
            scores = tuple(
                replace(
                    self.scorer.score(self.generator, user, pair, _text(told, pair)),
                    weight=pair.weight,
                )
                for pair in user.pairs
            )
            tokens = self._tokens(told)
        reward = self.reward.of_user(scores, tokens)
        summary = told if isinstance(told, str) else None
        return Outcome(user.user_id, summary, tokens, scores, reward)

    def _tokens(self, told: str | ByPrompt | None) -> int:
        if isinstance(told, ByPrompt):
            counts = [self.generator.overhead(text) for text in told.texts.values()]
            return round(sum(counts) / len(counts))
        return 0 if told is None else self.generator.overhead(told)


def _text(told: str | ByPrompt | None, pair: Pair) -> str | None:
    return told.texts[pair.prompt] if isinstance(told, ByPrompt) else told


Summarize = Callable[[User], Told]


def evaluate(
    users: Sequence[User], summarize: Summarize, metric: Metric, observer: Observer = ignore
) -> tuple[Result, ...]:
    """Score every user under the summary that `summarize` gives; results in the users' order.

    A user without pairs is a failure, and no summary is asked for.
    Users are sent in the order of their signals, so that a model that keeps prefixes, embedded or
    hosted, finds the last one's again.
    """

    def one(user: User) -> Result:
        try:
            return metric.outcome(user, summarize(user) if user.pairs else None)
        except ModelError as error:
            return Failure(user.user_id, str(error))
        finally:
            observer(Advanced())

    order = sorted(range(len(users)), key=lambda i: render_signals(users[i].signals))
    workers = metric.generator.door.model("generator").concurrency
    results = in_parallel(one, [users[i] for i in order], workers)
    return tuple(result for _, result in sorted(zip(order, results, strict=True), key=_first))


def _first(numbered: tuple[int, Result]) -> int:
    return numbered[0]


def in_parallel(work: Callable[[T], R], items: Iterable[T], workers: int) -> tuple[R, ...]:
    """Map over threads, in order, each item in the caller's context.

    An error cancels what has not started and waits for the rest; an interrupt waits for nothing.
    """

    items = list(items)
    workers = max(1, min(workers, len(items)))

    def timed(item: T) -> tuple[R, float]:
        with stopwatch(workers) as watch:
            return work(item), watch.seconds

    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(copy_context().run, timed, item) for item in items]
        done = [future.result() for future in futures]
        wait_for_all([seconds for _, seconds in done], workers)
        return tuple(result for result, _ in done)
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
