"""A benchmark's record as Markdown: reward accuracy at a glance, then every block in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from popi_prompt.rows import COMPILED, NO_CONTEXT, TITLES

Record = Mapping[str, Any]


def markdown(record: Record, command: str) -> str:
    """The whole document. `record` is a benchmark's; `command` is what made it."""
    return "\n".join(_lines(record, command)) + "\n"


def _lines(record: Record, command: str) -> Iterator[str]:
    yield f"# Benchmark\n\n    {command}\n"
    if record["stopped"] is not None:
        yield f"**Not complete: {record['stopped']}.** The same command goes on.\n"
    yield (
        "Users are the held-out part of the data that a program was compiled from, or all users of "
        "other data.\nReward accuracy: share of pairs that the text moves towards the answer the "
        "person chose (D > 0,\nchance 50%). Brackets are 95% intervals over users; "
        "differences are paired.\n"
    )
    yield from _at_a_glance(record["blocks"])
    for block in record["blocks"]:
        yield from _block(block)


def _at_a_glance(blocks: Sequence[Record]) -> Iterator[str]:
    names = [
        name
        for name in TITLES
        if name != NO_CONTEXT and any(_row(block, name) is not None for block in blocks)
    ]
    yield "## Reward accuracy\n"
    yield _line("family", "generator", "users", *(TITLES[name] for name in names))
    yield _line(*["---"] * (len(names) + 3))
    for block in blocks:
        rows = [_row(block, name) for name in names]
        shares = ["-" if row is None else _mean(row["reward_accuracy"]) for row in rows]
        yield _line(block["family"], block["generator"], block["users"], *shares)
    yield ""


def _block(block: Record) -> Iterator[str]:
    yield f"## {block['family']}, {block['generator']}\n"
    program = block["program"] or "none"
    summaries = f"summaries by {block['inference']}" if block["inference"] else "no summaries"
    yield (
        f"{block['users']} held-out users, D in {block['unit']} by {block['scorer']}; {summaries}, "
        f"program {program}; {block['seconds']:.0f} s.\n"
    )
    prefers = [key for key in block["prefers"] if any(row[key] for row in block["rows"])]
    yield _line(
        *("told", "reward accuracy", "D"),
        *(key.replace("_", " ") for key in prefers),
        *("tokens", "calls", "USD", "failed"),
    )
    yield _line(*["---"] * (len(prefers) + 7))
    for row in block["rows"]:
        yield _line(
            TITLES[row["context"]],
            _share(row["reward_accuracy"]),
            "0 (reference)" if row["context"] == NO_CONTEXT else _signed(row["margin"]),
            *(_share(row[key]) for key in prefers),
            "-" if row["tokens_median"] is None else f"{row['tokens_median']:.0f}",
            row["calls"],
            "unknown" if row["usd"] is None else f"{row['usd']:.4f}",
            len(row["failures"]),
        )
    yield ""
    yield from _compared(block)


def _compared(block: Record) -> Iterator[str]:
    own = _row(block, COMPILED)
    if own is None:
        return
    for other in ("untuned", "raw"):
        found, row = own[f"against_{other}"], _row(block, other)
        if found is None or row is None or not row["tokens_median"]:
            continue
        yield (
            f"- {TITLES[COMPILED]} minus {TITLES[other]}: D {_signed(found['margin'])}, reward "
            f"accuracy {_points(found['reward_accuracy'])} points, with "
            f"{own['tokens_median'] / row['tokens_median']:.0%} of its tokens; "
            f"{found['helped']} users helped, {found['harmed']} harmed."
        )
    yield ""


def _row(block: Record, name: str) -> Record | None:
    return next((row for row in block["rows"] if row["context"] == name), None)


def _line(*cells: object) -> str:
    return "| " + " | ".join(" ".join(str(cell).replace("|", "/").split()) for cell in cells) + " |"


def _mean(figure: Record | None) -> str:
    return "-" if figure is None or figure["mean"] is None else f"{figure['mean']:.1%}"


def _share(figure: Record | None) -> str:
    return _mean(figure) + _bounds(figure, 100, "{:.1f}")


def _signed(figure: Record | None) -> str:
    return "-" if figure is None else f"{figure['mean']:+.2f}" + _bounds(figure, 1, "{:+.2f}")


def _points(figure: Record | None) -> str:
    if figure is None:
        return "-"
    return f"{100 * figure['mean']:+.1f}" + _bounds(figure, 100, "{:+.1f}")


def _bounds(figure: Record | None, times: float, form: str) -> str:
    if figure is None or figure["low"] is None or figure["high"] is None:
        return ""
    return f" [{form.format(times * figure['low'])}, {form.format(times * figure['high'])}]"
