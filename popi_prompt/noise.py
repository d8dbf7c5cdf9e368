"""What a scorer adds of its own: noise, and a liking for a place or for length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from popi_prompt.errors import ModelError
from popi_prompt.evaluation import Outcome, in_parallel
from popi_prompt.events import Advanced, Observer, PhaseStarted, ignore
from popi_prompt.generator import Generator
from popi_prompt.intervals import Interval, bootstrap, proportion
from popi_prompt.models.attribution import attributed
from popi_prompt.schema import User
from popi_prompt.scorers import Comparing, Scorer

REPEATED = 20  # users, one pair each
_COIN = 0.5


@dataclass(frozen=True, slots=True)
class Repeated:
    """The first pair of each of `items` users, asked again with nothing remembered.

    `flips` is the share whose margin changed sides, above 0 or not; `moved` how far it went, in the
    scorer's unit; None where no item is left. An answer that failed the second time is a failure.
    """

    items: int
    failures: int
    flips: Interval | None
    moved: Interval | None

    @property
    def a_coin(self) -> bool:
        """Whether the interval of `flips` includes the half that tossing a coin gives."""
        return self.flips is not None and self.flips.high >= _COIN


@dataclass(frozen=True, slots=True)
class Orders:
    """Both orders of two answers, for `users` users.

    `first_shown`: how often the answer shown first is named; 50% is no bias. `differ`: share of
    pairs for which the two orders name different answers.
    """

    users: int
    first_shown: Interval
    differ: Interval


@dataclass(frozen=True, slots=True)
class Longer:
    """How often the longer answer is preferred, for `users` users with answers of two lengths."""

    users: int
    share: Interval


def repeated(
    scorer: Scorer,
    generator: Generator,
    users: Sequence[User],
    scored: Sequence[Outcome],
    observer: Observer = ignore,
) -> Repeated | None:
    """Ask for some scores again, the reference included; None where there is none."""
    fresh = replace(generator, door=generator.door.afresh())
    before = {outcome.user_id: outcome for outcome in scored}
    items = [user for user in users if user.user_id in before][:REPEATED]
    observer(PhaseStarted(f"{scorer.name}: asked again", len(items)))

    def again(user: User) -> float | None:
        try:
            with attributed(user_id=user.user_id, candidate="asked again"):
                summary = before[user.user_id].summary
                return scorer.score(fresh, user, user.pairs[0], summary).margin
        except ModelError:
            return None
        finally:
            observer(Advanced())

    second = in_parallel(again, items, generator.door.model("generator").concurrency)
    first = [before[user.user_id].scores[0].margin for user in items]
    both = [(one, two) for one, two in zip(first, second, strict=True) if two is not None]
    if not items:
        return None
    flips = sum((one > 0) != (two > 0) for one, two in both)
    return Repeated(
        items=len(both),
        failures=len(items) - len(both),
        flips=proportion(flips, len(both)) if both else None,
        moved=bootstrap([abs(one - two) for one, two in both], lowest=0) if both else None,
    )


def orders(
    scorer: Scorer, generator: Generator, users: Sequence[User], scored: Sequence[Outcome]
) -> Orders | None:
    """What each order says of answers that were compared; None where the scorer compares none."""
    if not isinstance(scorer, Comparing):
        return None
    texts = {outcome.user_id: outcome.summary for outcome in scored}
    first, differ = [], []
    for user in sorted(users, key=lambda user: user.user_id):
        if user.user_id not in texts:
            continue
        with attributed(user_id=user.user_id):
            shown = [
                (both, pair.weight)
                for pair in user.pairs
                if (both := scorer.first_shown(generator, user, pair, texts[user.user_id]))
            ]
        if shown:
            first.append(_mean((sum(both) / 2, weight) for both, weight in shown))
            differ.append(
                _mean((float(_side(one) != -_side(two)), weight) for (one, two), weight in shown)
            )
    if not first:
        return None
    return Orders(len(first), bootstrap(first, 0, 1), bootstrap(differ, 0, 1))


def prefers_longer(users: Sequence[User], bare: Sequence[Outcome]) -> Longer | None:
    """How often the longer answer is preferred without any text; pairs of one length are left out.

    Of scorers whose `prefers` sides with one of a pair's answers.
    """
    outcomes = {outcome.user_id: outcome for outcome in bare}
    found = []
    for user in sorted(users, key=lambda user: user.user_id):
        if user.user_id in outcomes:
            of_user = list(_longer(user, outcomes[user.user_id]))
            if of_user:
                found.append(_mean(of_user))
    return Longer(len(found), bootstrap(found, 0, 1)) if found else None


def _longer(user: User, outcome: Outcome) -> Iterator[tuple[float, float]]:
    for pair, score in zip(user.pairs, outcome.scores, strict=True):
        gap = len(pair.chosen) - len(pair.rejected)
        if gap:
            yield (score.prefers if gap > 0 else 1 - score.prefers), pair.weight


def _side(probability: float) -> int:
    return (probability > _COIN) - (probability < _COIN)


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    """Of values by their weights."""
    listed = list(weighted)
    return sum(value * weight for value, weight in listed) / sum(weight for _, weight in listed)
