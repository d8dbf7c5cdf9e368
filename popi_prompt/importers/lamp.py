"""LaMP: questions with the asking user's profile, and the outputs the user wrote or chose.

Format: lamp-benchmark.github.io: `*_questions.json` is a JSON array of id, input and profile;
`*_outputs.json` holds the answers under "golds", by ids that another task has, too. Where the
input names what may be answered (tags, categories, scores, two references), another of these is the
rejected side of a pair. Titles, headlines and paraphrases have no second answer: their users have
signals and no pairs.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from popi_prompt.errors import DataError, UsageError
from popi_prompt.fields import shown
from popi_prompt.importers.file_names import file_names, full_path
from popi_prompt.importers.held_out import rank
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import is_array, read_array, read_object
from popi_prompt.schema import Interaction, Pair, Persona, Rating, Signal, User

NO_OUTPUT = "questions without an output; their users have no pairs"
AGAIN = "outputs that are there twice for one question"
UNASKED = "outputs without a question"
NO_CHOICE = "questions that do not name the output and another answer; their users have no pairs"
EMPTY = "profile entries with empty text"
_STARS = (1.0, 5.0)
_LISTED = re.compile(r"(?:tags|categories): \[([^\]]*)\]")
_REFERENCES = re.compile(r"\[1\]: .*\[2\]: ", re.DOTALL)
_SCORE = re.compile(r"scale of 1 to 5", re.IGNORECASE)


def read_lamp(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Every question is a user: the profile are its signals, the question its pair."""
    questions = [source for source in files if is_array(source)]
    if not questions:
        raise UsageError("LaMP needs *_questions.json, a JSON array; outputs go with it")
    outputs = _outputs(questions, [source for source in files if source not in questions])
    names = file_names(questions)
    for source in questions:
        golds = _golds(outputs.get(source, ()), left_out)
        seen: set[str] = set()
        for row in read_array(source):
            asked = row.label("id")
            if asked in seen:
                raise row.error(f"id {asked!r} is there twice")
            seen.add(asked)
            gold = golds.pop(asked, None)
            answer = gold.text("output") if gold else ""
            yield _user(row, f"{names[source]}-{asked}", answer, wanted, left_out)
        left_out[UNASKED] += len(golds)


def _outputs(questions: Sequence[str], outputs: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Outputs by the file of questions they belong to: the only one, or the one of their name.

    Raises `UsageError` where that cannot be told.
    """
    paths = {full_path(source): source for source in questions}
    if len(paths) == 1:
        return dict.fromkeys(questions, outputs)
    found: dict[str, list[str]] = defaultdict(list)
    for source in outputs:
        path = full_path(source)
        asked = path.with_name("questions".join(path.name.rsplit("outputs", 1)))
        if asked not in paths:
            raise UsageError(
                f"cannot tell whose outputs {source!r} holds: there are {len(paths)} files of "
                "questions, and none is of its name; have X_outputs.json beside "
                "X_questions.json, or import one task at a time"
            )
        found[paths[asked]].append(source)
    return found


def _golds(sources: Sequence[str], left_out: Counter[str]) -> dict[str, Row]:
    """Records of id and output by id. Raises `DataError` for two tasks or two outputs of an id."""
    golds: dict[str, Row] = {}
    tasks: dict[str, str] = {}
    for source in sources:
        outputs = read_object(source)
        if "task" in outputs.values:
            tasks.setdefault(shown(outputs.get("task")), source)
        if len(tasks) > 1:
            (task, first), (other, _) = tasks.items()
            raise DataError(
                f"has the task {other}, and {first} has {task}; import one task at a time, or "
                "have X_outputs.json beside X_questions.json",
                path=source,
            )
        for number, value in enumerate(outputs.items("golds")):
            row = Row(source, number, outputs.inner(value, f"golds[{number}]").values)
            _add(row, golds, left_out)
    return golds


def _add(row: Row, golds: dict[str, Row], left_out: Counter[str]) -> None:
    asked, output = row.label("id"), row.text("output")
    first = golds.setdefault(asked, row)
    if first is row:
        return
    before = first.text("output")
    if before != output:
        raise row.error(
            f"the output of id {asked!r} is {shown(output)}, and {shown(before)} in record "
            f"{first.number} of {first.source}; keep the one that is right"
        )
    left_out[AGAIN] += 1


def _user(row: Row, user_id: str, gold: str, wanted: Wanted, left_out: Counter[str]) -> User:
    signals = [_signal(row.inner(entry, "a profile entry")) for entry in row.items("profile")]
    left_out[EMPTY] += signals.count(None)
    return User(
        user_id,
        tuple(signal for signal in signals if signal is not None),
        _pairs(row.text("input"), gold, wanted.seed, left_out),
    )


def _signal(entry: Row) -> Signal | None:
    """What one entry of a profile says; its keys tell the task."""
    known = entry.values
    if "score" in known:
        item, stars = entry.text("text"), entry.float("score")
        if not _STARS[0] <= stars <= _STARS[1]:
            raise entry.error(f"'score' is {stars:g}, expected 1 to 5")
        return Rating(item, stars, _STARS) if item else None
    for asks, about, answer in (
        ("Which tag does this movie relate to?", "description", "tag"),
        ("Which category does this article relate to?", "text", "category"),
        ("Write a title for this abstract.", "abstract", "title"),
        ("Write a title for this text.", "text", "title"),
    ):
        if about in known and answer in known:
            given, wrote = entry.text(about), entry.text(answer)
            return Interaction(f"{asks} {given}", wrote, "liked") if given and wrote else None
    text = entry.text("text")
    return Persona(f"Wrote: {text}") if text else None


def _pairs(question: str, gold: str, seed: int, left_out: Counter[str]) -> tuple[Pair, ...]:
    if not gold or not question:
        left_out[NO_OUTPUT] += 1
        return ()
    others = [each for each in _answers(question, gold.strip()) if each != gold.strip()]
    if not others:
        left_out[NO_CHOICE] += 1
        return ()
    drawn = others[rank(question, seed) % len(others)]
    return (Pair(question, gold, drawn),)


def _answers(question: str, gold: str) -> list[str]:
    """What a question says may be answered; nothing where it leaves that open.

    The article or the review in it may look like answers, too: the first that hold `gold` count.
    """
    found: dict[int, list[str]] = {}
    if match := _REFERENCES.search(question):
        found[match.start()] = ["[1]", "[2]"]
    if match := _LISTED.search(question):
        found[match.start()] = [name.strip() for name in match[1].split(",") if name.strip()]
    if match := _SCORE.search(question):
        found[match.start()] = ["1", "2", "3", "4", "5"]
    return next((answers for _, answers in sorted(found.items()) if gold in answers), [])
