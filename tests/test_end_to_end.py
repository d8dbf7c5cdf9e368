"""The whole path on the real SmolLM2: optimize, save, load in a fresh process, infer, respond."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import popi_prompt
from popi_prompt.cli.main import cli
from popi_prompt.errors import MissingDependency
from popi_prompt.models.weights import find_weights
from popi_prompt.seen import held_out

pytest.importorskip("llama_cpp")

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"

FRESH = """
import json, sys, popi_prompt

program = popi_prompt.load(sys.argv[1])
summaries = [program.infer(signals) for signals in json.load(sys.stdin)]
print(json.dumps(summaries))
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program optimized on a few users through the command line."""
    try:
        find_weights("smollm2-135m")
    except MissingDependency as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("end_to_end") / "program.json"
    arguments = ["optimize", str(DATA), "-o", str(path), "--max-users", "9", "--trials", "2"]
    result = CliRunner().invoke(cli, [*arguments, "--held-out", "3", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["program"] == str(path)
    assert not any(row["failures"] for row in report["rows"])
    return path


def test_a_fresh_process_infers_the_same_summaries(path: Path) -> None:
    program = popi_prompt.load(path)
    users = held_out(program, popi_prompt.load_users(DATA))[:3]
    here = [program.infer(user.signals) for user in users]
    assert all(here)
    wanted = {user.user_id for user in users}
    records = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    signals = [record["signals"] for record in records if record["user_id"] in wanted]
    order = [record["user_id"] for record in records if record["user_id"] in wanted]
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(path)],
        input=json.dumps(signals),
        capture_output=True,
        text=True,
        check=True,
    )
    there = dict(zip(order, json.loads(done.stdout), strict=True))
    assert [there[user.user_id] for user in users] == here


def test_the_program_answers_for_a_person_and_for_anybody(path: Path) -> None:
    user = popi_prompt.load_users(DATA)[0].user_id
    options = ["--user-file", str(DATA), "--user", user, "--compare", "--json"]
    arguments = ["respond", str(path), *options, "Say hello in one word."]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    answers = json.loads(result.stdout)
    assert answers.keys() == {"summary", "answer", "without_summary"}
    assert all(text.strip() for text in answers.values())


def test_the_program_is_optimized_on_what_it_says(path: Path) -> None:
    origin = popi_prompt.load(path).origin
    assert (origin.users, origin.trials, origin.scorer) == (9, 2, "likelihood")
    assert origin.scores_before is not None
    assert origin.scores_before.users == 3
