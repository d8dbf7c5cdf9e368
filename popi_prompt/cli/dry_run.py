"""An estimate for people and as JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from popi_prompt.cli.render import print_json, stdout
from popi_prompt.estimate import Estimate, RoleEstimate
from popi_prompt.models.spent import Caps, shown


def print_estimate(found: Estimate, caps: Caps, as_json: bool) -> None:
    """By role and in all, whether it fits the caps, and what was assumed."""
    if as_json:
        print_json(
            {**found.as_record(), "caps": [_cap_record(*each) for each in _caps(found, caps)]}
        )
        return
    table = Table(title="What the run would take; nothing was sent", title_justify="left")
    table.add_column("role")
    for name in ("calls", "cached", "tokens in", "tokens out", "USD", "time"):
        table.add_column(name, justify="right")
    for role, each in found.roles.items():
        table.add_row(*_cells(role, each))
    table.add_section()
    table.add_row(*_cells("all", found.total))
    console = stdout()
    console.print(table)
    for name, amount, cap in _caps(found, caps):
        console.print(_verdict(name, amount, cap))
    for text in found.shortfalls:
        console.print(f"Too small: {text}.", markup=False)
    console.print(f"Assumed: {'; '.join(found.assumptions)}.", markup=False)


def _caps(found: Estimate, caps: Caps) -> list[tuple[str, float | None, float]]:
    return list(found.against(caps))


def _cap_record(name: str, amount: float | None, cap: float) -> dict[str, Any]:
    fits = None if amount is None else amount <= cap
    return {"cap": name, "limit": cap, "estimate": amount, "fits": fits}


def _verdict(name: str, amount: float | None, cap: float) -> str:
    limit = f"the cap of {shown(name, cap)}"
    if amount is None:
        return f"A price is unknown, so {limit} cannot be checked: the run would refuse it."
    if amount > cap:
        return f"{shown(name, amount)} exceed {limit}: the run would end early."
    return f"{shown(name, amount)} fit {limit}."


def _cells(name: str, of: RoleEstimate) -> tuple[str, ...]:
    usd = "unknown" if of.usd is None else f"{of.usd:.4f}"
    return (
        name,
        f"{of.calls}",
        f"{of.cached}",
        f"{of.tokens_in}",
        f"{of.tokens_out}",
        usd,
        _duration(of.seconds),
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
