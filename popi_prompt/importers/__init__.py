"""Public formats -> our users, one file a format.

A `Reader` yields users as it reads, and counts what it leaves out by reason. It raises `DataError`
with the file and the line or record for anything that is not its format, and `UsageError` where it
needs other files or columns. Whatever it yields, `import_users` keeps these promises: there is
a user, ids are unique, every user has signals, no pair's prompt is among the user's own signals.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from popi_prompt.errors import DataError, UsageError
from popi_prompt.fields import text_value
from popi_prompt.importers.alignx import read_alignx
from popi_prompt.importers.chat import CHAT_COLUMNS, read_chat
from popi_prompt.importers.fspo import read_fspo
from popi_prompt.importers.imported import Imported, Wanted
from popi_prompt.importers.lamp import read_lamp
from popi_prompt.importers.movielens import read_movielens
from popi_prompt.importers.pahf import PAHF_FILES, read_pahf
from popi_prompt.importers.preferences import PREFERENCE_COLUMNS, read_preferences
from popi_prompt.importers.prefeval import PREFEVAL_FILES, read_prefeval
from popi_prompt.importers.prism import read_prism
from popi_prompt.schema import User, prompts_in_signals
from popi_prompt.split import normal

Reader = Callable[[Sequence[str], Wanted, Counter[str]], Iterator[User]]

LEAKED = "pairs whose prompt is among the user's own signals"
NO_SIGNALS = "users without signals"
MORE_SIGNALS = "older signals, beyond the most a user may have (--signals)"
MORE_PAIRS = "pairs beyond the most a user may have (--pairs)"
_NAMED = 8  # files in one error


@dataclass(frozen=True, slots=True)
class Format:
    """A name for the command line, what it reads, the function that reads it, its defaults.

    `folder` is the pattern of the files that are read of a folder, where it takes one.
    """

    name: str
    describes: str
    files: str
    read: Reader
    signals: int | None = None
    pairs: int | None = None
    columns: tuple[str, ...] = ()
    folder: str | None = None

    def paths(self, files: Sequence[str]) -> Iterator[Path]:
        """Where these files are, and in place of a folder those that are read of it."""
        for path in map(Path, files):
            if self.folder is not None and os.path.isdir(path):
                yield from path.glob(self.folder)
            else:
                yield path


FORMATS = {
    each.name: each
    for each in (
        Format("alignx", "AlignX benchmark (P-Soups)", "*.json", read_alignx),
        Format(
            "prefeval",
            "PrefEval: questions with options, and the forms of a preference beside them",
            "its folder, or files of mcq_options and of the forms wanted",
            read_prefeval,
            folder=PREFEVAL_FILES,
        ),
        Format(
            "pahf",
            "PAHF shopping: choices, and choices after a change of taste",
            "its folder, or phase1.json ... phase4.json and both persona files",
            read_pahf,
            folder=PAHF_FILES,
        ),
        Format(
            "fspo",
            "ELIX, Review and Roleplay as published with FSPO",
            "*.parquet, *.jsonl or hf://OWNER/NAME",
            read_fspo,
            signals=8,
            pairs=2,
        ),
        Format(
            "prism",
            "PRISM: survey, conversations, utterances",
            "survey.jsonl and conversations.jsonl or utterances.jsonl",
            read_prism,
            pairs=8,
        ),
        Format(
            "lamp",
            "LaMP: questions with profiles, and outputs",
            "*_questions.json *_outputs.json",
            read_lamp,
            signals=32,
            pairs=1,
        ),
        Format(
            "movielens",
            "MovieLens ratings",
            "ratings.csv movies.csv, u.data u.item or ratings.dat movies.dat",
            read_movielens,
            signals=32,
            pairs=8,
        ),
        Format(
            "preferences",
            "any file of preferences, also TRL's and OpenAI's",
            "*.jsonl, *.json, *.csv, *.tsv, *.parquet or hf://OWNER/NAME",
            read_preferences,
            pairs=8,
            columns=PREFERENCE_COLUMNS,
        ),
        Format(
            "chat",
            "chat logs with thumbs up and down",
            "*.jsonl, *.json, *.csv, *.tsv, *.parquet or hf://OWNER/NAME",
            read_chat,
            pairs=8,
            columns=CHAT_COLUMNS,
        ),
    )
}


def import_users(name: str, files: Sequence[str], wanted: Wanted | None = None) -> Imported:
    """Users of public files; nothing is read before they are asked for.

    Raises `UsageError` for a format or a column that is not known. Reading raises `DataError`.
    """
    if name not in FORMATS:
        close = difflib.get_close_matches(name, FORMATS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UsageError(f"no format {name!r}{hint}; known: {', '.join(FORMATS)}")
    format_ = FORMATS[name]
    wanted = wanted or Wanted()
    for column in wanted.columns:
        if column not in format_.columns:
            known = ", ".join(format_.columns) or "none"
            raise UsageError(f"{name} has no column {column!r} to name; columns: {known}")
    wanted = replace(
        wanted,
        signals=format_.signals if wanted.signals is None else wanted.signals,
        pairs=format_.pairs if wanted.pairs is None else wanted.pairs,
    )
    left_out: Counter[str] = Counter()
    return Imported(_kept(format_.read(files, wanted, left_out), files, wanted, left_out), left_out)


def _kept(
    users: Iterator[User], files: Sequence[str], wanted: Wanted, left_out: Counter[str]
) -> Iterator[User]:
    seen: set[str] = set()
    none = True
    for user in users:
        _check_id(user, files)
        if user.user_id in seen:
            problem = f"user {user.user_id!r} comes twice; give files with users of their own"
            raise DataError(problem, path=_named(files))
        seen.add(user.user_id)
        kept = _sound(user, wanted, left_out)
        if kept.signals:
            none = False
            yield kept
        else:
            left_out[NO_SIGNALS] += 1
    if none:
        raise DataError(
            f"holds no users with signals; users read: {len(seen)}{_why(left_out)}; which files a "
            "format needs, `popi-prompt import --list` says",
            path=_named(files),
        )


def _check_id(user: User, files: Sequence[str]) -> None:
    """An id from a record is text; one from a file's name may be none."""
    try:
        text_value(user.user_id, "the user's id")
    except DataError as error:
        problem = f"{error.problem}; it comes from a file's name"
        raise DataError(problem, path=_named(files)) from None


def _sound(user: User, wanted: Wanted, left_out: Counter[str]) -> User:
    signals = user.signals
    if wanted.signals is not None:
        signals = signals[max(len(signals) - wanted.signals, 0) :]
        left_out[MORE_SIGNALS] += len(user.signals) - len(signals)
    user = replace(user, signals=signals)
    own = {normal(prompt) for prompt in prompts_in_signals(user)}
    pairs = tuple(pair for pair in user.pairs if normal(pair.prompt) not in own)
    left_out[LEAKED] += len(user.pairs) - len(pairs)
    if wanted.pairs is not None:
        left_out[MORE_PAIRS] += max(len(pairs) - wanted.pairs, 0)
        pairs = pairs[: wanted.pairs]
    return replace(user, pairs=pairs)


def _named(files: Sequence[str]) -> str | None:
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return f"{', '.join(files[:_NAMED])}{more}" if files else None


def _why(left_out: Counter[str]) -> str:
    reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    return f"; left out: {reasons}" if reasons else ""


__all__ = ["FORMATS", "Format", "Imported", "Reader", "Wanted", "import_users"]
