"""Users under datasets/fresh: others than a family's, whose pairs are on later prompts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from test_families import DATASETS, KINDS, SENTENCE_END, module, texts_in_signals, users_of

from popi_prompt.dataset import load_users
from popi_prompt.schema import User
from popi_prompt.split import normal

FRESH = DATASETS / "fresh"
NAMES = sorted(path.stem for path in FRESH.glob("*.jsonl"))

pytestmark = pytest.mark.parametrize("name", NAMES)


@cache
def fresh_users_of(name: str) -> tuple[User, ...]:
    return load_users(FRESH / f"{name}.jsonl")


@cache
def fresh_bank_of(name: str) -> list[dict[str, Any]]:
    lines = (FRESH / "bank" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_there_are_enough_to_show_five_points(name: str) -> None:
    users = fresh_users_of(name)
    assert len(users) >= 152
    assert {signal.kind for user in users for signal in user.signals} == KINDS
    assert not {user.user_id for user in users} & {user.user_id for user in users_of(name)}
    assert all(user.gold and user.group and len(user.pairs) == 1 for user in users)


def test_their_pairs_are_on_prompts_that_nobody_of_the_family_met(name: str) -> None:
    old = users_of(name)
    seen = {normal(text) for user in old for text in texts_in_signals(user)}
    for pair in (pair for user in old for pair in user.pairs):
        seen |= {normal(pair.prompt), normal(pair.chosen), normal(pair.rejected)}
    asked = {normal(line["prompt"]) for line in fresh_bank_of(name)}
    for user in fresh_users_of(name):
        for pair in user.pairs:
            assert normal(pair.prompt) in asked
            assert seen.isdisjoint(map(normal, (pair.prompt, pair.chosen, pair.rejected)))


def test_their_signals_are_on_prompts_that_no_pair_of_the_family_has(name: str) -> None:
    contested = {
        normal(text)
        for user in (*users_of(name), *fresh_users_of(name))
        for pair in user.pairs
        for text in (pair.prompt, pair.chosen, pair.rejected)
    }
    for user in fresh_users_of(name):
        assert contested.isdisjoint(map(normal, texts_in_signals(user)))


def test_every_choice_has_its_opposite_and_tastes_are_balanced(name: str) -> None:
    pairs = [pair for user in fresh_users_of(name) for pair in user.pairs]
    choices = Counter((pair.prompt, pair.chosen, pair.rejected) for pair in pairs)
    for (prompt, chosen, rejected), times in choices.items():
        assert choices[prompt, rejected, chosen] == times
    tastes = Counter(user.gold for user in fresh_users_of(name))
    assert max(tastes.values()) <= 1.5 * min(tastes.values())


def test_the_answers_are_of_the_kind_of_the_first_ones(name: str) -> None:
    for line in fresh_bank_of(name):
        sizes: defaultdict[str, list[int]] = defaultdict(list)
        for answer in line["answers"]:
            assert len(SENTENCE_END.findall(answer["text"])) >= 2
            sizes[answer["labels"].get("length", "")].append(len(answer["text"]))
        for alike in sizes.values():
            if name == "roleplay":
                mean = sum(alike) / len(alike)
                assert all(abs(size / mean - 1) <= 0.08 for size in alike), line["prompt"]
            else:
                assert max(alike) - min(alike) <= 50, line["prompt"]


def test_building_again_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    output = tmp_path / "users.jsonl"
    script = str(DATASETS / "build.py")
    command = [sys.executable, script, name, "--fresh", "-o", str(output)]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert output.read_bytes() == (FRESH / f"{name}.jsonl").read_bytes()


def test_the_card_says_what_the_baselines_get(name: str) -> None:
    card = (FRESH / "CARD.md").read_text(encoding="utf-8")
    for command in ("build.py", "baselines.py"):
        assert f"    python datasets/{command} {name} --fresh\n" in card
    assert f"{len(fresh_users_of(name))} users" in card
    shares = module("baselines").measure(DATASETS / name / "users.jsonl", FRESH / f"{name}.jsonl")
    assert shares["longest answer"] < 0.75
    assert shares["bag of words"] < 0.75
    for share in shares.values():
        assert f"{share:.1%}" in card
