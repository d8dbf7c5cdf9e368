"""The plots of a report as SVG, drawn from its JSON record alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from popi_prompt.rows import COMPILED, NO_CONTEXT, TITLES, UNTUNED

_WIDTH = 880
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 30, 14, 46
_LANE = 46

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values of [low, high] to pixels of [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self) -> Iterator[float]:
        """About six round numbers."""
        raw = (self.high - self.low) / 6
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * each for each in (1, 2, 5, 10) if raw <= power * each)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        for number in range(first, last + 1):
            yield round(number * step, 10)


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.05 * (high - low) or 1.0
    return _Axis(low - room, high + room, start, end)


def distributions(rows: Sequence[Record], unit: str) -> str:
    """D of every user, a lane a row: a point each, the box of the middle half, the mean."""
    lanes = [(i, r) for i, r in enumerate(rows) if _margins(r) and r["context"] != NO_CONTEXT]
    if not lanes:
        return ""
    height = _TOP + _LANE * len(lanes) + _BOTTOM
    x = _axis([d for _, row in lanes for d in _margins(row)], _LEFT, _WIDTH - _RIGHT)
    parts = list(_across(x, height, f"D in {unit}"))
    for lane, (i, row) in enumerate(lanes):
        parts += _lane(i, row, x, _TOP + _LANE * (lane + 0.5))
    return _svg(height, "Distribution of D by row", parts)


def _lane(number: int, row: Record, x: _Axis, y: float) -> Iterator[str]:
    yield _text(_LEFT - 10, y + 4, TITLES[row["context"]], "end")
    low, middle, high = (x.at(float(q)) for q in np.percentile(_margins(row), [25, 50, 75]))
    yield f'<rect x="{low}" y="{y - 11}" width="{round(high - low, 2)}" height="22" class="box"/>'
    yield f'<path d="M{middle} {y - 11}v22" class="median"/>'
    for place, user in enumerate(row["by_user"]):
        offset = (place * 7) % 15 - 7  # spread, always the same way
        yield _point(x.at(user["margin"]), y + offset, "dot", user, f"D {user['margin']:+.2f}")
    mean = row["margin"]["mean"]
    yield f'<path d="M{x.at(mean)} {y - 5}l5 5l-5 5l-5 -5z" class="mean"/>'
    yield _figure(x.at(mean), y - 14, f"rows/{number}/margin/mean", "signed", f"{mean:+.2f}")


def accuracy_by_tokens(rows: Sequence[Record]) -> str:
    """Reward accuracy with its interval against the median of tokens inserted."""
    shown = [(i, row) for i, row in enumerate(rows) if row["reward_accuracy"] is not None]
    if not shown:
        return ""
    height = 360
    x = _axis([row["tokens_median"] for _, row in shown], _LEFT, _WIDTH - _RIGHT - 120)
    y = _Axis(0, 1, height - _BOTTOM, _TOP + 10)
    parts = [*_across(x, height, "tokens inserted (median)"), *_up(y, x, share=True)]
    parts.append(f'<path d="M{x.start} {y.at(0.5)}H{x.end}" class="chance"/>')
    for i, row in shown:
        accuracy = row["reward_accuracy"]
        left, up = x.at(row["tokens_median"]), y.at(accuracy["mean"])
        if accuracy["low"] is not None:
            reach = f"M{left} {y.at(accuracy['low'])}V{y.at(accuracy['high'])}"
            parts.append(f'<path d="{reach}" class="reach"/>')
        parts.append(f'<circle cx="{left}" cy="{up}" r="5" class="mark"/>')
        parts.append(_text(left + 9, up - 5, TITLES[row["context"]], "start"))
        path, text = f"rows/{i}/reward_accuracy/mean", f"{accuracy['mean']:.1%}"
        parts.append(_figure(left + 9, up + 9, path, "share", text, "start"))
    return _svg(height, "Reward accuracy against tokens inserted", parts)


def before_after(rows: Sequence[Record], unit: str) -> str:
    """Each user's D with the compiled program against that with the untuned summary."""
    known = {row["context"]: {u["user_id"]: u for u in row.get("by_user", ())} for row in rows}
    before, after = known.get(UNTUNED, {}), known.get(COMPILED, {})
    both = [(before[user_id], after[user_id]) for user_id in after if user_id in before]
    if not both:
        return ""
    height = 460
    values = [user["margin"] for pair in both for user in pair]
    x = _axis(values, _LEFT, _LEFT + height - _TOP - _BOTTOM)
    y = _Axis(x.low, x.high, height - _BOTTOM, _TOP)
    parts = [*_across(x, height, f"D untuned, {unit}"), *_up(y, x)]
    parts.append(f'<path d="M{x.start} {y.start}L{x.end} {y.end}" class="chance"/>')
    for one, other in both:
        gap = other["margin"] - one["margin"]
        kind = "helped" if gap > 0 else "harmed" if gap < 0 else "dot"
        told = f"D {one['margin']:+.2f} to {other['margin']:+.2f}"
        parts.append(_point(x.at(one["margin"]), y.at(other["margin"]), kind, other, told))
    parts.append(_text(x.end + 16, y.end + 14, "above the line: helped", "start"))
    parts.append(_text(x.end + 16, y.start - 4, "below the line: harmed", "start"))
    return _svg(height, "D of each user, untuned and compiled", parts)


def _margins(row: Record) -> list[float]:
    users = row.get("by_user", ()) if row["margin"] is not None else ()
    return [user["margin"] for user in users]


def _across(x: _Axis, height: int, title: str) -> Iterator[str]:
    bottom = height - _BOTTOM
    for tick in x.ticks():
        kind = "zero" if tick == 0 else "grid"
        yield f'<path d="M{x.at(tick)} {_TOP}V{bottom}" class="{kind}"/>'
        yield _text(x.at(tick), bottom + 16, f"{tick:g}", "middle", "tick")
    yield _text((x.start + x.end) / 2, height - 10, title, "middle")


def _up(y: _Axis, x: _Axis, *, share: bool = False) -> Iterator[str]:
    for tick in y.ticks():
        yield f'<path d="M{x.start} {y.at(tick)}H{x.end}" class="{"grid" if tick else "zero"}"/>'
        shown = f"{tick:.0%}" if share else f"{tick:g}"
        yield _text(x.start - 8, y.at(tick) + 4, shown, "end", "tick")


def _point(x: float, y: float, kind: str, user: Record, told: str) -> str:
    title = escape(f"{user['user_id']}: {told}")
    return f'<circle cx="{x}" cy="{y}" r="3" class="{kind}"><title>{title}</title></circle>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _figure(x: float, y: float, path: str, kind: str, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="figure" data-path="{path}" '
        f'data-kind="{kind}">{text}</text>'
    )


def _svg(height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )
