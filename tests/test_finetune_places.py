"""A job stays where it was begun, whatever the environment says later; accounts are told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from finetune_dialects import ACCOUNT, BUCKET, LOCATION, PROJECT, ManyTongues
from finetune_server import BASE_MODEL, TuningServer
from jobs_scene import QUICK, sft, vertex, write

from popi_prompt.cli.finetune_options import PlaceOptions
from popi_prompt.cli.main import cli
from popi_prompt.errors import AuthenticationError
from popi_prompt.finetune.job import Order
from popi_prompt.finetune.job_folder import JobFolder, default_folder
from popi_prompt.finetune.jobs import Submission, wait
from popi_prompt.finetune.provider import Name, Place
from popi_prompt.finetune.providers import open_provider
from popi_prompt.finetune.record import new_record
from popi_prompt.finetune.training_file import TrainingFile, read_training_file

FILE = TrainingFile(Path("train.jsonl"), "0" * 64, 9, 1, "sft", "openai")
ORDER = Order(BASE_MODEL, "sft")
BASES = {"openai": "OPENAI_BASE_URL", "azure": "AZURE_API_BASE"}
SETTINGS = {
    "FIREWORKS_ACCOUNT_ID": ACCOUNT,
    "VERTEXAI_PROJECT": PROJECT,
    "VERTEXAI_LOCATION": LOCATION,
    "GCS_BUCKET_NAME": BUCKET,
    "AZURE_API_BASE": "https://one.openai.azure.com",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    "OPENAI_ORG_ID": "org-one",
    "OPENAI_PROJECT_ID": "proj-one",
}
NEW_FIELDS = ("account", "project", "location", "bucket", "resolved")


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys alone; where jobs run is for the tests to say."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "AZURE_API_KEY", "FIREWORKS_API_KEY"):
        monkeypatch.setenv(name, "none")


@pytest.fixture
def servers() -> Iterator[tuple[TuningServer, TuningServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(TuningServer()), stack.enter_context(TuningServer())


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["finetune", *(str(each) for each in arguments)])


def done(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result, *says: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for each in says:
        assert each in error


def submitted(train: Path, provider: str) -> str:
    return done("submit", train, "--model", BASE_MODEL, "--provider", provider).split()[0]


def key_of(place: Place) -> str:
    return new_record(place, ORDER, {"train": FILE}).key


def made_older(folder: JobFolder, key: str) -> str:
    """The record as it was written before accounts were on record; returns its key."""
    path = folder.path / f"{key}.json"
    raw = json.loads(path.read_text("utf-8"))
    raw["place"] = {k: v for k, v in raw["place"].items() if k not in NEW_FIELDS}
    raw["place"]["api_base"] = None
    file = replace(FILE, sha256=raw["files"]["train"]["sha256"])
    older = new_record(Place(raw["place"]["provider"]), ORDER, {"train": file}).key
    path.unlink()
    (folder.path / f"{older}.json").write_text(json.dumps(raw).replace(key, older), "utf-8")
    return older


@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_a_second_resource_is_another_job_and_each_is_asked_where_it_runs(
    servers: tuple[TuningServer, TuningServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
) -> None:
    train = write(tmp_path / "train.jsonl")
    keys = []
    for server in servers:
        monkeypatch.setenv(BASES[provider], server.api_base)
        keys.append(submitted(train, provider))
        assert len(server.jobs) == len(server.files) == 1
    assert keys[0] != keys[1]
    first, second = servers
    done("wait", keys[0], "--poll", "0.1")  # the environment says the second one now
    assert done("delete-files", keys[0]).startswith("Deleted 1 files")
    assert (len(first.files), len(second.files)) == (0, 1)
    monkeypatch.delenv(BASES[provider])
    assert "succeeded" in done("wait", keys[1], "--poll", "0.1")


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        *(("openai", name) for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")),
        ("azure", "AZURE_API_BASE"),
        ("fireworks", "FIREWORKS_ACCOUNT_ID"),
        *(("vertex", name) for name in ("VERTEXAI_PROJECT", "VERTEXAI_LOCATION")),
        ("vertex", "GCS_BUCKET_NAME"),
    ],
)
def test_what_says_where_a_job_runs_is_part_of_its_key(
    monkeypatch: pytest.MonkeyPatch, provider: str, variable: str
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    options = PlaceOptions(provider, None, None)
    one = options.place()
    assert key_of(options.place()) == key_of(one)
    monkeypatch.setenv(variable, "http://127.0.0.1:2/v1")
    assert key_of(options.place()) != key_of(one)
    assert options.place().shown != one.shown


def test_keys_of_places_without_such_settings_are_what_they_were() -> None:
    assert key_of(PlaceOptions("openai", None, None).place()) == "9a69b281203e1c78"
    assert key_of(PlaceOptions("together", None, "MY_KEY").place()) == "a0cba7158931f071"
    assert key_of(Place("openai", "http://127.0.0.1:8000/v1")) == "30077ae9c6878aaa"


@pytest.mark.parametrize(
    ("provider", "variables"),
    [
        ("fireworks", ["FIREWORKS_ACCOUNT_ID"]),
        ("vertex", ["VERTEXAI_PROJECT", "VERTEXAI_LOCATION", "GCS_BUCKET_NAME"]),
    ],
)
def test_account_project_and_bucket_are_those_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: Name, variables: list[str]
) -> None:
    for name in variables:
        monkeypatch.setenv(name, SETTINGS[name])
    folder = JobFolder(tmp_path / "jobs")
    train = write(tmp_path / "train.jsonl", vertex if provider == "vertex" else sft)
    server = ManyTongues()
    with server:
        there = open_provider(Place(provider, server.base(provider)))
        record = Submission(folder, there, pace=QUICK).submit(
            ORDER, {"train": read_training_file(train)}
        )
        for name in variables:
            monkeypatch.setenv(name, "somebody-elses")
        again = folder.find(record.key)
        assert wait(folder, again, open_provider(again.place), pace=QUICK).status == "succeeded"
        done("delete-files", record.key, "--jobs-folder", folder.path)
        assert not server.files


def test_openais_organization_and_project_are_those_at_the_beginning(
    servers: tuple[TuningServer, TuningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = servers[0].api_base
    bare = open_provider(Place("openai", base)).place
    monkeypatch.setenv("OPENAI_ORG_ID", "org-one")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-one")
    named = open_provider(Place("openai", base)).place
    monkeypatch.setenv("OPENAI_ORG_ID", "org-two")
    list(open_provider(named).files.uploads())
    list(open_provider(bare).files.uploads())
    sent = [each.headers for each in servers[0].log]
    assert [each.get("openai-organization") for each in sent] == ["org-one", None]
    assert [each.get("openai-project") for each in sent] == ["proj-one", None]


def test_a_missing_key_of_azure_is_named_also_with_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AZURE_API_KEY")
    monkeypatch.setenv("AZURE_API_BASE", SETTINGS["AZURE_API_BASE"])
    with pytest.raises(AuthenticationError, match="export AZURE_API_KEY first"):
        open_provider(Place("azure"))


def test_an_address_in_the_environment_that_holds_a_secret_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:secret@there/v1")
    refused(call("submit", write(tmp_path / "t.jsonl"), "--model", "m"), "environment only")
    assert not (tmp_path / "state").exists()


# -- records from before accounts were on record --------------------------------------------------


@pytest.fixture
def older(
    servers: tuple[TuningServer, TuningServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The key of a job at the first resource, with its record as it was written then."""
    monkeypatch.setenv("AZURE_API_BASE", servers[0].api_base)
    folder = JobFolder(default_folder())
    server_key = submitted(write(tmp_path / "train.jsonl"), "azure")
    key = made_older(folder, server_key)
    for file in servers[0].files.values():
        file.name = file.name.replace(server_key, key)
    assert folder.find(key).place == Place("azure")
    return key


def test_an_older_record_is_gone_on_with(
    servers: tuple[TuningServer, TuningServer], tmp_path: Path, older: str
) -> None:
    assert submitted(tmp_path / "train.jsonl", "azure") == older
    assert len(servers[0].jobs) == 1
    record = json.loads(done("wait", older, "--poll", "0.1", "--json"))
    assert (record["status"], record["place"]["api_base"]) == ("succeeded", servers[0].api_base)
    done("delete-files", older)
    assert not servers[0].files


def test_an_older_record_of_another_resource_does_not_stand_in_the_way(
    servers: tuple[TuningServer, TuningServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    older: str,
) -> None:
    monkeypatch.setenv("AZURE_API_BASE", servers[1].api_base)
    assert submitted(tmp_path / "train.jsonl", "azure") != older
    assert len(servers[1].jobs) == 1


def test_files_of_an_older_record_are_not_taken_for_deleted_where_they_never_were(
    servers: tuple[TuningServer, TuningServer],
    monkeypatch: pytest.MonkeyPatch,
    older: str,
) -> None:
    done("wait", older, "--poll", "0.1")
    folder = JobFolder(default_folder())
    folder.update(older, lambda now: replace(now, place=Place("azure")))
    monkeypatch.setenv("AZURE_API_BASE", servers[1].api_base)
    refused(call("delete-files", older), "may lie elsewhere", "AZURE_API_BASE")
    monkeypatch.setenv("AZURE_API_BASE", servers[0].api_base)
    done("delete-files", older)
    assert not servers[0].files


# -- the list of files, and the folder of records -------------------------------------------------


def test_two_keys_of_one_account_list_each_file_once(
    servers: tuple[TuningServer, TuningServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers[0]
    place = ("--model", BASE_MODEL, "--api-base", server.api_base)
    for number, variable in enumerate(("ONE_API_KEY", "OTHER_API_KEY")):
        monkeypatch.setenv(variable, "none")
        train = write(tmp_path / f"{number}.jsonl")
        done("submit", train, *place, "--seed", number, "--api-key-env", variable)
    listed = json.loads(done("files", "--json"))["files"]
    assert sorted(each["file_id"] for each in listed) == sorted(server.files)
    assert all(each["recorded"] and each["job"] for each in listed)
    monkeypatch.delenv("ONE_API_KEY")
    result = call("files", "--json")
    assert result.exit_code == 1
    found: list[dict[str, Any]] = json.loads(result.stdout)["files"]
    assert [each["at_provider"] for each in found] == [True, True]


def test_a_folder_of_records_that_cannot_be_written_is_one_line(
    servers: tuple[TuningServer, TuningServer], tmp_path: Path
) -> None:
    train = write(tmp_path / "train.jsonl")
    order = ("--model", BASE_MODEL, "--api-base", servers[0].api_base)
    key = done("submit", train, *order).split()[0]
    jobs = tmp_path / "other"
    (jobs / f".{key}.submit.lock").mkdir(parents=True)  # no lock can be made there
    refused(call("submit", train, *order, "--jobs-folder", jobs), "cannot use --jobs-folder")


def test_what_fails_under_the_lock_keeps_its_own_error(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "jobs")
    with pytest.raises(OSError, match="its own"), folder.submitting("k"):
        raise OSError("its own")
    with folder.submitting("k"):  # and lets the lock go
        pass
