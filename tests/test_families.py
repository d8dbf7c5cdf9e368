"""The families under datasets/: what their cards promise."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from popi_prompt.dataset import load_users
from popi_prompt.schema import Dialogue, Edit, Interaction, Preference, Rating, User
from popi_prompt.split import normal, split_users

DATASETS = Path(__file__).resolve().parent.parent / "datasets"
NAMES = sorted(path.parent.name for path in DATASETS.glob("*/users.jsonl"))
KINDS = {"persona", "interaction", "preference", "edit", "rating", "dialogue"}
SENTENCE_END = re.compile(r"[.!?…][^\w\s]*(?=\s|$)")
LEVEL_WORDS = re.compile(
    r"\b(imagine|kids?|child|toddler|grown-ups?|undergraduates?|ph\.?d|professors?|"
    r"dissertations?|beginners?|experts?|advanced|eli5)\b",
    re.IGNORECASE,
)

pytestmark = pytest.mark.parametrize("name", NAMES)


@cache
def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"datasets_{name}", DATASETS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


@cache
def baselines_of(name: str) -> dict[str, float]:
    shares: dict[str, float] = module("baselines").measure(DATASETS / name / "users.jsonl")
    return shares


@cache
def users_of(name: str) -> tuple[User, ...]:
    return load_users(DATASETS / name / "users.jsonl")


@cache
def bank_of(name: str) -> list[dict[str, Any]]:
    lines = (DATASETS / name / "bank.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def texts_in_signals(user: User) -> Iterator[str]:
    for signal in user.signals:
        match signal:
            case Interaction(prompt=prompt, response=response):
                yield from (prompt, response)
            case Preference(prompt=prompt, chosen=chosen, rejected=rejected):
                yield from (prompt, chosen, rejected)
            case Edit(draft=draft, edited=edited):
                yield from (draft, edited)
            case Rating(item=item):
                yield item
            case Dialogue(messages=turns):
                yield from (turn.content for turn in turns)


def test_the_bank_holds_forty_prompts_and_whole_answers(name: str) -> None:
    bank = bank_of(name)
    assert len({normal(line["prompt"]) for line in bank}) == len(bank) >= 40
    answers = [answer for line in bank for answer in line["answers"]]
    assert len({answer["text"] for answer in answers}) == len(answers) >= 160
    short = [a["text"] for a in answers if len(SENTENCE_END.findall(a["text"])) < 2]
    assert not short


def test_no_word_gives_a_label_away(name: str) -> None:
    by_label: defaultdict[str, defaultdict[str, list[set[str]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for line in bank_of(name):
        for answer in line["answers"]:
            found = set(re.findall(r"\w+", answer["text"].casefold()))
            for attribute, value in answer["labels"].items():
                by_label[attribute][value].append(found)
    for attribute, values in by_label.items():
        sizes = [sum(map(len, texts)) / len(texts) for texts in values.values()]
        if max(sizes) > 2 * min(sizes):
            continue  # the label is length itself: a longer text holds more of every word
        counts = {
            v: Counter(word for text in texts for word in text) for v, texts in values.items()
        }
        for value, count in counts.items():
            for word, times in count.items():
                everywhere = sum(other[word] for other in counts.values())
                telling = times >= max(8, len(values[value]) / 6) and times >= 0.9 * everywhere
                assert not telling, (attribute, value, word, times, everywhere)


def test_explanations_neither_name_their_level_nor_show_it_by_length(name: str) -> None:
    if name != "explain":
        pytest.skip("about levels")
    longest: Counter[str] = Counter()
    for line in bank_of(name):
        sizes = {a["labels"]["level"]: len(a["text"]) for a in line["answers"]}
        mean = sum(sizes.values()) / len(sizes)
        assert all(abs(size / mean - 1) <= 0.12 for size in sizes.values()), line["prompt"]
        longest[max(sizes, key=lambda level: sizes[level])] += 1
        assert not [a for a in line["answers"] if LEVEL_WORDS.search(a["text"])], line["prompt"]
    assert max(longest.values()) <= len(bank_of(name)) / 3


def test_roleplay_has_eight_voices_of_equal_length_in_a_scene(name: str) -> None:
    if name != "roleplay":
        pytest.skip("about voices")
    voices: Counter[str] = Counter()
    longest: Counter[str] = Counter()
    for line in bank_of(name):
        sizes = {a["labels"]["voice"]: len(a["text"]) for a in line["answers"]}
        mean = sum(sizes.values()) / len(sizes)
        assert all(abs(size / mean - 1) <= 0.08 for size in sizes.values()), line["prompt"]
        voices.update(sizes)
        longest[max(sizes, key=lambda voice: sizes[voice])] += 1
    assert len(voices) == 8
    assert min(voices.values()) >= 20
    assert max(longest.values()) <= 8


def test_forum_has_two_poles_of_equal_length_on_twelve_dimensions(name: str) -> None:
    if name != "forum":
        pytest.skip("about dimensions")
    poles: defaultdict[str, Counter[str]] = defaultdict(Counter)
    longer: Counter[str] = Counter()
    for line in bank_of(name):
        sizes: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for answer in line["answers"]:
            ((dimension, pole),) = answer["labels"].items()
            sizes[dimension][pole] = len(answer["text"])
        for dimension, two in sizes.items():
            assert max(two.values()) <= 1.09 * min(two.values()), line["prompt"]
            poles[dimension].update(two.keys())
            longer[max(two, key=lambda pole: two[pole])] += 1
    assert len(poles) == 12
    assert all(list(count.values()) == [8, 8] for count in poles.values())
    assert 3 <= min(longer.values()) <= max(longer.values()) <= 5


def test_in_forum_some_users_change_their_taste(name: str) -> None:
    if name != "forum":
        pytest.skip("about change")
    labels = {a["text"]: a["labels"] for line in bank_of(name) for a in line["answers"]}
    changed = [user for user in users_of(name) if user.group == "changed"]
    assert len(changed) >= 40
    early, late = Counter[bool](), Counter[bool]()
    for user in changed:
        wanted = labels[user.pairs[0].chosen]
        half = len(user.signals) // 2
        for place, signal in enumerate(user.signals):
            if isinstance(signal, Preference) and labels[signal.chosen].keys() == wanted.keys():
                (early if place < half else late)[labels[signal.chosen] == wanted] += 1
    assert early[False] > 10
    assert late[True] > 10
    assert early[True] == late[False] == 0


def test_there_are_two_hundred_users_with_signals_of_mixed_kinds(name: str) -> None:
    users = users_of(name)
    assert len(users) >= 200
    for user in users:
        kinds = Counter(signal.kind for signal in user.signals)
        assert 4 <= len(user.signals) <= 8
        assert len(kinds) >= 2
        assert kinds["preference"] >= 1
        assert 1 <= len(user.pairs) <= 3
        assert user.gold
        assert user.group
    assert {signal.kind for user in users for signal in user.signals} == KINDS


def test_in_forum_everybody_says_something_of_themselves(name: str) -> None:
    if name != "forum":
        pytest.skip("about personas and comments")
    for user in users_of(name):
        assert sum(signal.kind == "persona" for signal in user.signals) == 2


def test_building_again_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    output = tmp_path / "users.jsonl"
    script = str(DATASETS / "build.py")
    subprocess.run([sys.executable, script, name, "-o", str(output)], check=True, cwd=tmp_path)
    assert output.read_bytes() == (DATASETS / name / "users.jsonl").read_bytes()


def test_nothing_of_a_pair_occurs_in_any_signal(name: str) -> None:
    users = users_of(name)
    seen = {normal(text) for user in users for text in texts_in_signals(user)}
    for user in users:
        for pair in user.pairs:
            assert seen.isdisjoint(map(normal, (pair.prompt, pair.chosen, pair.rejected)))


def test_a_split_leaves_nobody_out(name: str) -> None:
    for seed in range(5):
        split = split_users(users_of(name), seed=seed)
        assert (split.dropped_users, split.dropped_pairs) == (0, 0)
        assert len(split.test) >= 60
        assert len(split.val) >= 40
        assert len(split.train) >= 80


def test_every_choice_has_its_opposite(name: str) -> None:
    pairs = [pair for user in users_of(name) for pair in user.pairs]
    choices = Counter((pair.prompt, pair.chosen, pair.rejected) for pair in pairs)
    for (prompt, chosen, rejected), times in choices.items():
        assert choices[prompt, rejected, chosen] == times


def test_tastes_are_balanced(name: str) -> None:
    tastes = Counter(user.gold for user in users_of(name))
    assert max(tastes.values()) <= 1.5 * min(tastes.values())


def test_the_surface_of_an_answer_does_not_tell_the_choice(name: str) -> None:
    shares = baselines_of(name)
    assert shares["longest answer"] < 0.75
    assert shares["bag of words"] < 0.75


def test_the_card_says_how_it_was_made_and_what_the_baselines_get(name: str) -> None:
    card = (DATASETS / name / "CARD.md").read_text(encoding="utf-8")
    for command in ("build.py", "baselines.py"):
        assert f"    python datasets/{command} {name}\n" in card
    assert f"{len(users_of(name))} made-up users" in card
    for share in baselines_of(name).values():
        assert f"| {share:.1%} |" in card
