"""Chat logs with thumbs up and down.

Rows are of one of these shapes, also mixed:

- columns user, prompt, response, feedback; all have options, and TRL's names for them are known,
  too: completion and label (huggingface.co/docs/trl, dataset formats, "unpaired preference");
- user and messages, each with role, content and perhaps feedback; feedback of the row as a whole
  is about the last answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from popi_prompt.fields import shown
from popi_prompt.importers.file_names import file_names
from popi_prompt.importers.held_out import held_out
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.messages import Message, messages, prompt_text
from popi_prompt.importers.preferences import user_of
from popi_prompt.importers.row import Row, whole
from popi_prompt.importers.tables import read_rows
from popi_prompt.schema import Dialogue, Feedback, Interaction, Pair, Signal, Turn, User
from popi_prompt.split import normal

CHAT_COLUMNS = ("user", "prompt", "response", "feedback", "messages")
EMPTY = "rows whose prompt or answer is empty, or no single text"
UNASKED = "answers of a conversation that follow no message of the user"
UNPAIRED = "answers to held-out prompts of which no pair is made"
NO_TURNS = "conversations without messages of user and assistant"
_ALSO = {"response": "completion", "feedback": "label"}
_UP = ("up", "thumbs_up", "thumbsup", "👍", "like", "liked", "good", "positive", "true", "1", "+1")
_DOWN = ("down", "thumbs_down", "thumbsdown", "👎", "dislike", "disliked", "bad", "negative")
_FEEDBACK: dict[str, Feedback | None] = {
    **dict.fromkeys(_UP, "liked"),
    **dict.fromkeys((*_DOWN, "false", "-1"), "disliked"),
    **dict.fromkeys(("", "none", "null"), None),
}


def read_chat(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Answers are signals with their thumbs; conversations without thumbs are dialogues.

    A prompt that one user answered thumbs up and thumbs down (asked again) makes a pair: at most
    --pairs of them, and at most a third of the user's prompts, are held out.
    """
    users: dict[str, list[Signal]] = defaultdict(list)
    names = file_names(files)
    for source in files:
        for row in read_rows(source):
            users[user_of(row, wanted, names)].extend(_signals(row, wanted, left_out))
    for user_id, signals in users.items():
        yield _user(user_id, signals, wanted, left_out)


def _user(user_id: str, signals: Sequence[Signal], wanted: Wanted, left_out: Counter[str]) -> User:
    told = [signal for signal in signals if isinstance(signal, Interaction)]
    by_prompt: dict[str, list[Interaction]] = defaultdict(list)
    for each in told:
        by_prompt[normal(each.prompt)].append(each)
    pairs = {prompt: _pairs(asked) for prompt, asked in by_prompt.items()}
    both = [prompt for prompt, found in pairs.items() if found]
    others = len(by_prompt) + len(signals) - len(told)
    out = held_out(both, wanted.pairs or 0, wanted.seed, total=others)
    # The pairs of a prompt share the answer that was liked.
    left_out[UNPAIRED] += sum(len(by_prompt[prompt]) - 1 - len(pairs[prompt]) for prompt in out)
    return User(
        user_id,
        tuple(s for s in signals if not (isinstance(s, Interaction) and normal(s.prompt) in out)),
        tuple(pair for prompt in both if prompt in out for pair in pairs[prompt]),
    )


def _pairs(asked: Sequence[Interaction]) -> list[Pair]:
    """The first answer that was liked against each one that was not."""
    liked = [each for each in asked if each.feedback == "liked"]
    if not liked:
        return []
    best = liked[0]
    worse = {e.response for e in asked if e.feedback == "disliked"}
    return [
        Pair(best.prompt, best.response, response)
        for response in sorted(worse)
        if response.strip() != best.response.strip()
    ]


def _signals(row: Row, wanted: Wanted, left_out: Counter[str]) -> list[Signal]:
    column = wanted.columns.get("messages", "messages")
    if "messages" in wanted.columns or column in row.values:
        return _conversation(row, column, _thumb(row, wanted), left_out)
    prompt = row.text(wanted.columns.get("prompt", "prompt"))
    response = row.text(_name(row, "response", wanted))
    if not (prompt and response):
        left_out[EMPTY] += 1
        return []
    return [Interaction(prompt, response, _thumb(row, wanted))]


def _conversation(
    row: Row, column: str, last: Feedback | None, left_out: Counter[str]
) -> list[Signal]:
    said: list[Message] = []
    thumbs: list[Feedback | None] = []
    for each in row.items(column):
        message = row.inner(each, "a message")
        for found in messages(row, [each], column):
            said.append(found)
            thumbs.append(_feedback(row, message.values.get("feedback")))
    if last is not None and said and said[-1][0] == "Assistant" and thumbs[-1] is None:
        thumbs[-1] = last
    if not any(thumbs):
        return _dialogue(said, left_out)
    signals: list[Signal] = []
    for i, ((name, text), thumb) in enumerate(zip(said, thumbs, strict=True)):
        if name == "Assistant" and thumb is not None:
            prompt = prompt_text(said[:i])
            if prompt:
                signals.append(Interaction(prompt, text, thumb))
            else:
                left_out[UNASKED] += 1
    return signals


def _dialogue(said: Sequence[Message], left_out: Counter[str]) -> list[Signal]:
    turns = [
        Turn("user" if name == "User" else "assistant", text)
        for name, text in said
        if name in ("User", "Assistant")
    ]
    if not turns:
        left_out[NO_TURNS] += 1
        return []
    return [Dialogue(tuple(turns))]


def _thumb(row: Row, wanted: Wanted) -> Feedback | None:
    name = _name(row, "feedback", wanted)
    if "feedback" not in wanted.columns and name not in row.values:
        return None
    return _feedback(row, row.get(name))


def _name(row: Row, ours: str, wanted: Wanted) -> str:
    if ours in wanted.columns:
        return wanted.columns[ours]
    return _ALSO[ours] if ours not in row.values and _ALSO[ours] in row.values else ours


def _feedback(row: Row, value: Any) -> Feedback | None:
    """A thumb by its usual names. Raises `DataError` for others: a guess could be the opposite."""
    if value is None:
        return None
    word = whole((value if isinstance(value, str) else shown(value)).strip().casefold())
    if word not in _FEEDBACK:
        known = f"{', '.join(_UP)} or {', '.join((*_DOWN, 'false', '-1'))}"
        raise row.error(f"feedback is {shown(value)}; expected {known}")
    return _FEEDBACK[word]
