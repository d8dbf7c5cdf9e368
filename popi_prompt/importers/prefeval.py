"""PrefEval: a preference, the forms a person showed it in, and a question with four options.

Format: github.com/amazon-science/PrefEval, `benchmark_dataset`: four folders with one JSON array a
topic. `mcq_options` holds the questions; its first option is always the one that fits. The others
hold the preference as a sentence (`explicit_preference`), as a choice in a short dialogue
(`choice-based`) and within a long one (`persona-driven`): those that are given become signals.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from popi_prompt.errors import DataError, UsageError
from popi_prompt.fields import text_value
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import is_array, read_array
from popi_prompt.schema import Dialogue, Pair, Persona, Signal, Turn, User
from popi_prompt.split import normal

QUESTIONS, EXPLICIT, CHOICE, PERSONA = "mcq_options", "explicit", "choice-based", "persona-driven"
PREFEVAL_FILES = "**/*.json"  # of its folder
EMPTY = "options that are empty or the same as the one that fits"
NO_QUESTION = "records of topics without a file of mcq_options"
ALONE = "records without the question they belong to"


def read_prefeval(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Every question is a user; the options that do not fit are the rejected sides of its pairs."""
    topics: dict[str, dict[str, list[Row]]] = defaultdict(dict)
    for source in _expanded(files):
        rows = _rows(source)
        kind, topic = _kind(rows, source), _topic(source)
        if kind in topics[topic]:
            first = topics[topic][kind][0].source
            raise DataError(f"holds {kind} of {topic!r}, and so does {first}", path=source)
        topics[topic][kind] = rows
    if not any(QUESTIONS in forms for forms in topics.values()):
        raise UsageError("PrefEval needs files of its folder 'mcq_options'; they hold the options")
    for topic, forms in topics.items():
        questions = forms.pop(QUESTIONS, None)
        if questions is None:
            left_out[NO_QUESTION] += sum(map(len, forms.values()))
            continue
        left_out[ALONE] += sum(max(len(rows) - len(questions), 0) for rows in forms.values())
        for i, question in enumerate(questions):
            signals = tuple(
                signal
                for kind, rows in sorted(forms.items())
                for row in rows[i : i + 1]
                for signal in _SIGNALS[kind](_same(row, question))
            )
            yield _user(question, topic, signals, wanted.seed, left_out)


def _expanded(files: Sequence[str]) -> Iterator[str]:
    for source in files:
        # Not `Path.is_dir`, which raises for a name too long or a folder that may not be entered.
        if os.path.isdir(source):
            inside = sorted(str(path) for path in Path(source).glob(PREFEVAL_FILES))
            if not inside:
                raise DataError("holds no JSON files", path=source)
            yield from inside
        else:
            yield source


def _rows(source: str) -> list[Row]:
    if not is_array(source):
        raise DataError("is not a PrefEval file: expected a JSON array of records", path=source)
    rows = list(read_array(source))
    if not rows:
        raise DataError("is not a PrefEval file: it is empty", path=source)
    return rows


def _topic(source: str) -> str:
    try:
        return text_value(Path(source).stem, "the topic, which is the file's name,")
    except DataError as error:
        raise DataError(error.problem, path=source) from None


def _kind(rows: list[Row], source: str) -> str:
    keys = rows[0].values
    for needed, kind in (
        ("classification_task_options", QUESTIONS),
        ("implicit_query", CHOICE),
        ("persona", PERSONA),
        ("preference", EXPLICIT),
    ):
        if needed in keys:
            return kind
    raise DataError("record 0: is of no form of PrefEval", path=source)


def _same(row: Row, question: Row) -> Row:
    if normal(row.text("question")) != normal(question.text("question")):
        raise row.error(f"asks another question than record {question.number} of {question.source}")
    return row


def _user(
    row: Row, topic: str, signals: tuple[Signal, ...], seed: int, left_out: Counter[str]
) -> User:
    user_id = f"{topic}-{row.number:03d}"
    fits, *others = [
        row.as_text(option, "classification_task_options")
        for option in row.items("classification_task_options") or [""]
    ]
    random.Random(f"{seed}:{user_id}").shuffle(others)
    prompt = row.text("question")
    useful = [o for o in others if prompt and fits and o and o.strip() != fits.strip()]
    left_out[EMPTY] += len(others) - len(useful)
    return User(
        user_id,
        signals,
        tuple(Pair(prompt, fits, option) for option in useful),
        gold=row.text("preference") or None,
        group=topic,
    )


def _explicit(row: Row) -> list[Signal]:
    text = row.text("preference")
    return [Persona(text)] if text else []


def _choice(row: Row) -> list[Signal]:
    said = row.inner(row.get("conversation"), "'conversation'")
    turns = (
        Turn("user", said.text("query")),
        Turn("assistant", said.text("assistant_options")),
        Turn("user", said.text("user_selection")),
        Turn("assistant", said.text("assistant_acknowledgment")),
    )
    return _dialogue(turns)


def _persona(row: Row) -> list[Signal]:
    said = row.inner(row.get("conversation"), "'conversation'")
    turns: list[Turn] = []
    for number in sorted(said.values, key=lambda key: (len(key), key)):
        turn = said.inner(said.values[number], f"'conversation' {number!r}")
        turns += [Turn("user", turn.text("user")), Turn("assistant", turn.text("assistant"))]
    who = row.text("persona")
    return [*([Persona(who)] if who else []), *_dialogue(turns)]


def _dialogue(turns: Sequence[Turn]) -> list[Signal]:
    said = tuple(turn for turn in turns if turn.content)
    return [Dialogue(said)] if said else []


_SIGNALS: dict[str, Callable[[Row], list[Signal]]] = {
    EXPLICIT: _explicit,
    CHOICE: _choice,
    PERSONA: _persona,
}
