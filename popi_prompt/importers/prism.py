"""PRISM: people from 75 countries, what they say they want, and how they rated answers.

Format: huggingface.co/datasets/HannahRoseKirk/prism-alignment, JSON Lines: `survey.jsonl`,
`conversations.jsonl` and `utterances.jsonl`. The latter two hold the same answers; either will do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from popi_prompt.errors import UsageError
from popi_prompt.importers.held_out import held_out
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import read_rows
from popi_prompt.schema import Pair, Persona, Preference, Rating, Signal, User
from popi_prompt.split import normal

LATER = "answers to later turns, which depend on what was said before"
NO_CHOICE = "opening prompts without one chosen answer that is rated above another"
SAID_AGAIN = "people who are in the survey again"
HELD_AGAIN = "conversations that are there again"
ANSWERED_AGAIN = "answers that are there again"
SURVEY_ONLY = "people in the survey without a usable conversation"
_SCALE = (0.0, 100.0)


@dataclass(slots=True)
class Opening:
    """The first prompt of a conversation and what it was answered: text, score, chosen or not."""

    user_id: str
    prompt: str
    answers: list[tuple[str, float, bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said in the survey."""

    signals: tuple[Signal, ...]
    wish: str | None


@dataclass(slots=True)
class Told:
    """What was read: of anything that is there again, the first."""

    survey: dict[str, Said] = field(default_factory=dict)
    openings: dict[str, Opening] = field(default_factory=dict)
    # by conversation: whether it is held as one record, or as one for each answer
    whole: dict[str, bool] = field(default_factory=dict)
    utterances: set[str] = field(default_factory=set)


def read_prism(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """A person's opening prompts are signals, a third of them pairs: chosen and worst answer.

    The self-description and the stated preferences are signals, too. The instruction the person
    wrote for a model is the gold taste.
    """
    told = Told()
    for source in files:
        for row in read_rows(source):
            if "self_description" in row.values:
                _survey(row, told, left_out)
            else:
                _answers(row, told, left_out)
    if not told.openings:
        raise UsageError("PRISM needs conversations.jsonl or utterances.jsonl with openings")
    contrasts: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for opening in told.openings.values():
        sides = _sides(opening)
        if sides is None:
            left_out[NO_CHOICE] += 1
        else:
            contrasts[opening.user_id].append((opening.prompt, *sides))
    left_out[SURVEY_ONLY] += len(told.survey.keys() - contrasts.keys())
    for user_id, rated in contrasts.items():
        yield _user(user_id, rated, told.survey.get(user_id), wanted)


def _user(
    user_id: str, rated: Sequence[tuple[str, str, str]], said: Said | None, wanted: Wanted
) -> User:
    out = held_out((prompt for prompt, *_ in rated), wanted.pairs or 0, wanted.seed)
    signals = [Preference(*each) for each in rated if normal(each[0]) not in out]
    return User(
        user_id,
        (*(said.signals if said else ()), *signals),
        tuple(Pair(*each) for each in rated if normal(each[0]) in out),
        gold=said.wish if said else None,
    )


def _survey(row: Row, told: Told, left_out: Counter[str]) -> None:
    user_id = row.label("user_id")
    if user_id in told.survey:
        left_out[SAID_AGAIN] += 1
    else:
        told.survey[user_id] = _said(row)


def _said(row: Row) -> Said:
    signals: list[Signal] = []
    description = row.text("self_description")
    if description:
        signals.append(Persona(description))
    stated = row.values.get("stated_prefs")
    if stated is not None:
        wishes = row.inner(stated, "'stated_prefs'")
        for name, value in wishes.values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                score = wishes.float(name)
                if not _SCALE[0] <= score <= _SCALE[1]:
                    raise row.error(f"'stated_prefs' {name!r} is {score:g}, expected 0 to 100")
                item = wishes.as_text(f"importance of {name} in answers", name)
                signals.append(Rating(item, score, _SCALE))
    wish = row.text("system_string") if "system_string" in row.values else ""
    return Said(tuple(signals), wish or None)


def _answers(row: Row, told: Told, left_out: Counter[str]) -> None:
    name, whole = row.label("conversation_id"), "conversation_history" in row.values
    again = name in told.whole
    if told.whole.setdefault(name, whole) != whole:
        return  # the other file of the same answers
    if not whole:
        _utterance(row, told, left_out)
    elif again:
        left_out[HELD_AGAIN] += 1
    else:
        said = [row.inner(each, "a turn") for each in row.items("conversation_history")]
        for turn in said:
            if turn.get("role") == "model":
                prompt = row.text("opening_prompt")
                _answer(row, turn, prompt, "content", told.openings, left_out)


def _utterance(row: Row, told: Told, left_out: Counter[str]) -> None:
    if "utterance_id" in row.values:
        utterance = row.label("utterance_id")
        if utterance in told.utterances:
            left_out[ANSWERED_AGAIN] += 1
            return
        told.utterances.add(utterance)
    _answer(row, row, row.text("user_prompt"), "model_response", told.openings, left_out)


def _answer(
    row: Row, turn: Row, prompt: str, key: str, openings: dict[str, Opening], left_out: Counter[str]
) -> None:
    if turn.float("turn") != 0:
        left_out[LATER] += 1
        return
    name = row.label("conversation_id")
    opening = openings.setdefault(name, Opening(row.label("user_id"), prompt))
    chosen = turn.get("if_chosen")
    if not isinstance(chosen, bool):
        raise row.error(f"'if_chosen' is {chosen!r:.60}, expected true or false")
    opening.answers.append((turn.text(key), turn.float("score"), chosen))


def _sides(opening: Opening) -> tuple[str, str] | None:
    chosen = [(text, score) for text, score, is_chosen in opening.answers if is_chosen and text]
    if len(chosen) != 1 or not opening.prompt:
        return None
    best, high = chosen[0]
    worse = [
        (score, text)
        for text, score, is_chosen in opening.answers
        if not is_chosen and score < high and text and text.strip() != best.strip()
    ]
    return (best, min(worse)[1]) if worse else None
