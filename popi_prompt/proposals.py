"""Every word that the proposer sees, rendered by pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from popi_prompt.prompts import Message, Messages
from popi_prompt.schema import Pair
from popi_prompt.user_text import as_data, labelled

PROPOSAL_TIPS = (
    "Be brief.",
    "Ask for one sentence that tells an assistant what to do.",
    "Ask to look at what separates liked from disliked answers.",
    "Say that facts from the examples must not be copied.",
)

_FEEDBACK_CHARACTERS = 240
_SIGNALS_CHARACTERS = 600


def proposal_messages(instruction: str, examples: Sequence[tuple[str, str]], tip: str) -> Messages:
    """Ask the proposer for a better instruction, shown users and the summaries that worked."""
    shown = "\n\n".join(
        f"What was known:\n{signals}\nGood summary: {summary}" for signals, summary in examples
    )
    request = (
        f"An assistant is given this instruction:\n{instruction}\n\n"
        f"{shown}\n\n"
        f"Write a better instruction that leads to such summaries. {tip} "
        "Reply with the instruction only, in one or two sentences."
    )
    return (Message("user", request),)


def summary_request(signals: str) -> Messages:
    """Ask a stronger model directly for a summary, a candidate for demonstrations."""
    request = (
        f"{signals}\n\nIn one sentence of at most 25 words, tell an assistant how to write answers "
        "that this person will like: tone, words, length, detail. Reply with the sentence only."
    )
    return (Message("user", request),)


def invention_request(statement: str) -> Messages:
    """Ask for what a person with this taste may have liked; of users nothing is shown."""
    request = (
        f"A person wants to be answered like this: {as_data(statement)}\n\n"
        "Invent three requests of this person about everyday things. After each, write an answer "
        "that they would like and one that they would dislike, each of one or two sentences. Use "
        "exactly these labels, each at the start of a line:\nRequest:\nLiked:\nDisliked:"
    )
    return (Message("user", request),)


def summary_feedback(moved: Sequence[tuple[Pair, float]], unit: str, tokens: int) -> str:
    """What a summary of `tokens` tokens did, for who rewrites the instruction that led to it.

    `moved` are pairs and their margins in `unit`.
    """
    parts = [f"This summary has {tokens} tokens. An assistant was told it."]
    for pair, margin in moved:
        good = margin > 0
        to, away = (pair.chosen, pair.rejected) if good else (pair.rejected, pair.chosen)
        which = "the person chose" if good else "the person rejected"
        by = f"Moved it by {abs(margin):.1f} {unit} towards the answer that {which}"
        shown = (("Request", pair.prompt), (by, to), ("Away from", away))
        parts.append(labelled(*((label, _cut(text)) for label, text in shown)))
    return "\n\n".join(parts)


def reflection_messages(
    instruction: str, failed: Sequence[tuple[str, str, str]], worked: Sequence[tuple[str, str]]
) -> Messages:
    """Ask for a better instruction, shown where it failed and what worked.

    `failed` are (rendered signals, the summary written, what it did by `summary_feedback`),
    `worked` are (rendered signals, good summary).
    """
    parts = [f"An assistant is given this instruction:\n{instruction}"]
    parts += [
        f"Here it failed. What was known:\n{_cut(signals, _SIGNALS_CHARACTERS)}\n"
        f"Its summary: {as_data(summary)}\n{feedback}"
        for signals, summary, feedback in failed
    ]
    parts += [
        f"What was known:\n{_cut(signals, _SIGNALS_CHARACTERS)}\nGood summary: {as_data(summary)}"
        for signals, summary in worked
    ]
    parts.append(
        "Write a better instruction, so that its summaries move answers towards what each person "
        "chose. It is for people of any taste: repeat nothing of what is shown. Reply with the "
        "instruction only, in one or two sentences."
    )
    return (Message("user", "\n\n".join(parts)),)


def _cut(text: str, most: int = _FEEDBACK_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()}..."
