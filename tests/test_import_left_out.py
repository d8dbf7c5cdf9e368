"""What importers leave out is counted, and nothing else is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from public_formats import PAHF, contrast, read

from popi_prompt.errors import DataError
from popi_prompt.schema import Interaction, Pair

# LaMP: only what the question names may be answered


def lamp(question: str, output: str, folder: Path) -> tuple[tuple[Pair, ...], dict[str, int]]:
    """The pairs of one question, and what was left out."""
    profile = [{"id": "1", "text": "Wrote before"}]
    files = {
        "questions.json": [{"id": "1", "input": question, "profile": profile}],
        "outputs.json": {"golds": [{"id": "1", "output": output}]},
    }
    users, left_out = read("lamp", folder, files)
    return users["questions-1"].pairs, left_out


HEADLINE = "Generate a headline for the following article: "
SCORE = "What is the score of the following review on a scale of 1 to 5? review: "
TAG = "Which tag does this movie relate to? tags: [comedy, war, space] description: "
CITE = "Which reference is related? "
ALL_CITED = '[1]: "Roads" [2]: "Soups"'


@pytest.mark.parametrize(
    ("question", "output"),
    [
        (f"{HEADLINE}Guests rated the hotel on a scale of 1 to 5.", "Hotel guests are happy"),
        (f"{HEADLINE}His post carried tags: [war, peace].", "A post on two things"),
        (f"{HEADLINE}Two books: {ALL_CITED}", "Two books"),
        (f"{TAG}a ship", "Space"),
        (f"{SCORE}it broke", "6"),
    ],
)
def test_lamp_outputs_that_the_question_does_not_name_make_no_pair(
    question: str, output: str, tmp_path: Path
) -> None:
    assert lamp(question, output, tmp_path) == (
        (),
        {"questions that do not name the output and another answer; their users have no pairs": 1},
    )


@pytest.mark.parametrize(
    ("question", "output", "others"),
    [
        (f"{SCORE}tags: [x, y] nice", "4", "1 2 3 5"),
        (f"{SCORE}tags: [4, y] nice", "4", "1 2 3 5"),
        (f"{SCORE}I compared {ALL_CITED} with it", "1", "2 3 4 5"),
        (f"{TAG}on a scale of 1 to 5", "war", "comedy space"),
        (f"{TAG}{ALL_CITED}", "war", "comedy space"),
        (f'{CITE}[1]: "Words as tags: [a, b]" [2]: "Soups"', "[2]", "[1]"),
        (f"On a scale of 1 to 5: {CITE}{ALL_CITED}", "[1]", "[2]"),
    ],
)
def test_lamp_texts_that_look_like_a_list_of_answers_are_none(
    question: str, output: str, others: str, tmp_path: Path
) -> None:
    [pair], left_out = lamp(question, output, tmp_path)
    assert pair.chosen == output
    assert pair.rejected in others.split()
    assert left_out == {}


# chat: answers to prompts that are held out


def answered(*thumbs: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [
        *({"prompt": "p", "response": text, "feedback": thumb} for text, thumb in thumbs),
        {"prompt": "q", "response": "as it is", "feedback": "up"},
    ]


@pytest.mark.parametrize(
    ("thumbs", "pairs", "lost"),
    [
        ([("A", "up"), ("B", "down"), ("C", "up"), ("D", None)], ["AB"], 2),
        ([("A", "up"), ("B", "down"), ("A", "up"), ("B", "down")], ["AB"], 2),
        ([("A", "up"), ("B", "down"), ("C", "down"), ("A ", "down")], ["AB", "AC"], 1),
        ([("A", "up"), ("B", "down")], ["AB"], 0),
    ],
)
def test_chat_answers_to_a_held_out_prompt_that_are_in_no_pair_are_counted(
    thumbs: list[tuple[str, str | None]], pairs: list[str], lost: int, tmp_path: Path
) -> None:
    users, left_out = read("chat", tmp_path, {"chat.jsonl": answered(*thumbs)})
    user = users["chat"]
    assert user.pairs == tuple(Pair("p", *pair) for pair in pairs)
    assert user.signals == (Interaction("q", "as it is", "liked"),)
    reason = "answers to held-out prompts of which no pair is made"
    assert left_out == ({reason: lost} if lost else {})


def test_chat_answers_stay_signals_where_no_prompt_is_held_out(tmp_path: Path) -> None:
    rows = answered(("A", "up"), ("B", "down"), ("C", None))
    users, left_out = read("chat", tmp_path, {"chat.jsonl": rows}, pairs=0)
    assert len(users["chat"].signals) == 4
    assert left_out == {}


# PAHF: tastes without choices to hold out


def test_pahf_tastes_without_choices_to_hold_out_are_users_without_pairs(tmp_path: Path) -> None:
    files = json.loads(json.dumps(PAHF))
    for name, product in (("phase1.json", "desk"), ("phase3.json", "rug")):
        files[name].append({**files[name][0], "product": product})
    users, left_out = read("pahf", tmp_path, files)
    assert list(users) == ["Ada-lamp", "Ada-desk", "Ada-lamp-drift", "Ada-rug-drift"]
    assert [len(user.pairs) for user in users.values()] == [2, 0, 2, 0]
    assert [len(user.signals) for user in users.values()] == [3, 2, 5, 2]
    assert left_out == {"choices to be held out in which every option was rejected": 1}


# preferences: answers that are missing


def _messages(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


ASKED, ANSWERED = _messages("user", "Why?"), _messages("assistant", "So.")
OPENAI = {"input": {"messages": ASKED}}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "So.", "rejected": None},
        {"prompt": ASKED, "chosen": "So.", "rejected": None},
        {"prompt": ASKED, "chosen": ANSWERED, "rejected": None},
        {"prompt": ASKED, "chosen": None, "rejected": ANSWERED},
        {"prompt": "Why?", "chosen": None, "rejected": ANSWERED},
        {"prompt": None, "chosen": ANSWERED, "rejected": _messages("assistant", "Else.")},
        {"chosen": [*ASKED, *ANSWERED], "rejected": None},
        {"chosen": None, "rejected": [*ASKED, *ANSWERED]},
        {"chosen": None, "rejected": None},
        {**OPENAI, "preferred_output": None, "non_preferred_output": ANSWERED},
        {**OPENAI, "preferred_output": ANSWERED, "non_preferred_output": None},
    ],
)
def test_an_answer_that_is_null_is_an_empty_one_in_rows_of_every_shape(
    row: dict[str, Any], tmp_path: Path
) -> None:
    users, left_out = read("preferences", tmp_path, {"votes.jsonl": [contrast(1), row]})
    assert len(users["votes"].signals) == 1
    assert left_out == {"rows whose prompt or answer is empty, or no single text": 1}


@pytest.mark.parametrize(("chosen", "rejected"), [(ANSWERED, "So."), ("So.", ANSWERED)])
def test_a_text_beside_a_list_of_messages_is_refused(
    chosen: Any, rejected: Any, tmp_path: Path
) -> None:
    row = {"prompt": "Why?", "chosen": chosen, "rejected": rejected}
    with pytest.raises(DataError, match=r"votes\.jsonl:1: .* is 'So\.', expected a list of mess"):
        read("preferences", tmp_path, {"votes.jsonl": [row]})
