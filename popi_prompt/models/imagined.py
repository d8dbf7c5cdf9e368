"""Answers that nobody gave, for an estimate: of a plausible length, a function of the request.

Each word of a context leans, by its hash, to answers of long or of short words. So statements suit
some users and not others, and a search prunes and chooses about as it does on a model.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from popi_prompt.prompts import Messages
from popi_prompt.schema import Pair, User

SUMMARY_WORDS = 38  # about 45 tokens: what an untuned instruction brings
SENTENCE_WORDS = 26  # an instruction, or a summary asked for as one sentence
ANSWER_WORDS = 170  # a generator's answer to a prompt
_ROOM_FOR_ANSWERS = 256  # tokens: no summary or instruction is given so many
_PULL = 1.5  # nats, for answers whose words differ by one letter
_NOISE = 0.4  # nats
_PER_WORD = -2.5  # nats
_WORDS = str.split(
    "answers should stay close to the question and use clear words with a calm friendly tone "
    "short sentences concrete examples few details direct advice plain structure while long "
    "explanations technical terms jokes and formal phrases are best left out unless asked for"
)
_CHOICE = re.compile(
    r"(.*?)^Request: .*?^Answer A: (.*?)^Answer B: (.*?)^Which answer", re.DOTALL | re.MULTILINE
)


def answer(messages: Messages, drawn: str, most: int, own_words: float) -> str:
    """A summary like that of the nearest demonstration, else a text as long as was asked for.

    `most` are the tokens it may take: much room is for an answer that leans as its messages do.
    `own_words` is the share of requests that get a text of their own, where others repeat what
    they are shown. `drawn` tells draws of one request apart.
    """
    rng = _random(drawn, *(message.content for message in messages))
    shown = [
        (asked.content, given.content)
        for asked, given in pairwise(messages)
        if given.role == "assistant"
    ]
    if shown:
        here = word_length(messages[-1].content)
        words = min(shown, key=lambda pair: abs(word_length(pair[0]) - here))[1].split()
        if rng.random() < own_words:
            rng.shuffle(words)
        return " ".join(words)
    if most >= _ROOM_FOR_ANSWERS:
        # Short words or long ones, so that what embeds or judges the answer sees the lean.
        likes_long = sum(lean(message.content) for message in messages) > 0
        words = sorted(_WORDS, key=len, reverse=likes_long)[: len(_WORDS) // 2]
        return " ".join(rng.choices(words, k=ANSWER_WORDS))
    asked_for_summary = messages[0].role == "system"
    count = SUMMARY_WORDS if asked_for_summary else SENTENCE_WORDS
    return " ".join(rng.choices(_WORDS, k=count))


def odds(messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
    """Odds of the first two options by what the context leans to; equal ones for other requests.

    A third option, a tie, is never taken.
    """
    text = messages[-1].content
    found = _CHOICE.match(text)
    if found is None or len(options) not in (2, 3):
        return tuple(1 / len(options) for _ in options)
    context, first, second = found.groups()
    gap = word_length(first) - word_length(second)
    margin = lean(context) * gap + _random(text).gauss(0, _NOISE)
    likely = 1 / (1 + math.exp(-max(-30.0, min(30.0, margin))))
    return (likely, 1 - likely, *(0.0 for _ in options[2:]))


def logprobs(messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
    """By their length, and by what the words of the messages lean to."""
    texts = [message.content for message in messages]
    pull = sum(map(lean, texts))
    return tuple(
        min(
            0.0,
            _PER_WORD * len(response.split())
            + pull * word_length(response)
            + _random(response, *texts).gauss(0, _NOISE),
        )
        for response in responses
    )


def score(user: User, pair: Pair, summary: str | None, answer: str) -> float:
    """By the length of the answer's words, beside those of the pair's answers."""
    words = word_length(answer)
    to_chosen, to_rejected = (
        abs(words - word_length(text)) for text in (pair.chosen, pair.rejected)
    )
    both = to_chosen + to_rejected
    return to_rejected / both if both > 0 else 0.5


def embedding(text: str) -> tuple[float, ...]:
    """By the length of its words and a little by the rest."""
    rng = _random(text)
    return (1.0, word_length(text) / 5, *(rng.gauss(0, 0.1) for _ in range(6)))


@lru_cache(maxsize=1 << 16)
def lean(text: str) -> float:
    """Above 0 to long words, below to short ones, as strong in a short text as in a long one.

    The order of the words does not matter.
    """
    words = text.casefold().split()
    drawn = sum(2 * _random(word).random() - 1 for word in words)
    return _PULL * drawn / math.sqrt(max(1, len(words)))


@lru_cache(maxsize=1 << 16)
def word_length(text: str) -> float:
    """Mean letters of a word."""
    words = text.split()
    return sum(map(len, words)) / len(words) if words else 0.0


def _random(*texts: str) -> random.Random:
    digest = hashlib.sha256("\x00".join(texts).encode("utf-8", "surrogatepass")).digest()
    return random.Random(digest)
