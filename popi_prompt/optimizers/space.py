"""The search space of the POPI optimizer: what a candidate is a combination of."""

from __future__ import annotations

from dataclasses import dataclass

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.models.door import Door
from popi_prompt.optimizers.calibration import Calibration
from popi_prompt.optimizers.demonstrations import DemonstrationSet, fits
from popi_prompt.prompts import LENGTH_TARGETS, UNTUNED_CONDITIONING, VIEWS, Conditioning

Choice = dict[str, int]
LENGTHS = tuple(LENGTH_TARGETS)


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of the search; index 0 of each is the untuned program's."""

    instructions: tuple[str, ...] = (UNTUNED_CANDIDATE.instruction,)
    sets: tuple[DemonstrationSet, ...] = (DemonstrationSet(()),)
    conditionings: tuple[Conditioning, ...] = (UNTUNED_CONDITIONING,)
    menus: tuple[Calibration, ...] = (Calibration(),)

    @property
    def sizes(self) -> Choice:
        """How many choices each name of `candidate` has."""
        return {
            "instruction": len(self.instructions),
            "demonstrations": len(self.sets),
            "view": len(VIEWS),
            "conditioning": len(self.conditionings),
            "length": len(LENGTHS),
            "menu": len(self.menus),
        }

    def joined(self, other: Space) -> Space:
        """With what is new in the other one at the ends, so that indices stay what they are."""
        return Space(
            tuple(dict.fromkeys((*self.instructions, *other.instructions))),
            tuple(dict.fromkeys((*self.sets, *other.sets))),
            tuple(dict.fromkeys((*self.conditionings, *other.conditionings))),
            tuple(dict.fromkeys((*self.menus, *other.menus))),
        )

    def started(self, start: Candidate) -> tuple[Space, Choice]:
        """With what is new in a candidate without demonstrations; and the choices that make it."""
        grown = self.joined(Space((start.instruction,), (), (start.conditioning,)))
        return grown, {
            **dict.fromkeys(self.sizes, 0),
            "instruction": grown.instructions.index(start.instruction),
            "view": VIEWS.index(start.view),
            "conditioning": grown.conditionings.index(start.conditioning),
        }

    def allows(self, chosen: Choice, door: Door) -> bool:
        """Whether the chosen demonstrations fit a small context in the chosen view."""
        return fits(self.sets[chosen["demonstrations"]], VIEWS[chosen["view"]], door)

    def candidate(self, chosen: Choice) -> Candidate:
        """The combination of these choices, by index; its menu is not calibrated yet."""
        view = VIEWS[chosen["view"]]
        target = LENGTH_TARGETS[LENGTHS[chosen["length"]]]
        instruction = self.instructions[chosen["instruction"]]
        return Candidate(
            instruction=f"{instruction} {target}" if target else instruction,
            demonstrations=self.sets[chosen["demonstrations"]].rendered(view),
            view=view,
            conditioning=self.conditionings[chosen["conditioning"]],
        )

    def calibrated(self, chosen: Choice, door: Door) -> Candidate:
        """The same with its menu."""
        return self.menus[chosen["menu"]].of(self.candidate(chosen), door)

    def menu_of(self, examples: DemonstrationSet) -> int:
        """The newest menu with all summaries of a set; 0, which is none, where there is none."""
        shown = {text for _, text in examples.examples}
        having = (i for i, menu in enumerate(self.menus) if shown <= set(menu.summaries))
        return max(having, default=0)

    def described(self, chosen: Choice) -> dict[str, str | int]:
        """The choices for people and for records: names where there are some, else indices."""
        return {
            **chosen,
            "view": VIEWS[chosen["view"]],
            "length": LENGTHS[chosen["length"]],
        }
