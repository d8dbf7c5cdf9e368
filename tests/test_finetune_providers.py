"""One contract, four ways to speak: each provider does the same, once, and refuses by its rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from finetune_dialects import ACCOUNT, BUCKET, PROJECT, ManyTongues
from jobs_scene import QUICK, Example, preference, sft, vertex, write

from popi_prompt.errors import FineTuningRefused, UsageError
from popi_prompt.finetune.job import Hyperparameters, Order
from popi_prompt.finetune.job_folder import JobFolder
from popi_prompt.finetune.jobs import Submission, cancel, wait
from popi_prompt.finetune.provider import NAMES, Name, Place, Provider
from popi_prompt.finetune.providers import open_provider
from popi_prompt.finetune.record import JobRecord
from popi_prompt.finetune.training_file import read_training_file
from popi_prompt.finetune.uploads import delete_files, list_files, places

MODEL = "gpt-4o-mini-2024-07-18"
SPOKEN: tuple[Name, ...] = ("openai", "azure", "together", "fireworks", "vertex")
CREATE = {
    "openai": "/v1/fine_tuning/jobs",
    "azure": "/v1/fine_tuning/jobs",
    "together": "/together/v1/fine-tunes",
    "fireworks": f"/fireworks/v1/accounts/{ACCOUNT}/supervisedFineTuningJobs",
    "vertex": f"/vertex/v1/projects/{PROJECT}/locations/us-central1/tuningJobs",
}
UPLOAD = {
    "openai": "POST /v1/files",
    "azure": "POST /v1/files",
    "together": "PUT /signed/file-0001",
    "fireworks": f"POST /fireworks/v1/accounts/{ACCOUNT}/datasets",
    "vertex": f"POST /vertex/upload/storage/v1/b/{BUCKET}/o",
}
ROUTES = {
    "openai": "openai/ft:",
    "azure": "azure/ft:",
    "together": "together_ai/ft:",
    "fireworks": "fireworks_ai/accounts/acme/models/popi",
    "vertex": "vertex_ai/gemini/77",
}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AZURE_API_KEY": "none",
        "FIREWORKS_ACCOUNT_ID": ACCOUNT,
        "VERTEXAI_PROJECT": PROJECT,
        "VERTEXAI_LOCATION": "us-central1",
        "GCS_BUCKET_NAME": f"gs://{BUCKET}",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[ManyTongues]:
    running = ManyTongues(page=3)
    with running:
        yield running


def reached(server: ManyTongues, name: Name) -> Provider:
    base = server.base("openai" if name == "azure" else name)
    return open_provider(Place(name, base, timeout=2.0))


def submit(
    server: ManyTongues, name: Name, folder: Path, order: Order, example: Example = sft
) -> JobRecord:
    path = write(folder / "train.jsonl", vertex if name == "vertex" else example)
    submission = Submission(JobFolder(folder / "jobs"), reached(server, name), pace=QUICK)
    return submission.submit(order, {"train": read_training_file(path)})


def test_every_provider_is_spoken_to() -> None:
    assert set(SPOKEN) == set(NAMES)


@pytest.mark.parametrize("name", SPOKEN)
def test_a_job_from_upload_to_deletion(server: ManyTongues, tmp_path: Path, name: Name) -> None:
    provider, folder = reached(server, name), JobFolder(tmp_path / "jobs")
    order = Order(MODEL, "sft", Hyperparameters(epochs=2))
    record = submit(server, name, tmp_path, order)
    assert submit(server, name, tmp_path, order) == record
    (file,) = server.files.values()
    assert file.content == (tmp_path / "train.jsonl").read_bytes()
    done = wait(folder, record, provider, pace=QUICK)
    assert done.status == "succeeded", done
    assert provider.routed(str(done.tuned_model)).startswith(ROUTES[name])
    (listed,) = list_files(folder, places(folder), open_provider).files
    assert (listed.name, listed.recorded, listed.at_provider) == (
        done.files["train"].name,
        True,
        True,
    )
    assert len(delete_files(folder, done, provider)) == 1
    assert not server.files
    provider.files.delete(listed.file_id)  # gone already
    assert len(server.jobs) == 1


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("fault", [500, "lost"])
@pytest.mark.parametrize("stage", ["upload", "create"])
def test_what_goes_wrong_is_made_up_for_once(
    server: ManyTongues, tmp_path: Path, name: Name, fault: int | str, stage: str
) -> None:
    server.fault(UPLOAD[name] if stage == "upload" else f"POST {CREATE[name]}", fault)
    record = submit(server, name, tmp_path, Order(MODEL, "sft"))
    assert list(server.jobs) == [str(record.job_id).rpartition("/")[2]]
    folder = JobFolder(tmp_path / "jobs")
    listed = list_files(folder, places(folder), open_provider).files
    assert {each.file_id for each in listed} == set(server.files)


@pytest.mark.parametrize("name", SPOKEN)
def test_a_job_can_be_stopped(server: ManyTongues, tmp_path: Path, name: Name) -> None:
    server.step = 60
    record = submit(server, name, tmp_path, Order(MODEL, "sft"))
    folder = JobFolder(tmp_path / "jobs")
    assert cancel(folder, record, reached(server, name)).status == "cancelled"


@pytest.mark.parametrize("name", SPOKEN)
def test_a_refusal_names_the_provider_and_what_else_to_do(
    server: ManyTongues, tmp_path: Path, name: Name
) -> None:
    server.fault(f"POST {CREATE[name]}", 403)
    with pytest.raises(FineTuningRefused, match=f"{name} .*another --provider"):
        submit(server, name, tmp_path, Order(MODEL, "sft"))


@pytest.mark.parametrize("name", ["openai", "azure", "together", "fireworks"])
def test_a_preference_job_is_one_there(server: ManyTongues, tmp_path: Path, name: Name) -> None:
    order = Order(MODEL, "preference", Hyperparameters(beta=0.3, epochs=2))
    record = submit(server, name, tmp_path, order, preference)
    (job,) = server.jobs.values()
    assert (job.method, job.error) == ("dpo", None)
    assert "0.3" in str(job.body)
    done = wait(JobFolder(tmp_path / "jobs"), record, reached(server, name), pace=QUICK)
    assert done.status == "succeeded"


def test_vertex_refuses_preference_jobs_and_files_of_others(
    server: ManyTongues, tmp_path: Path
) -> None:
    provider = reached(server, "vertex")
    with pytest.raises(FineTuningRefused, match="--method sft, or another --provider"):
        provider.queue.check(Order(MODEL, "preference"), validation=False)
    submission = Submission(JobFolder(tmp_path / "jobs"), provider, pace=QUICK)
    file = read_training_file(write(tmp_path / "openai.jsonl"))
    with pytest.raises(UsageError, match="export it for --provider vertex"):
        submission.submit(Order(MODEL, "sft"), {"train": file})
    assert server.log == []


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("openai", Hyperparameters(learning_rate=0.1), "--learning-rate-multiplier"),
        ("together", Hyperparameters(learning_rate_multiplier=0.1), "use --learning-rate"),
        ("fireworks", Hyperparameters(learning_rate_multiplier=0.1), "use --learning-rate"),
        ("fireworks", Hyperparameters(batch_size=4), "in tokens"),
        ("vertex", Hyperparameters(learning_rate=0.1), "--learning-rate-multiplier"),
        ("vertex", Hyperparameters(batch_size=4), "neither"),
    ],
)
def test_options_that_a_provider_has_no_field_for_are_refused(
    server: ManyTongues, tmp_path: Path, name: Name, given: Hyperparameters, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        submit(server, name, tmp_path, Order(MODEL, "sft", given))
    assert server.log == []
