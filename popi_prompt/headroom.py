"""Before optimizing: does knowing a person help, is it about the person, can the scorer tell?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.contexts import context, longest_answers
from popi_prompt.drawing import sample
from popi_prompt.errors import OptimizationError
from popi_prompt.evaluation import Failure, Metric, evaluate
from popi_prompt.events import Observer, PhaseStarted, ignore
from popi_prompt.generator import Generator
from popi_prompt.intervals import FEWEST, Interval
from popi_prompt.leaks import Leaks, leaks, leaks_within
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.noise import Longer, Orders, Repeated, orders, prefers_longer, repeated
from popi_prompt.power import Needed, needed
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import (
    GOLD,
    IMPROVED,
    LONGEST,
    MARGIN,
    NO_CONTEXT,
    PREFERS,
    RAW,
    SHUFFLED,
    TITLES,
    Against,
    Row,
    against,
    gaps,
)
from popi_prompt.schema import User
from popi_prompt.scorers import Scorer, make_scorer
from popi_prompt.split import split_users

CHECKED_USERS = 40
Finding = Literal[
    "pays", "noise", "no answer", "no gain", "not personal", "not dealt", "one text", "too few"
]

# Their `prefers` says which of a pair's own two answers; that of others judges written ones.
_SIDES = ("preference accuracy", "choice accuracy", "closer to chosen")


@dataclass(frozen=True, slots=True)
class ByScorer:
    """What one scorer says of `users` users told their own text; `failures` are left out.

    `margin` and `accuracy`: D and reward accuracy under their own text, where no text is the
    reference; None where nobody could be scored. `ties`: the share of pairs whose D is exactly 0.
    `personal`: own minus another user's text, over users who were dealt a text that is not word for
    word their own; None where there are none. `not_dealt`: who could not be scored under one.
    `needed`: users who show five points of reward accuracy, by the spread of that difference.
    `longer`: how often the longer answer is preferred without a text, where the scorer says so.
    """

    scorer: str
    unit: str
    users: int
    failures: tuple[Failure, ...] = ()
    margin: Interval | None = None
    accuracy: Interval | None = None
    ties: float = 0.0
    personal: Against | None = None
    not_dealt: tuple[Failure, ...] = ()
    needed: Needed | None = None
    repeated: Repeated | None = None
    orders: Orders | None = None
    longer: Longer | None = None

    @property
    def finding(self) -> Finding:
        """Whether optimizing can pay by this scorer, or the first reason why not."""
        if self.margin is None or self.users < FEWEST:
            return "too few"
        if self.repeated is not None and not self.repeated.items:
            return "no answer"
        if self.repeated is not None and self.repeated.a_coin:
            return "noise"
        if not self.margin.above_zero:
            return "no gain"
        if self.personal is None:
            return "not dealt" if self.not_dealt else "one text"
        return "pays" if self.personal.margin.above_zero else "not personal"


@dataclass(frozen=True, slots=True)
class Data:
    """What needs no model. `longer`: how often the longer answer is the chosen one.

    `held_out` and `leaks` are of the split that `optimize` makes with the same seed: its test users
    and their pairs against all other parts; `unsplit` says why there is none. `within` looks for a
    user's pairs in their own signals. `dropped_users` and `dropped_pairs` are those of the split.
    """

    users: int
    longer: Interval
    within: Leaks
    held_out: int = 0
    leaks: Leaks | None = None
    dropped_users: int = 0
    dropped_pairs: int = 0
    unsplit: str | None = None


@dataclass(frozen=True, slots=True)
class Headroom:
    """`told` is the row whose texts were told as the users' own: "gold", or "raw" signals."""

    told: str
    users: int
    data: Data
    scorers: tuple[ByScorer, ...]

    @property
    def best(self) -> ByScorer | None:
        """Of the scorers by which optimizing can pay, the one that tells people apart best.

        By the mean of own minus another's text in halves of its interval.
        """
        paying = [each for each in self.scorers if each.finding == "pays"]
        return max(paying, key=_clarity, default=None)


def check(
    users: Sequence[User],
    door: Door,
    scorers: Sequence[str | Scorer] = (),
    *,
    max_users: int = CHECKED_USERS,
    seed: int = 0,
    observer: Observer = ignore,
) -> Headroom:
    """Measure headroom, noise, bias and leaks; optimizes nothing and asks no inference model.

    Users' own text is the gold description where all of the drawn users have one, else their
    signals. Without `scorers` it is likelihood, where the generator allows it, and choice. Models
    are asked about at most `max_users` users, the split and leaks are of all. Raises
    `OptimizationError` where no user can be scored, `UsageError` for a scorer that these models
    cannot serve.
    """
    with_pairs = sample([user for user in users if user.pairs], None, seed)
    if not with_pairs:
        raise OptimizationError("there are no users with pairs to check")
    drawn = sample(with_pairs, max_users, seed)
    told = GOLD if all(user.gold is not None for user in drawn) else RAW
    made = [make_scorer(each, door) for each in scorers or _allowed(door)]
    observer(PhaseStarted("looking for leaks", 0))
    data = _data(with_pairs, drawn, seed)
    found = tuple(_by_scorer(each, told, drawn, door, observer) for each in made)
    if all(each.margin is None for each in found):
        reason = found[0].failures[0].reason
        raise OptimizationError(f"no user could be scored; the first: {reason}")
    return Headroom(told, len(drawn), data, found)


def _allowed(door: Door) -> tuple[str, ...]:
    return ("likelihood", "choice") if door.scores_responses("generator") else ("choice",)


def _by_scorer(
    scorer: Scorer, told: str, users: Sequence[User], door: Door, observer: Observer
) -> ByScorer:
    metric = Metric(Generator(door, UNTUNED_CANDIDATE.conditioning), scorer, PopiReward())
    rows: dict[str, Row] = {}
    for name in (NO_CONTEXT, told, SHUFFLED):
        texts = context(name, UNTUNED_CANDIDATE, users, door, rows.get(told))
        if texts is not None:
            observer(PhaseStarted(f"{scorer.name}: {TITLES[name]}", len(users)))
            with attributed(candidate=name):
                rows[name] = Row(name, evaluate(users, texts.summarize, metric, observer))
    own, bare = rows[told], rows[NO_CONTEXT]
    if not own.scored:
        return ByScorer(scorer.name, scorer.unit, 0, own.failures)
    another = rows.get(SHUFFLED)
    mine, theirs = _dealt(own, another)
    sides = scorer.prefers_label in _SIDES
    return ByScorer(
        scorer=scorer.name,
        unit=scorer.unit,
        users=len(own.scored),
        failures=own.failures,
        margin=own.figure(MARGIN),
        accuracy=own.figure(IMPROVED),
        ties=own.ties,
        personal=against(mine, theirs),
        not_dealt=() if another is None else another.failures,
        needed=needed(gaps(mine, theirs, IMPROVED), _step(mine)),
        repeated=repeated(scorer, metric.generator, users, own.scored, observer),
        orders=orders(scorer, metric.generator, users, own.scored),
        longer=prefers_longer(users, bare.scored) if sides else None,
    )


def _dealt(own: Row, other: Row | None) -> tuple[Row, Row]:
    """Both rows of the users who were dealt a text that is not their own word for word."""
    if other is None:
        return own.of(frozenset()), Row(SHUFFLED, ())
    texts = {outcome.user_id: outcome.summary for outcome in own.scored}
    dealt = frozenset(
        outcome.user_id for outcome in other.scored if outcome.summary != texts[outcome.user_id]
    )
    return own.of(dealt), other.of(dealt)


def _step(row: Row) -> float:
    """What one pair changes in a user's reward accuracy, on average over users."""
    steps = [1 / len(outcome.scores) for outcome in row.scored]
    return sum(steps) / max(len(steps), 1)


def _data(users: Sequence[User], drawn: Sequence[User], seed: int) -> Data:
    longer = Row(LONGEST, longest_answers(drawn)).mean(PREFERS)
    within = leaks_within(users)
    try:
        split = split_users(users, seed=seed)
    except OptimizationError as error:
        return Data(len(users), longer, within, unsplit=str(error))
    return Data(
        users=len(users),
        longer=longer,
        within=within,
        held_out=len(split.test),
        leaks=leaks((*split.train, *split.val), split.test),
        dropped_users=split.dropped_users,
        dropped_pairs=split.dropped_pairs,
    )


def _clarity(by: ByScorer) -> float:
    if by.personal is None:
        return 0.0
    margin = by.personal.margin
    return margin.mean / max(margin.high - margin.mean, 1e-12)
