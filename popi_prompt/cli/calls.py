"""Model calls for people: one line each or whole, then what they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from popi_prompt.cli.render import moment, plain, stdout
from popi_prompt.models.call import Call, Totals, totals

_PREVIEW = 60


def print_calls(calls: Iterable[Call], full: bool) -> None:
    """Each call as it is read, then the summary by role."""
    console = stdout()
    by_role: dict[str, list[Call]] = {}
    for call in calls:
        by_role.setdefault(call.role, []).append(_light(call))
        console.print(_line(call, preview=not full))
        if full:
            _print_whole(console, call)
    if not by_role:
        console.print("No call matches.")
        return
    _print_summary(console, by_role)


def _light(call: Call) -> Call:
    """The call without its texts: a trace may be larger than memory."""
    return replace(call, messages=(), answer=None)


def _line(call: Call, *, preview: bool) -> Text:
    outcome = "cached" if call.cached else f"{call.seconds:.2f}s"
    parts = [
        (moment(call.started)[11:], "dim"),
        (f"{call.role:<9}", "bold"),
        (call.model, ""),
        (call.kind, ""),
        (f"{call.tokens_in}+{call.tokens_out} tokens", ""),
        (outcome, "cyan" if call.cached else ""),
        ("" if call.cached else _usd(call.usd), ""),
        (f"{call.retries} retries" if call.retries else "", "yellow"),
        ("" if call.user_id is None else f"user {call.user_id}", ""),
        ("" if call.candidate is None else f"candidate {call.candidate}", ""),
    ]
    if call.error is not None:
        parts.append((f"FAILED {call.error}", "red"))
    elif preview:
        parts.append((_preview(call), "green"))
    shown = [(" ".join(plain(text).split("\n")), style) for text, style in parts if text]
    return Text("  ").join(Text(text, style) for text, style in shown)


def _preview(call: Call) -> str:
    text = " ".join(_answer(call)[: 4 * _PREVIEW].split())
    return f"-> {text if len(text) <= _PREVIEW else text[:_PREVIEW] + '...'}"


def _answer(call: Call) -> str:
    if call.answer is None or isinstance(call.answer, str):
        return call.answer or ""
    return ", ".join(f"{each:.4g}" for each in call.answer)


def _print_whole(console: Console, call: Call) -> None:
    texts: list[tuple[str, str]] = [(each.role, each.content) for each in call.messages]
    if call.answer is not None:
        texts.append(("answer", _answer(call)))
    for name, text in texts:
        console.print(Text(f"  {name}", "bold"))
        console.print(Text("\n".join(f"    {line}" for line in plain(text).split("\n"))))
    console.print()


def _print_summary(console: Console, by_role: dict[str, list[Call]]) -> None:
    table = Table(title="What the calls add up to", title_justify="left")
    table.add_column("role")
    for name in ("calls", "cached", "failed", "tokens in", "tokens out", "USD", "seconds"):
        table.add_column(name, justify="right")
    for role, calls in by_role.items():
        table.add_row(*_cells(plain(role), totals(calls)))
    whole = totals(call for calls in by_role.values() for call in calls)
    table.add_section()
    table.add_row(*_cells("all", whole))
    console.print(table)
    console.print("Tokens, USD and seconds are of calls that were sent, not of cached ones.")
    if whole.unpriced:
        console.print(f"The price of {whole.unpriced} sent calls is unknown and not in the sum.")
    for kind, count in sorted(whole.failures.items()):
        console.print(f"failed {count}: {plain(kind)}", markup=False)


def _cells(name: str, of: Totals) -> tuple[str | Text, ...]:
    priced = of.calls - of.cached - of.unpriced
    return (
        Text(name),
        f"{of.calls}",
        f"{of.cached} ({of.cached / of.calls:.0%})",
        f"{sum(of.failures.values())}",
        f"{of.tokens_in}",
        f"{of.tokens_out}",
        "unknown" if of.unpriced and not priced else f"{of.usd:.4f}{'+' if of.unpriced else ''}",
        f"{of.seconds:.1f}",
    )


def _usd(usd: float | None) -> str:
    return "$ unknown" if usd is None else f"${usd:.6f}"
