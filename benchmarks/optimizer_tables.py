"""The tables and the curves of `optimizers.py`, from its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from popi_prompt.cli.render import stdout
from popi_prompt.intervals import Interval, bootstrap

mpl.use("Agg")

FIGURES = {"margin": (-inf, inf), "reward_accuracy": (0.0, 1.0), "tokens": (0.0, inf)}

Record = dict[str, Any]


def figure(
    record: Record, seeds: Sequence[int], figure: str, name: str, minus: str | None = None
) -> Interval:
    """Mean over users of what was found last, or of its paired difference from another's.

    A user who is held out under several seeds counts once, with the mean.
    """
    by_user: dict[str, list[float]] = {}
    for seed in seeds:
        mine = _last(record, name, seed)
        other = _last(record, minus, seed) if minus is not None else mine
        for place, values in mine.items():
            theirs = other.get(place)
            if values is None or theirs is None:
                continue
            base = theirs[figure] if minus is not None else 0.0
            by_user.setdefault(place, []).append(values[figure] - base)
    means = [float(np.mean(by_user[place])) for place in sorted(by_user, key=int)]
    return bootstrap(means) if minus is not None else bootstrap(means, *FIGURES[figure])


def _last(record: Record, name: str, seed: int) -> dict[str, Record | None]:
    found: dict[str, Record | None] = record["runs"][f"{name} {seed}"]["curve"][-1]["held_out"]
    return found


def reached(record: Record, name: str, other: str, seed: int) -> Record | None:
    """Where `name` first had the last validation reward of `other`, in calls and tokens.

    None where it never did, or where `other` scored nothing.
    """
    target = last_reward(record, other, seed)
    if target is None:
        return None
    scored = (each for each in _curve(record, name, seed) if each["validation_reward"] is not None)
    return next((each for each in scored if each["validation_reward"] >= target), None)


def last_reward(record: Record, name: str, seed: int) -> float | None:
    """The validation reward of what was kept last; before anything is taken out by the guard."""
    found: float | None = _curve(record, name, seed)[-1]["validation_reward"]
    return found


def _curve(record: Record, name: str, seed: int) -> list[Record]:
    found: list[Record] = record["runs"][f"{name} {seed}"]["curve"]
    return found


def print_tables(record: Record, seeds: Sequence[int], names: Sequence[str]) -> None:
    """Means, paired differences from the first one, and every seed for itself."""
    settings, users = record["settings"], len(_last(record, names[0], seeds[0]))
    cap = f"{settings['max_calls']:,} calls" if settings["max_calls"] else "no cap in calls"
    times = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    title = f"{users} held-out users a seed, {times}, {cap}"
    found = _table(title, "optimizer", "tokens paid", "failed")
    for name in names:
        paid = sum(record["runs"][f"{name} {seed}"]["tokens"] for seed in seeds)
        failed = sum(each is None for seed in seeds for each in _last(record, name, seed).values())
        found.add_row(name, *_cells(record, seeds, name), f"{paid:,}", str(failed))
    gaps = _table(f"{names[0]} minus", "optimizer")
    for other in names[1:]:
        gaps.add_row(other, *_cells(record, seeds, names[0], other))
    console = stdout()
    console.print(found)
    if len(names) > 1:
        console.print(gaps)
    console.print(_by_seed(record, seeds, names))


def _by_seed(record: Record, seeds: Sequence[int], names: Sequence[str]) -> Table:
    """What each run ended with, and what the first one needed for another's validation reward."""
    table = Table(title="by seed", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    share = f"{names[0]} has it after"
    for column in ("optimizer", "seed", "moved to chosen", "validation reward", "calls", share):
        table.add_column(column, justify="left" if column == "optimizer" else "right")
    for name in names:
        for seed in seeds:
            run, reward = record["runs"][f"{name} {seed}"], last_reward(record, name, seed)
            held_out = [each for each in _last(record, name, seed).values() if each is not None]
            accuracy = np.mean([each["reward_accuracy"] for each in held_out])
            at = reached(record, names[0], name, seed)
            needed = (
                "never"
                if at is None
                else f"{at['calls']} calls ({at['calls'] / run['calls']:.0%}), "
                f"{at['tokens'] / run['tokens']:.0%} of the tokens"
            )
            shown = "-" if reward is None else f"{reward:.2f}"
            table.add_row(
                name,
                str(seed),
                f"{accuracy:.1%}",
                shown,
                f"{run['calls']:,}",
                "" if name == names[0] else needed,
            )
    return table


def _table(title: str, first: str, *more: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for column in ("D", "moved to chosen", "tokens inserted", *more):
        table.add_column(column, justify="right")
    return table


def _cells(
    record: Record, seeds: Sequence[int], name: str, minus: str | None = None
) -> Iterator[str]:
    """Means with their intervals, for a row of a table."""
    sign = "" if minus is None else "+"
    formats: dict[str, Callable[[float], str]] = {
        "margin": lambda value: f"{value:+.2f}",
        "reward_accuracy": lambda value: f"{value:{sign}.1%}",
        "tokens": lambda value: f"{value:{sign}.1f}",
    }
    for each, shown in formats.items():
        found = figure(record, seeds, each, name, minus)
        yield f"{shown(found.mean)} \\[{shown(found.low)}, {shown(found.high)}]"


def plot(record: Record, seeds: Sequence[int], names: Sequence[str], path: Path) -> None:
    """Held-out means against calls: a thin line a seed, a thick one for their mean."""
    from matplotlib import pyplot

    panels = {"margin": "mean D on held-out users, nats", "reward_accuracy": "reward accuracy"}
    drawn, axes = pyplot.subplots(1, len(panels), figsize=(11, 4.2), layout="constrained")
    most = max(record["runs"][f"{name} {seed}"]["calls"] for name in names for seed in seeds)
    grid = np.arange(most + 1)
    for axis, (each, label) in zip(axes, panels.items(), strict=True):
        for i, name in enumerate(names):
            lines = [_line(_curve(record, name, seed), each, grid) for seed in seeds]
            for line in lines:
                axis.plot(grid, line, color=f"C{i}", linewidth=0.6, alpha=0.5)
            axis.plot(grid, np.mean(lines, axis=0), color=f"C{i}", linewidth=2, label=name)
        axis.set_xlabel("calls spent on the search")
        axis.set_ylabel(label)
    axes[0].legend()
    drawn.savefig(path, dpi=120)
    pyplot.close(drawn)


def _line(curve: Sequence[Record], each: str, grid: Any) -> Any:
    """The held-out mean of what was kept last, after so many calls."""
    means = [
        np.mean([values[each] for values in kept["held_out"].values() if values is not None])
        for kept in curve
    ]
    starts = [kept["calls"] for kept in curve]
    return np.array(means)[np.searchsorted(starts, grid, side="right") - 1]
