"""ELIX, Review and Roleplay as published with FSPO: preferences of levels and personas, no people.

Formats on the Hugging Face Hub: `Asap7772/elix_generations_gpt4omini_pref` and
`Asap7772/steered_reviews_full_autolabel_gpt4o_pref` with the columns prompt, response_x,
response_y, label (0: x is better) and scorer_level; `sher222/persona-iterative-responses` with x,
yw, yl, level and score_persona. Other columns are not used.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from popi_prompt.errors import UsageError
from popi_prompt.importers.held_out import rank
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row, whole
from popi_prompt.importers.tables import read_rows
from popi_prompt.schema import Pair, Preference, User

NO_LABEL = "rows whose label says neither answer"
EMPTY = "rows with an empty prompt or answer, or the same answer twice"
TOO_FEW = "rows left when they were too few for another user"
_REVIEWS = ("positive", "negative", "concise", "verbose")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A pair and whose it is: the level, and what is known of it."""

    level: str
    gold: str
    pair: tuple[str, str, str]


@dataclass(slots=True)
class Lane:
    """Rows of one level with a prompt each that is not there twice, in order of arrival."""

    gold: str
    learn: deque[tuple[str, str, str]] = field(default_factory=deque)
    measure: deque[tuple[str, str, str]] = field(default_factory=deque)


def read_fspo(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Rows of a level are dealt to users of that level, as many as they give.

    No row is used twice, no user has a prompt twice, and a prompt that is held out of one user is
    a signal of none.
    """
    signals, pairs = wanted.signals or 0, wanted.pairs or 0
    if not signals or not pairs:
        raise UsageError("fspo deals rows to users of --signals and --pairs above 0")
    lanes: dict[tuple[str, int], Lane] = {}
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    made: Counter[str] = Counter()
    for labelled in _labelled(files, left_out):
        # A number in place of the prompt: of the file no more is held than waits for a user.
        prompt = rank(labelled.pair[0], wanted.seed)
        # The n-th time that a level has a prompt, the row goes to its n-th lane.
        times = seen[labelled.level]
        lane = lanes.setdefault((labelled.level, times[prompt]), Lane(labelled.gold))
        times[prompt] += 1
        measured = prompt % (signals + pairs) < pairs
        (lane.measure if measured else lane.learn).append(labelled.pair)
        if len(lane.learn) >= signals and len(lane.measure) >= pairs:
            yield _user(labelled.level, made, lane, signals, pairs)
    for (level, _), lane in lanes.items():
        if lane.learn and lane.measure:
            yield _user(level, made, lane, signals, pairs)
        left_out[TOO_FEW] += len(lane.learn) + len(lane.measure)


def _user(level: str, made: Counter[str], lane: Lane, signals: int, pairs: int) -> User:
    number = made[level]
    made[level] += 1
    return User(
        f"{level}-{number:05d}",
        tuple(Preference(*lane.learn.popleft()) for _ in range(min(signals, len(lane.learn)))),
        tuple(Pair(*lane.measure.popleft()) for _ in range(min(pairs, len(lane.measure)))),
        gold=lane.gold,
        group=level,
    )


def _labelled(files: Sequence[str], left_out: Counter[str]) -> Iterator[Labelled]:
    for source in files:
        for row in read_rows(source):
            if row.values.keys() & {"yw", "yl"}:
                prompt, chosen, rejected = (row.text(key) for key in ("x", "yw", "yl"))
                level = row.label("level")
                gold = row.text("score_persona") if "score_persona" in row.values else ""
            else:
                label = _label(row)
                if label is None:
                    left_out[NO_LABEL] += 1
                    continue
                sides = ("response_x", "response_y")
                prompt = row.text("prompt")
                chosen, rejected = (row.text(sides[side]) for side in (label, 1 - label))
                level = row.label("scorer_level")
                gold = ""
            if not (prompt and chosen and rejected) or chosen.strip() == rejected.strip():
                left_out[EMPTY] += 1
            else:
                yield Labelled(level, gold or _gold(level), (prompt, chosen, rejected))


def _label(row: Row) -> int | None:
    """0 if the first answer is better, 1 if the second is; None for ties and gaps."""
    value = row.get("label", "det_choice")
    if isinstance(value, str):
        value = {"0": 0, "1": 1}.get(whole(value.strip()), value)
    if isinstance(value, bool) or (value is not None and not isinstance(value, int | float)):
        raise row.error(f"the label is {value!r:.60}, expected 0 or 1")
    return int(value) if value in (0, 1) else None


def _gold(level: str) -> str:
    parts = level.split("+")
    if all(part in _REVIEWS for part in parts):
        return f"This user prefers {' and '.join(parts)} reviews."
    return f"The user is {level}."
