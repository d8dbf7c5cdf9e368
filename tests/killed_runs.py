"""Submit and wait in a process of its own, killed at a random moment, then run to the end.

Run as a script it is that process: FOLDER API_BASE SEED.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from finetune_server import BASE_MODEL, TuningServer
from jobs_scene import write

from popi_prompt.finetune.job import Order
from popi_prompt.finetune.job_folder import JobFolder
from popi_prompt.finetune.jobs import Pace, Submission, wait
from popi_prompt.finetune.provider import Place
from popi_prompt.finetune.providers import open_provider
from popi_prompt.finetune.training_file import read_training_file
from popi_prompt.finetune.uploads import list_files, places

PACE = Pace(poll=0.1, slowest=0.2, settle=2.0)
LATENCY, STEP = 0.05, 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found after a kill `seconds` after the first request, and another run to the end.

    `requests` is how many had arrived until then.
    """

    seconds: float
    requests: int
    killed: bool
    jobs: int
    id_kept: bool
    uploads: int
    unlisted: int
    status: str | None

    @property
    def sound(self) -> bool:
        """One job, its id on record, no upload that nobody would hear of."""
        done = self.status == "succeeded"
        return self.jobs == 1 and self.id_kept and self.unlisted == 0 and done


def run(folder: Path, api_base: str, seed: int) -> None:
    """What is killed: it also goes on with what a killed run left."""
    jobs, provider = JobFolder(folder / "jobs"), open_provider(Place("openai", api_base))
    order = Order(BASE_MODEL, "sft", seed=seed)
    files = {part: read_training_file(folder / f"{part}.jsonl") for part in ("train", "validation")}
    record = Submission(jobs, provider, pace=PACE).submit(order, files)  # type: ignore[arg-type]
    wait(jobs, record, provider, pace=PACE)


def killed_once(draw: random.Random, span: float) -> Outcome:
    """One job: killed at a random point of `span` seconds, then finished."""
    with tempfile.TemporaryDirectory() as name, TuningServer(step=STEP, latency=LATENCY) as server:
        folder = Path(name)
        write(folder / "train.jsonl")
        write(folder / "validation.jsonl", lambda user: {"messages": [*_turns(user.user_id)]})
        seconds, seed = draw.uniform(0, span), draw.randrange(1000)
        process = _start(folder, server, seed)
        _until_asked(server, process)
        time.sleep(seconds)
        requests, was_running = len(server.log), process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _start(folder, server, seed).wait() == 0
        server.finish()
        return _found(folder, server, (seconds, requests, was_running))


def span_of_a_run() -> float:
    """Seconds from the first request of an undisturbed run to a moment after its last one."""
    with tempfile.TemporaryDirectory() as name, TuningServer(step=STEP, latency=LATENCY) as server:
        folder = Path(name)
        write(folder / "train.jsonl")
        write(folder / "validation.jsonl", lambda user: {"messages": [*_turns(user.user_id)]})
        process = _start(folder, server, 0)
        assert process.wait() == 0
        return server.log[-1].at - server.log[0].at + 3 * LATENCY


def _turns(text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": text}, {"role": "assistant", "content": text})


def _start(folder: Path, server: TuningServer, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, folder, server.api_base, f"{seed}"])


def _until_asked(server: TuningServer, process: subprocess.Popen[bytes]) -> None:
    while not server.log and process.poll() is None:
        time.sleep(0.002)


def _found(folder: Path, server: TuningServer, kill: tuple[float, int, bool]) -> Outcome:
    jobs = JobFolder(folder / "jobs")
    (record,) = jobs.all()
    listed = list_files(jobs, places(jobs), open_provider)
    unlisted = set(server.files) - {each.file_id for each in listed.files}
    return Outcome(
        *kill,
        jobs=len(server.jobs),
        id_kept=record.job_id in server.jobs,
        uploads=len(server.files),
        unlisted=len(unlisted),
        status=record.status,
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
