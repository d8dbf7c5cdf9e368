"""Any file of preferences: two answers to a prompt, and which one somebody chose.

Rows are of one of these shapes, also mixed:

- columns user, prompt, chosen, rejected; all but the last two may be missing, all have options;
- TRL's: the same with lists of messages instead of texts; without a prompt, what both answers
  start with is the prompt (huggingface.co/docs/trl, dataset formats, "preference");
- OpenAI's: input.messages, preferred_output, non_preferred_output (fine-tuning by preferences).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from popi_prompt.importers.file_names import file_names
from popi_prompt.importers.held_out import held_out
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.messages import answer_text, messages, prompt_text
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import read_rows
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.split import normal

PREFERENCE_COLUMNS = ("user", "prompt", "chosen", "rejected", "group", "gold")
SAME = "rows whose two answers are the same"
EMPTY = "rows whose prompt or answer is empty, or no single text"
AGAIN = "rows that are there twice for one user"
_USER_NAMES = ("user", "user_id")

Contrast = tuple[str, str, str]


@dataclass(slots=True)
class Chooser:
    """What is known of one user; a dict keeps the order and drops what is there twice."""

    contrasts: dict[Contrast, None] = field(default_factory=dict)
    group: str | None = None
    gold: str | None = None


def read_preferences(
    files: Sequence[str], wanted: Wanted, left_out: Counter[str]
) -> Iterator[User]:
    """Rows of one user together: signals, and a third of the prompts, at most --pairs, as pairs.

    Without a column for users, a file is one user's.
    """
    users: dict[str, Chooser] = defaultdict(Chooser)
    names = file_names(files)
    for source in files:
        for row in read_rows(source):
            _add(row, wanted, names, users, left_out)
    for user_id, chooser in users.items():
        contrasts = list(chooser.contrasts)
        out = held_out((prompt for prompt, *_ in contrasts), wanted.pairs or 0, wanted.seed)
        yield User(
            user_id,
            tuple(Preference(*each) for each in contrasts if normal(each[0]) not in out),
            tuple(Pair(*each) for each in contrasts if normal(each[0]) in out),
            gold=chooser.gold,
            group=chooser.group,
        )


def user_of(row: Row, wanted: Wanted, names: Mapping[str, str]) -> str:
    """The row's user by the column that was named, or "user", "user_id", or else its file's name.

    `names` has the files' names. Raises `DataError` where the column that was named is missing.
    """
    if "user" in wanted.columns:
        return row.label(wanted.columns["user"])
    for name in _USER_NAMES:
        if name in row.values:
            return row.label(name)
    return names[row.source]


def _add(
    row: Row,
    wanted: Wanted,
    names: Mapping[str, str],
    users: dict[str, Chooser],
    left_out: Counter[str],
) -> None:
    contrast = _contrast(row, wanted)
    prompt, chosen, rejected = contrast
    if not (prompt and chosen and rejected):
        left_out[EMPTY] += 1
        return
    if chosen.strip() == rejected.strip():
        left_out[SAME] += 1
        return
    chooser = users[user_of(row, wanted, names)]
    if contrast in chooser.contrasts:
        left_out[AGAIN] += 1
    chooser.contrasts[contrast] = None
    for name in ("group", "gold"):
        column = wanted.columns.get(name, name)
        if name in wanted.columns or column in row.values:
            setattr(chooser, name, row.text(column) or getattr(chooser, name))


def _contrast(row: Row, wanted: Wanted) -> Contrast:
    if "preferred_output" in row.values:
        asked = row.inner(row.get("input"), "'input'")
        chosen, rejected = (
            answer_text(messages(row, row.get(key), key))
            for key in ("preferred_output", "non_preferred_output")
        )
        return prompt_text(messages(row, asked.get("messages"), "messages")), chosen, rejected
    names = {key: wanted.columns.get(key, key) for key in ("prompt", "chosen", "rejected")}
    has_prompt = names["prompt"] in row.values or "prompt" in wanted.columns
    if any(isinstance(row.get(names[key]), list) for key in ("chosen", "rejected")):
        return _conversations(row, names, has_prompt)
    chosen, rejected = row.text(names["chosen"]), row.text(names["rejected"])
    if not has_prompt:
        return _split(chosen, rejected)
    if isinstance(row.get(names["prompt"]), list):
        return prompt_text(messages(row, row.get(names["prompt"]), "prompt")), chosen, rejected
    return row.text(names["prompt"]), chosen, rejected


def _conversations(row: Row, names: dict[str, str], has_prompt: bool) -> Contrast:
    chosen, rejected = (messages(row, row.get(names[key]), key) for key in ("chosen", "rejected"))
    if has_prompt:
        value = row.get(names["prompt"])
        asked = messages(row, value, "prompt") if isinstance(value, list) else None
        prompt = row.text(names["prompt"]) if asked is None else prompt_text(asked)
        # Some files repeat the prompt at the head of both answers.
        head = [("User", prompt)] if asked is None else asked
        if chosen[: len(head)] == head and rejected[: len(head)] == head:
            chosen, rejected = chosen[len(head) :], rejected[len(head) :]
        return prompt, answer_text(chosen), answer_text(rejected)
    shared = 0
    for one, other in zip(chosen[:-1], rejected[:-1], strict=False):
        if one != other:
            break
        shared += 1
    return (
        prompt_text(chosen[:shared]),
        answer_text(chosen[shared:]),
        answer_text(rejected[shared:]),
    )


def _split(chosen: str, rejected: str) -> Contrast:
    """What both start with, up to the last space in it, and the rests."""
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    head = chosen[:shared]
    cut = max(head.rfind(" "), head.rfind("\n")) + 1
    return head[:cut].rstrip(), chosen[cut:].strip(), rejected[cut:].strip()
