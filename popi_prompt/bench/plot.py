"""A benchmark's record as one SVG: reward accuracy with its interval, a lane a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from popi_prompt.rows import NO_CONTEXT, TITLES

Record = Mapping[str, Any]

_WIDTH, _LEFT, _RIGHT = 820, 160, 110
_LANE, _HEAD, _GAP, _FOOT = 26, 34, 18, 34
_STYLE = (
    "text { font: 13px system-ui, sans-serif; fill: #1c1c1c; } .head { font-weight: 600; } "
    ".note { font-size: 12px; fill: #666; } .grid { stroke: #ececec; } "
    ".chance { stroke: #8a8a8a; stroke-dasharray: 4 4; } "
    ".reach { stroke: #2f5fb3; stroke-width: 2; } circle { fill: #2f5fb3; }"
)


def plot(record: Record) -> str:
    """The drawing, white behind; it needs no file or script beside it."""
    blocks = [(block, _shown(block)) for block in record["blocks"]]
    heights = [_HEAD + _LANE * len(rows) + _GAP for _, rows in blocks]
    height = sum(heights) + _FOOT
    parts = list(_grid(height))
    top = 0
    for (block, rows), tall in zip(blocks, heights, strict=True):
        parts += _panel(block, rows, top)
        top += tall
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="Reward accuracy by row">\n<style>{_STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _shown(block: Record) -> list[Record]:
    """Rows that have the figure; without context there is none."""
    return [
        row
        for row in block["rows"]
        if row["context"] != NO_CONTEXT and row["reward_accuracy"] is not None
    ]


def _panel(block: Record, rows: Sequence[Record], top: int) -> Iterator[str]:
    title = f"{block['family']}, {block['generator']}: {block['users']} users"
    yield _text(10, top + 22, title, "start", "head")
    yield _text(_WIDTH - 10, top + 22, "tokens", "end", "note")
    for number, row in enumerate(rows):
        y = top + _HEAD + _LANE * (number + 0.5)
        accuracy = row["reward_accuracy"]
        yield _text(_LEFT - 12, y + 4, TITLES[row["context"]], "end")
        if accuracy["low"] is not None and accuracy["high"] is not None:
            low, high = _x(accuracy["low"]), _x(accuracy["high"])
            yield f'<path d="M{low} {y}H{high}" class="reach"/>'
        yield f'<circle cx="{_x(accuracy["mean"])}" cy="{y}" r="5"/>'
        yield _text(_WIDTH - _RIGHT + 10, y + 4, f"{accuracy['mean']:.0%}", "start")
        yield _text(_WIDTH - 10, y + 4, f"{row['tokens_median']:.0f}", "end", "note")


def _grid(height: int) -> Iterator[str]:
    bottom = height - _FOOT
    for percent in range(0, 101, 25):
        kind = "chance" if percent == 50 else "grid"
        yield f'<path d="M{_x(percent / 100)} {_HEAD}V{bottom}" class="{kind}"/>'
        yield _text(_x(percent / 100), bottom + 16, f"{percent}%", "middle", "note")
    yield _text(10, bottom + 16, "reward accuracy", "start", "note")


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _RIGHT - _LEFT), 1)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
