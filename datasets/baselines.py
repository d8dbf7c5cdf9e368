"""What the surface of a family's texts gives away about the held-out pairs.

Two baselines do not look at the user: the longest answer, and a bag of words, a logistic
regression trained on the training users' pairs. Two look at the user's signals but at nothing
except words or length: is an answer nearer to what the user liked there than to what the user
disliked? A tie counts half.

    python datasets/baselines.py explain
    python datasets/baselines.py roleplay --fresh
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from popi_prompt.dataset import load_users
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Preference,
    Rating,
    Signal,
    User,
)
from popi_prompt.split import split_users

HERE = Path(__file__).resolve().parent
STEPS = 500
RATE = 0.5
PENALTY = 0.01

Guess = Callable[[User, Pair], float]  # above 0: the chosen answer, below 0: the rejected one


def words(text: str) -> Counter[str]:
    """How often each word occurs, without case."""
    return Counter(re.findall(r"\w+(?:'\w+)?", text.casefold()))


def share_right(guess: Guess, users: Sequence[User]) -> float:
    """The share of pairs whose chosen answer is guessed."""
    marks = [np.sign(guess(user, pair)) for user in users for pair in user.pairs]
    return float(np.mean([(mark + 1) / 2 for mark in marks]))


def longest(_user: User, pair: Pair) -> float:
    """Prefer the answer with more characters."""
    return len(pair.chosen) - len(pair.rejected)


def bag_of_words(users: Sequence[User]) -> Guess:
    """Prefer the answer with the words that made training users choose one."""
    pairs = [pair for user in users for pair in user.pairs]
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    index = {word: at for at, word in enumerate(sorted(set().union(*map(words, texts))))}

    def difference(pair: Pair) -> np.ndarray:
        row = np.zeros(len(index))
        for text, sign in ((pair.chosen, 1), (pair.rejected, -1)):
            for word in words(text).keys() & index.keys():
                row[index[word]] += sign
        return row

    rows = np.stack([difference(pair) for pair in pairs])
    weights = np.zeros(len(index))
    for _ in range(STEPS):
        missing = 1 / (1 + np.exp(rows @ weights))
        weights += RATE * (rows.T @ missing / len(rows) - PENALTY * weights)
    # Mirrored training pairs leave weights that are zero but for rounding.
    return lambda _user, pair: round(float(difference(pair) @ weights), 9)


def liked_and_disliked(signal: Signal) -> tuple[list[str], list[str]]:
    """The answers in a signal that the user took to, and those that the user did not."""
    match signal:
        case Interaction(response=text, feedback=feedback):
            return [text] * (feedback == "liked"), [text] * (feedback == "disliked")
        case Preference(chosen=liked, rejected=disliked) | Edit(edited=liked, draft=disliked):
            return [liked], [disliked]
        case Rating(item=text, rating=rating, scale=(low, high)):
            return [text] * (2 * rating > low + high), [text] * (2 * rating < low + high)
        case Dialogue(messages=turns):
            # What the user answers with a request is not what they wanted.
            answers = [turn.content for turn in turns if turn.role == "assistant"]
            kept = turns[-1].role == "assistant"
            return answers[-1:] * kept, answers[:-1] if kept else answers
    return [], []


def signal_words(users: Sequence[User]) -> Guess:
    """Prefer the answer that shares more of its rarer words with what the user liked."""
    documents = [
        words(text)
        for user in users
        for signal in user.signals
        for side in liked_and_disliked(signal)
        for text in side
    ]
    frequency = Counter(word for document in documents for word in document)
    rarity = {word: np.log(len(documents) / count) for word, count in frequency.items()}

    def guess(user: User, pair: Pair) -> float:
        sides = [liked_and_disliked(signal) for signal in user.signals]
        liked, disliked = (
            [words(text) for side in sides for text in side[which]] for which in (0, 1)
        )

        def attraction(text: str) -> float:
            bag = words(text)
            near, far = (
                [_cosine(bag, other, rarity) for other in texts] or [0.0]
                for texts in (liked, disliked)
            )
            return float(np.mean(near) - np.mean(far))

        return attraction(pair.chosen) - attraction(pair.rejected)

    return guess


def signal_length(user: User, pair: Pair) -> float:
    """Prefer the longer answer if the user liked longer ones than they disliked."""
    sides = [liked_and_disliked(signal) for signal in user.signals]
    liked, disliked = ([len(text) for side in sides for text in side[which]] for which in (0, 1))
    if not liked or not disliked:
        return 0.0
    longer_liked = float(np.mean(liked) - np.mean(disliked))
    return longer_liked * (len(pair.chosen) - len(pair.rejected))


def _cosine(one: Counter[str], other: Counter[str], rarity: Mapping[str, float]) -> float:
    def norm(bag: Counter[str]) -> float:
        return float(np.sqrt(sum((n * rarity.get(word, 0)) ** 2 for word, n in bag.items())))

    common = sum(one[word] * other[word] * rarity.get(word, 0) ** 2 for word in one & other)
    return common / (norm(one) * norm(other) or 1)


def measure(path: Path, fresh: Path | None = None) -> dict[str, float]:
    """Each baseline's share of right guesses on the held-out users, or on all users of `fresh`."""
    split = split_users(load_users(path))
    users = split.test if fresh is None else load_users(fresh)
    guesses: dict[str, Guess] = {
        "longest answer": longest,
        "bag of words": bag_of_words(split.train),
        "words of the user's signals": signal_words(split.train),
        "length in the user's signals": signal_length,
    }
    return {name: share_right(guess, users) for name, guess in guesses.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the baselines of one family."""
    names = sorted(path.parent.name for path in HERE.glob("*/users.jsonl"))
    parser = argparse.ArgumentParser(description="Print the baselines of a family.")
    parser.add_argument("family", choices=names)
    parser.add_argument("--fresh", action="store_true", help="on the users of later prompts")
    args = parser.parse_args(argv)
    fresh = HERE / "fresh" / f"{args.family}.jsonl" if args.fresh else None
    if fresh is not None and not fresh.exists():
        parser.error(f"{args.family} has no fresh users: there is no {fresh}")
    for name, share in measure(HERE / args.family / "users.jsonl", fresh).items():
        print(f"{name:30} {share:6.1%}")


if __name__ == "__main__":
    main()
