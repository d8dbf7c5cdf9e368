"""What a check for headroom means, in sentences that each say figure, interval and n."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from popi_prompt.headroom import ByScorer, Finding, Headroom
from popi_prompt.intervals import Interval, as_record, proportion
from popi_prompt.leaks import NEAR, Leaks
from popi_prompt.noise import Orders, Repeated
from popi_prompt.power import Needed
from popi_prompt.rows import GOLD, RAW

_OWN = {GOLD: "gold, the true taste", RAW: "the signals themselves"}
_REASONS: dict[Finding, str] = {
    "noise": "asked again it may as well be tossing a coin",
    "no gain": "telling the generator about the person is not shown to beat telling it nothing",
    "not personal": "another person's text is not shown to do worse than one's own",
    "no answer": "whether it is noise is not known: nothing was answered when asked again",
    "not dealt": "nobody could be scored under another person's text",
    "one text": "no two users have different texts, so nothing is shown to be about the person",
    "too few": "too few users could be scored for any interval",
}


def verdict(found: Headroom) -> tuple[str, ...]:
    """Whether optimizing can pay, with which scorer, and what to mistrust all the same."""
    best = found.best
    lines = [] if best is None else [f"Optimizing can pay, with {_by(best)}: {_evidence(best)}."]
    for by in found.scorers:
        if by.finding != "pays":
            unproven = "" if lines else "It is not shown that optimizing can pay. "
            lines.append(f"{unproven}By {_by(by)} {_REASONS[by.finding]}: {_evidence(by)}.")
        elif by is not best:
            lines.append(f"It can pay with {_by(by)}, too: {_evidence(by)}.")
    lines += _warnings(found)
    return tuple(lines)


def _by(by: ByScorer) -> str:
    return f"--scorer {by.scorer}"


def _evidence(by: ByScorer) -> str:
    again = by.repeated
    if by.finding == "noise" and again is not None and again.flips is not None:
        return f"{_percent(again.flips)} of answers change sides, n = {again.items}"
    if by.margin is None:
        return f"n = 0 users, {len(by.failures)} failed"
    if by.finding in ("pays", "not personal") and by.personal is not None:
        return (
            f"own minus another's text is D {_signed(by.personal.margin)} {by.unit}, "
            f"n = {by.personal.users} users"
        )
    return f"own text is D {_signed(by.margin)} {by.unit}, n = {by.users} users"


def _warnings(found: Headroom) -> Iterator[str]:
    data, needed = found.data, found.best.needed if found.best is not None else None
    for leaks, where in ((data.leaks, "other parts"), (data.within, "the user's own signals")):
        if leaks is not None and leaks.seen:
            yield (
                f"Leak: {_counted(leaks.seen, leaks.pairs)} pairs were seen in {where}, "
                f"n = {leaks.pairs}; held-out figures will flatter. Remove them first."
            )
    if data.unsplit is not None:
        yield f"`optimize` cannot split these data (n = {data.users} users): {data.unsplit}."
    elif needed is not None and needed.users > data.held_out:
        yield (
            f"{data.held_out} held-out users are fewer than the {_users(needed)} that show "
            f"{_points(needed)} (n = {needed.measured} users): a gain of that size may go "
            "unproven, and then the untuned program is kept."
        )


def by_scorer(by: ByScorer, told: str) -> tuple[str, ...]:
    """What one scorer measured, a line a question."""
    failed = f", {len(by.failures)} failed" if by.failures else ""
    if by.margin is None or by.accuracy is None:
        return (f"own text against none: nobody could be scored; n = 0 users{failed}",)
    own = _OWN[told]
    lines = [
        f"own text ({own}) against none: moves {_percent(by.accuracy)} of pairs to the chosen "
        f"answer ({_chance(by.ties)}), D {_signed(by.margin)} {by.unit}; n = {by.users} "
        f"users{failed}"
    ]
    undealt = f", {len(by.not_dealt)} failed" if by.not_dealt else ""
    if by.personal is None:
        why = "nobody could be scored" if by.not_dealt else "no two users have different texts"
        lines.append(f"own against another's text: {why}; n = 0 users{undealt}")
    else:
        accuracy = by.personal.reward_accuracy
        points = "" if accuracy is None else f", {_signed(accuracy, 100, 1)} points of pairs"
        lines.append(
            f"own minus another's text: D {_signed(by.personal.margin)} {by.unit}{points}; "
            f"n = {by.personal.users} users who were dealt another text{undealt}"
        )
    if by.repeated is not None:
        lines.append(_asked_again(by.repeated, by.unit))
    if by.orders is not None:
        lines.append(_in_both_orders(by.orders))
    if by.longer is not None:
        lines.append(
            f"length: without a text the longer answer is preferred in {_percent(by.longer.share)}"
            f"{_against_chance(by.longer.share)}; n = {by.longer.users} users"
        )
    if by.needed is not None:
        needed = by.needed
        lines.append(
            f"to see {_points(needed)}: at least {_users(needed)} held-out users (80% power; by "
            f"the spread of own minus another's text); n = {needed.measured} users"
        )
    return tuple(lines)


def _asked_again(again: Repeated, unit: str) -> str:
    failed = f", {again.failures} failed" if again.failures else ""
    if again.flips is None or again.moved is None:
        return f"asked again: nothing was answered; n = 0 pairs{failed}"
    return (
        f"asked again: {_percent(again.flips)} change sides, D moves by {again.moved.mean:.2f} "
        f"{_bounds(again.moved, 1, 2)} {unit}; n = {again.items} pairs{failed}"
    )


def _in_both_orders(orders: Orders) -> str:
    return (
        f"orders swapped: the answer shown first is named in {_percent(orders.first_shown)}"
        f"{_against_chance(orders.first_shown)}, the orders differ in {_percent(orders.differ)}; "
        f"n = {orders.users} users"
    )


def of_data(found: Headroom) -> tuple[str, ...]:
    """What needs no model, a line a question."""
    data = found.data
    lines = [
        f"length: the longer answer is the chosen one in {_percent(data.longer)}"
        f"{_against_chance(data.longer)}; n = {found.users} users"
    ]
    if data.leaks is not None:
        lines.append(f"train and test: {_seen(data.leaks, 'held-out pairs', 'other parts')}")
        lines.append(
            f"left out to keep prompts apart: {data.dropped_users} of {data.users} users, "
            f"{data.dropped_pairs} pairs (counted, not sampled)"
        )
    within = _seen(data.within, "pairs", "the user's own signals")
    return (*lines, f"signals and pairs: {within}")


def _seen(leaks: Leaks, what: str, where: str) -> str:
    return (
        f"{_counted(leaks.seen, leaks.pairs)} {what} were seen in {where}: "
        f"{leaks.same_prompts} with the same prompt, {leaks.near_prompts} with nearly the same, "
        f"{leaks.near_answers} with the same answers or nearly (similarity {NEAR:g} or more)"
    )


def record(found: Headroom) -> dict[str, Any]:
    """Plain JSON values of everything, the sentences included."""
    data = found.data
    return {
        "told": found.told,
        "users": found.users,
        "can_pay": found.best is not None,
        "scorer": None if found.best is None else found.best.scorer,
        "verdict": list(verdict(found)),
        "scorers": [_scorer_record(by) for by in found.scorers],
        "data": {
            **asdict(data),
            "longer": as_record(data.longer),
            "leaks": None
            if data.leaks is None
            else {**asdict(data.leaks), "seen": data.leaks.seen},
            "within": {**asdict(data.within), "seen": data.within.seen},
        },
    }


def _scorer_record(by: ByScorer) -> dict[str, Any]:
    again, orders = by.repeated, by.orders
    return {
        "scorer": by.scorer,
        "unit": by.unit,
        "finding": by.finding,
        "users": by.users,
        "failures": [asdict(failure) for failure in by.failures],
        "margin": as_record(by.margin),
        "reward_accuracy": as_record(by.accuracy),
        "ties": by.ties,
        "own_minus_another": None if by.personal is None else by.personal.as_record(),
        "not_dealt": [asdict(failure) for failure in by.not_dealt],
        "users_needed": None if by.needed is None else asdict(by.needed),
        "asked_again": None
        if again is None
        else {
            "items": again.items,
            "failures": again.failures,
            "change_sides": as_record(again.flips),
            "moved": as_record(again.moved),
        },
        "orders": None
        if orders is None
        else {
            "users": orders.users,
            "first_shown": as_record(orders.first_shown),
            "differ": as_record(orders.differ),
        },
        "longer_preferred": None
        if by.longer is None
        else {"users": by.longer.users, **(as_record(by.longer.share) or {})},
    }


def _chance(ties: float) -> str:
    return "chance 50%" if not ties else f"{ties:.1%} moves nowhere; chance half of the rest"


def _points(needed: Needed) -> str:
    return f"a gain of {needed.gain * 100:g} points of reward accuracy"


def _users(needed: Needed) -> str:
    return f"{needed.users} [{needed.low}, {needed.high}]"


def _counted(count: int, total: int) -> str:
    if not total:
        return "0 of 0"
    return f"{_percent(proportion(count, total))} ({count} of {total})"


def _against_chance(share: Interval) -> str:
    return " (not 50%)" if share.low > 0.5 or share.high < 0.5 else " (50% not excluded)"


def _percent(share: Interval) -> str:
    return f"{share.mean:.1%} {_bounds(share, 100, 1, '%')}"


def _signed(interval: Interval, times: float = 1, digits: int = 2) -> str:
    return f"{interval.mean * times:+.{digits}f} {_bounds(interval, times, digits, sign='+')}"


def _bounds(
    interval: Interval, times: float, digits: int, percent: str = "", sign: str = ""
) -> str:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return "[unknown]"
    low, high = (f"{at * times:{sign}.{digits}f}{percent}" for at in (interval.low, interval.high))
    return f"[{low}, {high}]"
