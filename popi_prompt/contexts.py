"""What the generator is told about a user in each row of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.errors import BadResponse
from popi_prompt.evaluation import Borrowed, ByPrompt, Failure, Outcome, Result, Summarize
from popi_prompt.inference import summarizer
from popi_prompt.models.door import Door
from popi_prompt.prompts import render_signals
from popi_prompt.retrieval import Retrieval, Words
from popi_prompt.rows import (
    COMPILED,
    GOLD,
    NO_CONTEXT,
    OPPOSITE,
    RAW,
    RETRIEVED,
    SHUFFLED,
    UNTUNED,
    Row,
)
from popi_prompt.schema import Pair, Signal, User
from popi_prompt.scorers.scorer import PairScore

_SEED = 0  # of who gets whose text


@dataclass(frozen=True, slots=True)
class Context:
    """The texts of a row, and the candidate whose conditioning brings them to the generator."""

    candidate: Candidate
    summarize: Summarize


def context(
    name: str,
    candidate: Candidate,
    users: Sequence[User],
    door: Door,
    own: Row | None = None,
    retrieval: Retrieval | None = None,
) -> Context | None:
    """What a row tells; None where these users do not have it.

    All but the untuned program use the candidate's conditioning, so that they differ from it in
    the text alone. `own` is the program's row, whose summaries "shuffled" deals out anew.
    `retrieval` finds the signals of "retrieved"; by default BM25 over these users' signals.
    """
    told: Summarize | None = None
    if name == UNTUNED:
        return Context(UNTUNED_CANDIDATE, summarizer(UNTUNED_CANDIDATE, door))
    if name == COMPILED and candidate != UNTUNED_CANDIDATE:
        told = summarizer(candidate, door)
    elif name == NO_CONTEXT:
        told = _nothing
    elif name == RAW:
        told = _raw
    elif name == RETRIEVED:
        told = _retrieved(retrieval if retrieval is not None else Retrieval(Words(users)))
    elif name == SHUFFLED and own is not None:
        told = _shuffled(own)
    elif name == GOLD and all(user.gold is not None for user in users):
        told = _gold
    elif name == OPPOSITE and all(user.gold is not None for user in users):
        told = _opposite(users)
    return None if told is None else Context(candidate, told)


def _nothing(user: User) -> None:
    return None


def _gold(user: User) -> str | None:
    return user.gold


def _raw(user: User) -> str:
    """The signals as the inference model would read them in full."""
    return render_signals(_signals(user))


def _retrieved(retrieval: Retrieval) -> Summarize:
    """For each prompt the signals that are most like it, in full."""

    def told(user: User) -> ByPrompt:
        signals = _signals(user)
        prompts = dict.fromkeys(pair.prompt for pair in user.pairs)
        return ByPrompt({each: render_signals(retrieval.of(each, signals)) for each in prompts})

    return told


def _signals(user: User) -> tuple[Signal, ...]:
    if not user.signals:
        problem = "there are no signals to show"
        raise BadResponse(problem, role="generator", user_id=user.user_id)
    return user.signals


def _shuffled(own: Row) -> Summarize | None:
    """The summaries that were scored, each told of another user; no model writes any."""
    mine = {outcome.user_id: outcome.summary for outcome in own.scored}
    failed = {failure.user_id: failure.reason for failure in own.failures}
    if len(mine) < 2:
        return None
    giver = derangement(sorted(mine))

    def told(user: User) -> Borrowed | None:
        if user.user_id in failed:
            problem = f"the program has no summary to exchange: {failed[user.user_id]}"
            raise BadResponse(problem)
        text = mine[giver[user.user_id]]
        return None if text is None else Borrowed(text, giver[user.user_id])

    return told


def _opposite(users: Sequence[User]) -> Summarize | None:
    """The gold text of a user whose gold text is another one; None where all are alike."""
    golds = {user.user_id: str(user.gold) for user in users}
    if len(set(golds.values())) < 2:
        return None
    draw = np.random.default_rng(_SEED)
    told: dict[str, str] = {}
    for user_id in sorted(golds):
        others = sorted(each for each in golds if golds[each] != golds[user_id])
        told[user_id] = golds[others[int(draw.integers(len(others)))]]
    return lambda user: told[user.user_id]


def derangement(user_ids: Sequence[str]) -> Mapping[str, str]:
    """For each user another one, everyone once; always the same. Needs two or more users."""
    order = np.random.default_rng(_SEED).permutation(len(user_ids))
    around = [user_ids[i] for i in order]
    return dict(zip(around, around[1:] + around[:1], strict=True))


def longest_answers(users: Sequence[User]) -> tuple[Result, ...]:
    """What choosing the longer answer would get right: asks no model and has no margin."""
    return tuple(
        Outcome(
            user_id=user.user_id,
            summary=None,
            tokens=0,
            scores=tuple(PairScore(math.nan, _longer(pair), pair.weight) for pair in user.pairs),
            reward=math.nan,
        )
        if user.pairs
        else Failure(user.user_id, f"user {user.user_id!r}: there are no pairs")
        for user in users
    )


def _longer(pair: Pair) -> float:
    gap = len(pair.chosen) - len(pair.rejected)
    return 0.5 if gap == 0 else float(gap > 0)
