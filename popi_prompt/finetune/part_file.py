"""Writes one training file, a line at a time, and counts what went in and what did not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from popi_prompt.files import writing
from popi_prompt.finetune.examples import Chooser, Example, Gap, gap
from popi_prompt.finetune.formats import Format
from popi_prompt.finetune.report import PartReport, Tokens, gaps_of
from popi_prompt.finetune.samples import user_key
from popi_prompt.finetune.samples_file import SamplesFile
from popi_prompt.schema import User

Count = Callable[[str], int]

# JSON allows them within a line, some readers end a line there.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where lines come from: the samples, the choice among them, the format, the tokenizer."""

    store: SamplesFile
    draws: int
    chooser: Chooser
    format: Format
    count: Count | None
    price: float | None = None

    def write(self, users: Sequence[User], path: Path) -> PartReport:
        """The file of these users: private, whole or not at all, none without examples."""
        part = _Part(self)
        written = _save(part.lines(users), path)
        tokens = Tokens(part.prompts, part.answers).priced(self.price)
        return PartReport(
            output=path if written else None,
            users=len(users),
            examples=part.examples,
            left_out=dict(part.left_out),
            missed=dict(part.missed),
            tokens=None if self.count is None else tokens,
            gaps=gaps_of(part.gaps),
            completions=part.completions,
            repeats=part.repeats,
        )


@dataclass(slots=True)
class _Part:
    """What is counted while lines are made."""

    source: Source
    examples: int = 0
    completions: int = 0
    repeats: int = 0
    prompts: int = 0
    answers: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    gaps: list[Gap] = field(default_factory=list)

    def lines(self, users: Iterable[User]) -> Iterator[str]:
        """One for each user who has an example."""
        source = self.source
        for user in users:
            drawn = source.store.get(user.user_id, user_key(user)).first(source.draws)
            self.missed.update(each.error for each in drawn.missed)
            usable = source.chooser.usable(drawn)
            ahead = gap(usable)
            if ahead is not None:
                self.gaps.append(ahead)
            example = source.chooser.choose(user, drawn, usable)
            if isinstance(example, str):
                self.left_out[example] += 1
                continue
            self._note(example)
            yield _line(source.format.record(example))

    def _note(self, example: Example) -> None:
        source = self.source
        self.examples += 1
        self.completions += len(example.completions)
        self.repeats += sum(map(source.chooser.copies.holds, example.completions))
        if source.count is not None:
            self.prompts += sum(source.count(message.content) for message in example.messages)
            self.answers += sum(map(source.count, example.completions))


def _save(lines: Iterator[str], path: Path) -> bool:
    """Whether there was a line."""
    first = next(lines, None)
    if first is None:
        return False
    with writing(path, private=True) as file:
        file.write(first)
        file.writelines(lines)
    return True


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False).translate(_LINE_ENDS) + "\n"
