"""Jobs at a provider: once, whatever happens; and what arrives there."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from finetune_server import BASE_MODEL, TuningServer
from hypothesis import given
from hypothesis import strategies as st
from jobs_scene import LEARNERS, QUICK, preference, sft, write

from popi_prompt.cli.main import cli
from popi_prompt.errors import (
    AuthenticationError,
    DataError,
    FineTuningRefused,
    FineTuningUnavailable,
    JobError,
    UsageError,
)
from popi_prompt.events import Event, Noted
from popi_prompt.finetune.job import METHODS, Hyperparameters, Order
from popi_prompt.finetune.job_folder import JobFolder
from popi_prompt.finetune.jobs import Submission, cancel, look, wait
from popi_prompt.finetune.provider import Place
from popi_prompt.finetune.providers import open_provider
from popi_prompt.finetune.record import JobRecord, new_record, record_from
from popi_prompt.finetune.training_file import TrainingFile, read_training_file
from popi_prompt.finetune.uploads import delete_files, list_files, places
from popi_prompt.models.litellm_errors import import_litellm

FILES, JOBS = "POST /v1/files", "POST /v1/fine_tuning/jobs"
ORDER = Order(BASE_MODEL, "sft", Hyperparameters(epochs=2))


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path / "state"


@pytest.fixture
def server() -> Iterator[TuningServer]:
    with TuningServer() as running:
        yield running


class Scene:
    """A folder of jobs, a training file, a server; `submit` as often as one likes."""

    def __init__(self, folder: Path, server: TuningServer, *, timeout: float = 5.0):
        self.server = server
        self.folder = JobFolder(folder / "jobs")
        self.train = write(folder / "train.jsonl")
        self.provider = open_provider(Place("openai", server.api_base, timeout=timeout))
        self.told: list[str] = []
        self.pace = QUICK

    def observe(self, event: Event) -> None:
        if isinstance(event, Noted):
            self.told.append(event.text)

    def submit(self, order: Order = ORDER, *, again: bool = False) -> JobRecord:
        submission = Submission(self.folder, self.provider, self.observe, self.pace)
        parts = {"train": read_training_file(self.train)}
        return submission.submit(order, parts, again=again)  # type: ignore[arg-type]

    def wait(self, record: JobRecord) -> JobRecord:
        return wait(self.folder, record, self.provider, self.observe, QUICK)

    def listed(self) -> set[str]:
        found = list_files(self.folder, places(self.folder), open_provider)
        return {each.file_id for each in found.files}


@pytest.fixture
def scene(tmp_path: Path, server: TuningServer) -> Scene:
    return Scene(tmp_path, server)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["finetune", *(str(each) for each in arguments)])


def one_line(result: Result, code: int, *says: str) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    for each in says:
        assert each in errors[0], errors[0]


# -- what arrives ---------------------------------------------------------------------------------


def test_a_preference_job_arrives_as_one_with_its_hyperparameters(
    server: TuningServer, tmp_path: Path
) -> None:
    pairs = write(tmp_path / "pairs.jsonl", preference)
    result = call(
        *("submit", pairs, "--model", BASE_MODEL, "--api-base", server.api_base),
        *("--method", "preference", "--beta", 0.2, "--epochs", 3, "--seed", 7, "--json"),
    )
    assert result.exit_code == 0, result.output
    (asked,) = server.asked("POST", "/v1/fine_tuning/jobs")
    assert asked.body["method"] == {
        "type": "dpo",
        "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": 3}},
    }
    assert (asked.body["model"], asked.body["seed"]) == (BASE_MODEL, 7)
    assert len(asked.body["suffix"]) <= 18
    assert asked.headers["idempotency-key"].startswith(asked.body["suffix"])
    (file,) = server.files.values()
    assert file.content == pairs.read_bytes()
    assert asked.body["training_file"] == file.file_id
    record = json.loads(result.stdout)
    assert (record["job_id"], record["order"]["method"]) == ("ftjob-0001", "preference")


def test_litellm_would_have_dropped_the_method(server: TuningServer, tmp_path: Path) -> None:
    file = server.store("pairs.jsonl", write(tmp_path / "pairs.jsonl", preference).read_bytes())
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    import_litellm().create_fine_tuning_job(
        model=BASE_MODEL,
        training_file=file.file_id,
        method=method,
        extra_body={"method": method},
        api_base=server.api_base,
        api_key="none",
    )
    (asked,) = server.asked("POST", "/v1/fine_tuning/jobs")
    assert "method" not in asked.body


def test_extra_fields_and_a_validation_file_arrive(server: TuningServer, tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", users=LEARNERS[:20])
    checked = write(tmp_path / "validation.jsonl", users=LEARNERS[20:])
    result = call(
        *("submit", train, "--validation", checked, "--model", BASE_MODEL),
        *("--api-base", server.api_base, "--extra", 'hyperparameters={"n_epochs": 4}'),
    )
    assert result.exit_code == 0, result.output
    (asked,) = server.asked("POST", "/v1/fine_tuning/jobs")
    assert asked.body["method"] == {"type": "supervised"}
    assert asked.body["hyperparameters"] == {"n_epochs": 4}
    assert server.files[asked.body["validation_file"]].content == checked.read_bytes()


# -- once -----------------------------------------------------------------------------------------


def test_submitting_twice_goes_on_with_the_same_job(scene: Scene, server: TuningServer) -> None:
    first = scene.submit()
    assert scene.submit() == first
    assert len(server.jobs) == len(server.files) == 1
    done = scene.wait(first)
    assert scene.submit() == done
    scene.submit(replace(ORDER, hyperparameters=Hyperparameters(epochs=5)))
    assert len(server.jobs) == 2
    write(scene.train, users=LEARNERS[:12])
    scene.submit()
    assert len(server.jobs) == 3


def test_another_machine_finds_the_job_by_its_content(
    scene: Scene, server: TuningServer, tmp_path: Path
) -> None:
    first = scene.submit()
    scene.folder = JobFolder(tmp_path / "other")
    assert scene.submit().job_id == first.job_id
    assert len(server.jobs) == len(server.files) == 1


@pytest.mark.slow
def test_the_record_is_on_disk_before_anything_is_sent(tmp_path: Path) -> None:
    with TuningServer() as gone:
        scene = Scene(tmp_path, gone, timeout=0.2)
    with pytest.raises(FineTuningUnavailable, match="run the same command again"):
        scene.submit()
    (record,) = scene.folder.all()
    assert (record.job_id, record.asked, record.files["train"].file_id) == (None, None, None)
    (path,) = scene.folder.path.glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(scene.folder.path.stat().st_mode) == 0o700
    assert LEARNERS[0].signals[0].chosen not in path.read_text("utf-8")  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("route", [FILES, JOBS])
@pytest.mark.parametrize("fault", [429, 500, 503, "lost", "late", "hang"])
def test_a_request_that_goes_wrong_is_made_up_for(
    tmp_path: Path, server: TuningServer, route: str, fault: int | str
) -> None:
    scene = Scene(tmp_path, server, timeout=0.4)
    server.fault(route, fault)
    record = scene.wait(scene.submit())
    assert record.status == "succeeded"
    server.finish()
    assert len(server.jobs) == len(server.files) == 1
    assert record.job_id in server.jobs


def test_after_its_last_attempt_the_next_run_looks_first(tmp_path: Path) -> None:
    with TuningServer() as server:
        scene = Scene(tmp_path, server)
        server.fault(JOBS, 500, 500, 500, "lost")
        with pytest.raises(FineTuningUnavailable):
            scene.submit()
        (record,) = scene.folder.all()
        assert record.asked is not None
        assert scene.submit().job_id == "ftjob-0001"
        assert len(server.jobs) == 1


@pytest.mark.slow
def test_what_is_on_record_is_waited_for_before_it_is_sent_again(
    scene: Scene, server: TuningServer
) -> None:
    scene.pace, server.lag = replace(QUICK, settle=10.0), 2.0
    server.fault(JOBS, 403)
    with pytest.raises(FineTuningRefused):
        scene.submit()
    assert scene.submit().job_id in server.jobs
    assert len(server.files) == 1


def test_a_wait_of_hours_is_told_instead_of_slept(
    scene: Scene, server: TuningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("popi_prompt.finetune.once.time.sleep", slept.append)
    server.retry_after = "7200"
    server.fault(FILES, 429)
    with pytest.raises(FineTuningUnavailable, match="same command again.* 7200 seconds") as caught:
        scene.submit()
    assert max(slept, default=0.0) <= 60
    assert (caught.value.retry_after, caught.value.arrived) == (7200, False)
    (record,) = scene.folder.all()
    assert record.files["train"].asked is None
    assert str(caught.value).startswith("openai at ")


def test_a_job_that_failed_is_followed_by_another_only_when_asked(
    scene: Scene, server: TuningServer
) -> None:
    write(scene.train, users=LEARNERS[:3])
    failed = scene.wait(scene.submit())
    assert (failed.status, failed.tuned_model) == ("failed", None)
    assert "must have at least 10" in str(failed.error)
    assert scene.submit().job_id == failed.job_id
    other = scene.submit(again=True)
    assert (other.attempt, len(server.jobs)) == (2, 2)
    assert scene.submit(again=True).job_id == other.job_id or other.over


def test_cancel_stops_it_and_stays(scene: Scene, server: TuningServer) -> None:
    server.step = 60
    record = cancel(scene.folder, scene.submit(), scene.provider)
    assert record.status == "cancelled"
    assert server.state(server.jobs[str(record.job_id)]) == "cancelled"
    assert cancel(scene.folder, record, scene.provider) == record
    assert scene.wait(record) == record


def test_events_are_told_once_also_after_a_restart(scene: Scene, server: TuningServer) -> None:
    server.step, server.page = 0.15, 2
    record = look(scene.folder, scene.submit(), scene.provider, scene.observe)
    again = scene.folder.find(record.key)
    assert again.last_event is not None
    scene.wait(again)
    told = [text for text in scene.told if not text.startswith(("job ", "sending"))]
    assert told == server.messages(server.jobs[str(record.job_id)])


@pytest.mark.slow
def test_wait_outlives_a_provider_that_is_down_for_a_while(
    scene: Scene, server: TuningServer
) -> None:
    record = scene.submit()
    server.fault(f"GET /v1/fine_tuning/jobs/{record.job_id}", *[500] * 9)
    assert scene.wait(record).status == "succeeded"
    assert sum("asking again" in text for text in scene.told) == 1


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("route", [FILES, JOBS])
@pytest.mark.parametrize("code", [402, 403, 404])
def test_a_refusal_is_one_line_that_says_what_else_to_do(
    scene: Scene, server: TuningServer, route: str, code: int
) -> None:
    server.fault(route, code)
    result = call("submit", scene.train, "--model", BASE_MODEL, "--api-base", server.api_base)
    one_line(result, 1, f"HTTP {code}", "not available to your", "another --provider", "TRL")
    assert not server.jobs


def test_a_model_that_cannot_be_tuned_and_a_spent_quota_are_refusals(
    scene: Scene, server: TuningServer
) -> None:
    with pytest.raises(FineTuningRefused, match="not available for fine-tuning"):
        scene.submit(replace(ORDER, model="other"))
    server.refusal = "You exceeded your current quota, please check your plan"
    server.fault(JOBS, 429)
    with pytest.raises(FineTuningRefused, match="no quota left"):
        scene.submit()
    (now,) = [record for record in scene.folder.all() if record.order.model == BASE_MODEL]
    assert now.asked is None


def test_a_refused_key_and_a_missing_one_are_named(
    scene: Scene, server: TuningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fault("GET /v1/files", 401)
    with pytest.raises(AuthenticationError, match="refused the key"):
        scene.submit()
    for provider, variable in (
        ("openai", "OPENAI_API_KEY"),
        ("together", "TOGETHER_API_KEY"),
        ("fireworks", "FIREWORKS_API_KEY"),
    ):
        monkeypatch.delenv(variable, raising=False)
        result = call("submit", scene.train, "--model", "m", "--provider", provider)
        one_line(result, 1, provider, f"export {variable} first")


def test_a_planted_key_is_sent_and_in_no_record_or_output(
    scene: Scene, server: TuningServer, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-planted-0123456789abcdefghij"
    monkeypatch.setenv("MY_API_KEY", key)
    server.refusal = f"Incorrect API key provided: {key}"
    server.fault(JOBS, 401)
    arguments = ("submit", scene.train, "--model", BASE_MODEL, "--api-base", server.api_base)
    refused = call(*arguments, "--api-key-env", "MY_API_KEY")
    done = call(*arguments, "--api-key-env", "MY_API_KEY")
    assert (refused.exit_code, done.exit_code) == (1, 0)
    assert {each.headers["authorization"] for each in server.log} == {f"Bearer {key}"}
    assert key not in refused.output + done.output
    written = [path for path in state_home.rglob("*") if path.is_file()]
    assert written
    assert all(key.encode() not in path.read_bytes() for path in written)


# -- files ----------------------------------------------------------------------------------------


def test_files_are_listed_by_records_and_provider_and_deleted(
    scene: Scene, server: TuningServer
) -> None:
    record = scene.submit()
    left = server.store(record.files["train"].name, b"left by a killed run")
    elsewhere = server.store("popi-0123456789abcdef-train.jsonl", b"of another machine")
    server.store("their-own.jsonl", b"")
    assert scene.listed() == {"file-0001", left.file_id, elsewhere.file_id}
    with pytest.raises(UsageError, match="cancel it first"):
        delete_files(scene.folder, record, scene.provider)
    record = scene.wait(record)
    gone = delete_files(scene.folder, record, scene.provider)
    assert set(gone) == {"file-0001", left.file_id}
    assert scene.listed() == {elsewhere.file_id}
    assert delete_files(scene.folder, scene.folder.find(record.key), scene.provider) == ()


@pytest.mark.slow
def test_a_file_deleted_elsewhere_is_shown_as_gone_and_an_unreachable_place_as_failed(
    tmp_path: Path,
) -> None:
    with TuningServer() as server:
        scene = Scene(tmp_path, server)
        scene.submit()
        server.files.clear()
        (listed,) = list_files(scene.folder, places(scene.folder), open_provider).files
        assert (listed.recorded, listed.at_provider) == (True, False)
    result = call("files", "--jobs-folder", scene.folder.path, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [each["at_provider"] for each in found["files"]] == [None]
    assert len(found["failures"]) == 1


def test_files_of_a_job_that_never_began_can_be_deleted_and_sent_again(
    scene: Scene, server: TuningServer
) -> None:
    server.fault(JOBS, 403)
    with pytest.raises(FineTuningRefused):
        scene.submit()
    (record,) = scene.folder.all()
    assert delete_files(scene.folder, record, scene.provider) == ("file-0001",)
    assert scene.submit().files["train"].file_id == "file-0002"
    assert len(server.files) == 1


def test_files_are_kept_while_a_lost_request_may_have_started_the_job(
    scene: Scene, server: TuningServer
) -> None:
    server.fault(JOBS, 500, 500, 500, "lost")
    with pytest.raises(FineTuningUnavailable):
        scene.submit()
    (record,) = scene.folder.all()
    with pytest.raises(UsageError, match="run the same `finetune submit` again"):
        delete_files(scene.folder, record, scene.provider)
    assert len(server.files) == 1
    assert delete_files(scene.folder, scene.wait(scene.submit()), scene.provider) == ("file-0001",)


# -- records and training files -------------------------------------------------------------------


def test_a_job_is_found_by_key_beginning_or_id(scene: Scene) -> None:
    record = scene.submit()
    for name in (record.key, record.key[:4], str(record.job_id)):
        assert scene.folder.find(name) == record
    for name in (record.key[:3], "none", ""):
        with pytest.raises(UsageError, match=f"known: {record.key}"):
            scene.folder.find(name)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"popi_prompt_finetune": 2}', '{"popi_prompt_finetune": 1}', "\xff"]
)
def test_a_damaged_record_is_one_clear_error(scene: Scene, text: str) -> None:
    scene.submit()
    (path,) = scene.folder.path.glob("*.json")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(JobError, match="jobs"):
        scene.folder.get(path.stem)


def test_a_job_that_was_not_submitted_to_the_end_says_so(
    scene: Scene, server: TuningServer
) -> None:
    server.fault(FILES, 403)
    with pytest.raises(FineTuningRefused):
        scene.submit()
    (record,) = scene.folder.all()
    for act in (look, wait, cancel):
        with pytest.raises(JobError, match="run the same `finetune submit` again"):
            act(scene.folder, record, scene.provider)


orders = st.builds(
    Order,
    model=st.text(min_size=1, max_size=20),
    method=st.sampled_from(METHODS),
    hyperparameters=st.builds(
        Hyperparameters,
        epochs=st.none() | st.integers(1, 9),
        beta=st.none() | st.floats(0.01, 5),
    ),
    seed=st.none() | st.integers(0, 99),
    extra=st.dictionaries(st.text(max_size=9), st.integers() | st.text(max_size=9), max_size=2),
)


@given(orders, orders, st.integers(1, 3))
def test_a_record_is_read_back_as_it_was_and_its_key_tells_jobs_apart(
    one: Order, other: Order, attempt: int
) -> None:
    file = TrainingFile(Path("train.jsonl"), "0" * 64, 9, 1, one.method, "openai")
    record = new_record(Place("openai"), one, {"train": file}, attempt)
    assert record_from(json.loads(json.dumps(record.as_record()))) == record
    assert record.key == new_record(Place("openai"), one, {"train": file}, attempt).key
    assert (record.key == new_record(Place("openai"), other, {"train": file}, attempt).key) is (
        one == other
    )
    assert record.key != new_record(Place("azure"), one, {"train": file}, attempt).key
    assert len(record.label) <= 18
    assert record.label.isalnum()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "is it a training file"),
        ('{"messages": []}', "no messages"),
        ('{"messages": [{"content": "x"}]}', "without a 'role'"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "assistant's message"),
        ('{"messages": [{"role": "assistant", "content": " "}]}', "without text"),
        ('{"prompt": [], "chosen": [], "rejected": []}', "TRL"),
        ('{"preferred_output": [], "non_preferred_output": []}', "no messages under 'input'"),
        (json.dumps(preference(LEARNERS[0])), "is a line for --method preference"),
        ('{"contents": []}', "has no turns"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(f"{json.dumps(sft(LEARNERS[0]))}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says) as caught:
        read_training_file(path)
    assert caught.value.line == 3


_NAMES = ("messages", "input", "preferred_output", "non_preferred_output", "role", "content")
names = st.sampled_from((*_NAMES, "contents", "chosen")) | st.text(max_size=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_a_training_file_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.mktemp("any") / "train.jsonl"
    path.write_text(json.dumps(value), encoding="utf-8")
    try:
        read = read_training_file(path)
    except DataError:
        return
    assert read.lines == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--model", "m", "--learning-rate", "0.1"], 2, "--learning-rate-multiplier"),
        (["--model", "m", "--beta", "0.1"], 2, "--method preference only"),
        (["--model", "m", "--method", "preference"], 1, "expected one for --method preference"),
        (["--model", "m", "--extra", "x"], 2, "expected KEY=JSON"),
        (["--model", "m", "--api-base", "nowhere"], 2, "not an address"),
        (["--model", "m", "--api-base", "http://me:secret@there/v1"], 2, "environment only"),
        (["--model", "m", "--validation", "absent.jsonl"], 1, "no such file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    tmp_path: Path,
    state_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    one_line(call("submit", write(tmp_path / "train.jsonl"), *arguments), code, says)
    assert not state_home.exists()


def test_the_validation_file_must_be_another(scene: Scene, server: TuningServer) -> None:
    result = call(
        *("submit", scene.train, "--validation", scene.train, "--model", BASE_MODEL),
        *("--api-base", server.api_base),
    )
    one_line(result, 2, "is the training file")


def test_the_commands_from_beginning_to_end(scene: Scene, server: TuningServer) -> None:
    assert call("status").stderr.strip() == "No jobs."
    assert call("files", "--api-base", server.api_base).stderr.strip() == "No files."
    submitted = call("submit", scene.train, "--model", BASE_MODEL, "--api-base", server.api_base)
    assert submitted.exit_code == 0, submitted.output
    key = submitted.stdout.split()[0]
    waited = call("wait", key[:6], "--poll", "0.1")
    assert waited.exit_code == 0, waited.output
    assert "tuned model    ft:gpt-4o-mini-2024-07-18:popi::ftjob-0001" in waited.stdout
    assert "The job has successfully completed" in waited.stderr
    assert key in call("status").stdout
    assert json.loads(call("status", key, "--json").stdout)["status"] == "succeeded"
    assert json.loads(call("status", "--json").stdout)[0]["key"] == key
    assert call("cancel", key).exit_code == 0
    assert "file-0001  popi-" in call("files").stdout
    assert call("delete-files", key).stdout.startswith("Deleted 1 files")
    assert not server.files
    one_line(call("wait", "nonsense"), 2, "no job 'nonsense'", key)


def test_wait_exits_with_1_where_the_job_fails(scene: Scene, server: TuningServer) -> None:
    write(scene.train, users=LEARNERS[:2])
    submitted = call("submit", scene.train, "--model", BASE_MODEL, "--api-base", server.api_base)
    result = call("wait", submitted.stdout.split()[0], "--poll", "0.1")
    assert result.exit_code == 1
    assert "must have at least 10" in result.stdout
