"""What a round of the search tries first."""

from __future__ import annotations

from popi_prompt.optimizers.space import Choice, Space
from popi_prompt.prompts import VIEWS
from popi_prompt.starting_points import DIRECT


def openings(space: Space, fresh: Space, before: int, trials: int) -> list[Choice]:
    """The best set of demonstrations in the cheaper view, the untuned program, other sets.

    Where there is a menu they choose from it; so does the untuned instruction without any, which
    reads the least, and the best set is tried as a writer, too.
    The untuned program reads and writes the most: it comes when there is something that it can be
    compared with, so that a few users decide. Later rounds, for which `space` had more than the
    empty set `before` the `fresh` ones, open with what they have that is new. The
    direct instruction is tried with the last set (of own summaries, if there are any); alone it is
    a starting point.
    """
    untuned = dict.fromkeys(space.sizes, 0)
    best = fresh.conditionings[min(1, len(fresh.conditionings) - 1)]
    liked = {
        **untuned,
        "view": VIEWS.index("liked"),
        "conditioning": space.conditionings.index(best),
    }
    shown = [
        {**liked, "demonstrations": i, "menu": space.menu_of(space.sets[i])}
        for i in range(before, len(space.sets))
    ]
    if fresh.menus[1:]:
        alone = {**liked, "menu": space.menus.index(fresh.menus[-1])}
        shown = [*shown[:1], alone, *({**each, "menu": 0} for each in shown[:1]), *shown[1:]]
    if shown and DIRECT in fresh.instructions:
        shown.append({**shown[-1], "instruction": space.instructions.index(DIRECT)})
    if before > 1:
        return shown[:trials]
    return [*shown[:1], untuned, *shown[1:]][:trials] if trials > 1 else [untuned]
