"""Portrait: a summary put together from statements, by what a person's choices say for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Line:
    """A statement that a summary may hold, and what evidence for it is worth.

    Of a `dimension` no more than one is told. `level` is the evidence for it beyond that for the
    other lines of its dimension, in nats, `usual` its mean over training users. Who is told it
    gains `base + slope * (level - usual)` of reward, as far as training users say.
    """

    dimension: str
    text: str
    usual: float
    slope: float
    base: float

    def gain(self, level: float) -> float:
        """The expected gain of somebody with this level."""
        return self.base + self.slope * (level - self.usual)


@dataclass(frozen=True, slots=True)
class Portrait:
    """Lines of which a summary is made, at most so many, `most`.

    Evidence is that of `model`: see `evidence`. Where another one infers, it writes.
    """

    model: str
    lines: tuple[Line, ...]
    most: int

    @property
    def summaries(self) -> tuple[str, ...]:
        """Every text that it may tell."""
        return tuple(line.text for line in self.lines)

    def compose(self, evidence: Sequence[float]) -> str:
        """The summary of somebody with this evidence for each line."""
        told = self.told(levels([line.dimension for line in self.lines], evidence))
        return " ".join(line.text for line in told)

    def told(self, found: Sequence[float]) -> tuple[Line, ...]:
        """The lines of somebody with these levels.

        They come in the portrait's order: the same few make the same summary. Where nothing
        promises a gain, it is the line that promises to cost least.
        """
        gains = [line.gain(level) for line, level in zip(self.lines, found, strict=True)]
        chosen: dict[str, int] = {}
        for i in sorted(range(len(gains)), key=gains.__getitem__, reverse=True):
            promising = gains[i] > 0 or not chosen
            if promising and len(chosen) < self.most:
                chosen.setdefault(self.lines[i].dimension, i)
        return tuple(self.lines[i] for i in sorted(chosen.values()))

    def without_the_rare(self, people: Sequence[Sequence[float]], share: float) -> Portrait:
        """Only dimensions of which more than this share of people are told something.

        `people` has their levels. Every line costs calls to weigh it, told or not.
        """
        times = Counter(line.dimension for found in people for line in self.told(found))
        often = {name for name, count in times.items() if count > share * len(people)}
        kept = tuple(line for line in self.lines if line.dimension in often)
        return replace(self, lines=kept) if kept else self


def levels(dimensions: Sequence[str], evidence: Sequence[float]) -> list[float]:
    """Of each line: its evidence less the mean of the others of its dimension; 0 without others.

    What any instruction does to a model, the right one and its opposite alike, is no evidence.
    """
    found = []
    for i, own in enumerate(evidence):
        others = [
            evidence[j]
            for j, dimension in enumerate(dimensions)
            if j != i and dimension == dimensions[i]
        ]
        found.append(own - sum(others) / len(others) if others else 0.0)
    return found
