"""What may be in a program: no text of users who measure it, and of none where demos are synthetic.

Compared are six words in a row, without case and punctuation, twelve in demonstrations of real
users. A name, or anything else shorter than that, is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Demonstration, Demos
from popi_prompt.errors import PrivacyError
from popi_prompt.ngrams import RUN, Runs
from popi_prompt.schema import User, texts_in_pairs, texts_in_signals
from popi_prompt.split import Split

MOST_CHARACTERS = 2_000  # of any instruction
# Words in a row that a demonstration of a real user may not share: six are often "edit this passage
# to make it", which many prompts begin with, or how a small model begins what it says of anybody.
_COPIED_REAL = 12


@dataclass(frozen=True, slots=True)
class Guard:
    """Keeps texts out of candidates. The default one lets all through but endless instructions.

    `written` is what no instruction and no new summary may repeat, `shown` and `summarized` what
    signals and summary of a demonstration may not. `users` counts those whose texts are in
    `written`.
    """

    demos: Demos = "real"
    written: Runs = field(default_factory=Runs)
    shown: Runs = field(default_factory=Runs)
    summarized: Runs = field(default_factory=Runs)
    users: int = 0

    def allows(self, text: str) -> bool:
        """Whether an instruction or a summary repeats nothing."""
        return not self.written.shared(text)

    def allows_instruction(self, text: str) -> bool:
        """Whether it is short enough and repeats nothing."""
        return len(text) <= MOST_CHARACTERS and self.allows(text)

    def allows_user(self, user: User) -> bool:
        """Whether the signals may be a demonstration."""
        return not any(self.shown.shared(text) for text in texts_in_signals(user))

    def screened(self, candidate: Candidate) -> Candidate:
        """Without what may not be shown; the untuned instruction for a bad one.

        The priors of a menu are those of a prompt: with another one there is no menu.
        """
        instruction = candidate.instruction
        if not self.allows_instruction(instruction):
            instruction = UNTUNED_CANDIDATE.instruction
        kept = tuple(demo for demo in candidate.demonstrations if self.allows_demonstration(demo))
        menu = candidate.menu
        changed = (instruction, kept) != (candidate.instruction, candidate.demonstrations)
        if menu and (changed or any(map(self.summarized.shared, menu.summaries))):
            menu = None
        return replace(candidate, instruction=instruction, demonstrations=kept, menu=menu)

    def allows_demonstration(self, demo: Demonstration) -> bool:
        """Whether neither its signals nor its summary repeat what they may not."""
        return not (self.shown.shared(demo.signals) or self.summarized.shared(demo.summary))

    def prove(self, candidate: Candidate) -> None:
        """Raise `PrivacyError` unless no text of it shares a run with any user, if synthetic."""
        if self.demos != "synthetic":
            return
        for part, text in _parts(candidate):
            shared = self.written.shared(text)
            if shared:
                raise PrivacyError(
                    f"the {part} of the program shares {shared} runs of {RUN} words with texts of "
                    f"the {self.users} users, so nothing is written; leave out users who quote it, "
                    "or allow their text with --demos real"
                )


def _parts(candidate: Candidate) -> Iterator[tuple[str, str]]:
    yield "instruction", candidate.instruction
    yield "conditioning", candidate.conditioning.wording
    for i, demo in enumerate(candidate.demonstrations, start=1):
        yield f"demonstration {i}", demo.signals
        yield f"summary {i}", demo.summary
    for i, summary in enumerate(candidate.menu.summaries if candidate.menu else (), start=1):
        yield f"summary {i} of the menu", summary


def make_guard(demos: Demos | None, everyone: Sequence[User], split: Split) -> Guard:
    """By default demos are real where every user is marked public, else synthetic.

    Synthetic: no text may repeat signals or pairs of anybody. Real: no instruction or summary may
    repeat those of users to choose by or held out, and no demonstration's signals their pairs;
    signals of different users are often about the same prompts. Raises `PrivacyError` where a user
    quotes the untuned program, which could not be written.
    """
    kind = demos_of(demos, everyone)
    if kind == "synthetic":
        of_all = Runs(_texts(everyone))
        guard = Guard(kind, of_all, of_all, of_all, len(everyone))
        guard.prove(UNTUNED_CANDIDATE)
        return guard
    measuring = (*split.val, *split.test)
    pairs = Runs((text for user in measuring for text in texts_in_pairs(user)), _COPIED_REAL)
    summarized = Runs(_texts(measuring), _COPIED_REAL)
    return Guard(kind, Runs(_texts(measuring)), pairs, summarized, len(measuring))


def demos_of(demos: Demos | None, users: Sequence[User]) -> Demos:
    """As told, else real where every user is marked public."""
    return demos or ("real" if all(user.public for user in users) else "synthetic")


def _texts(users: Iterable[User]) -> Iterator[str]:
    for user in users:
        yield from texts_in_signals(user)
        yield from texts_in_pairs(user)
