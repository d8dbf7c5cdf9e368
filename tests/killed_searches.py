"""`popi-prompt optimize` in its own process, killed at random moments, run again to the end."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popi_prompt.stub_server import Reply, StubServer

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
MODEL = "openai/stub"
LATENCY = 0.005
_COMMAND = "from popi_prompt.cli.main import run; run()"
_SIZE = {"--max-users": "9", "--trials": "3", "--held-out": "2"}
SMALLEST = {"--max-users": "6", "--trials": "1", "--held-out": "1"}
_PROBE = "Count from one to ten in words."
_EMPTY = 0.03  # the share of answers that are paid for and hold nothing
_WORDS = ("Use", "short", "plain", "exact", "warm", "dry", "words", "and", "say", "why", "first.")


class Sampler:
    """Answers by the request and by how often it was answered before, as a sampling model would.

    A process that is killed leaves at most `concurrency` calls without a consequence: these are in
    flight, and get the answer that was lost when they come again. Every other call that comes again
    is `repeated`, and answered differently.
    """

    def __init__(self, concurrency: int):
        self.asked = 0
        self.in_flight = 0
        self.repeated = 0
        self._concurrency = concurrency
        self._process = 0
        self._last: dict[int, str] = {}  # each process's last call
        self._sent: dict[str, int] = {}  # by which process, last
        self._lost: Counter[int] = Counter()
        self._draws: Counter[str] = Counter()
        self._lock = threading.Lock()

    def killed(self) -> None:
        """The next calls are another process's."""
        with self._lock:
            self._process += 1

    def __call__(self, body: dict[str, Any]) -> Reply:
        """What the stub says."""
        key = json.dumps(body, sort_keys=True)
        if _PROBE in key:  # one call at the door, several requests; no text of users
            return {}
        with self._lock:
            self.asked += 1
            if key in self._sent:
                self._again(key, self._sent[key])
            self._sent[key] = self._process
            self._last[self._process] = key
            digest = hashlib.sha256(f"{self._draws[key]} {key}".encode()).digest()
        return _drawn(digest, bool(body.get("logprobs")))

    def _again(self, key: str, process: int) -> None:
        self._lost[process] += process != self._process
        alone = self._concurrency > 1 or self._last[process] == key
        if process != self._process and alone and self._lost[process] <= self._concurrency:
            self.in_flight += 1
        else:
            self.repeated += 1
            self._draws[key] += 1


def _drawn(digest: bytes, logprobs: bool) -> Reply:
    if int.from_bytes(digest[:4], "big") < _EMPTY * 2**32:
        return {"content": ""}
    if logprobs:
        likely, other = ("A", "B") if digest[4] % 2 else ("B", "A")
        top = [{"token": likely, "logprob": -0.1 - digest[5] / 512, "bytes": None}]
        top.append({"token": other, "logprob": -1.4, "bytes": None})
        return {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}}
    return {"content": " ".join(_WORDS[byte % len(_WORDS)] for byte in digest[6:14])}


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that came to its end: what it wrote, how long it took without kills, what was sent.

    `seconds` are from when its folder was there to the end of the last process.
    """

    program: bytes
    trials: int
    trials_twice: int
    kept: int
    seconds: float
    kills: int
    calls: int
    in_flight: int
    repeated: int


def run(
    concurrency: int,
    *,
    kills: int = 0,
    draw: random.Random,
    span: float = 0.0,
    size: Mapping[str, str] = _SIZE,
) -> Ended:
    """One run with up to so many kills, each within `span` seconds of a process's work."""
    sampler = Sampler(concurrency)
    with (
        tempfile.TemporaryDirectory() as name,
        StubServer(latency=LATENCY, reply=sampler) as stub,
    ):
        folder = Path(name)
        _configure(folder, stub.api_base, concurrency)
        killed = 0
        while True:
            process = _start(folder, size)
            started = _until_folder(folder, process)
            if killed < kills and _killed_within(process, draw.uniform(0, span)):
                killed += 1
                sampler.killed()
                continue
            code = process.wait()
            seconds = time.monotonic() - started
            assert code == 0, (folder / "stderr").read_text(encoding="utf-8")
            return _ended(folder, seconds, killed, sampler)


def _configure(folder: Path, api_base: str, concurrency: int) -> None:
    sections = [
        f'[models.{role}]\nmodel = "{MODEL}"\napi_base = "{api_base}"\n'
        f"concurrency = {concurrency}\ntemperature = 0.7\n"
        for role in ("generator", "inference", "proposer")
    ]
    (folder / "models.toml").write_text("\n".join(sections), encoding="utf-8")


def _start(folder: Path, size: Mapping[str, str]) -> subprocess.Popen[bytes]:
    options = ["--config", folder / "models.toml", "--run-dir", folder / "run"]
    small = [each for option in size.items() for each in option]
    command: list[object] = [sys.executable, "-c", _COMMAND, "optimize", DATA, *options, *small]
    command += ["-o", folder / "program.json", "--scorer", "choice", "--force"]
    command += ["--demos", "synthetic"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder), "OPENAI_API_KEY": "none"}
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=stderr, env=environment
        )


def _until_folder(folder: Path, process: subprocess.Popen[bytes]) -> float:
    """When the process said where its folder is."""
    while b"run folder" not in (folder / "stderr").read_bytes() and process.poll() is None:
        time.sleep(0.005)
    return time.monotonic()


def _killed_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def _ended(folder: Path, seconds: float, kills: int, sampler: Sampler) -> Ended:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(folder / "run" / "journal.log")))
    study = optuna.load_study(study_name=None, storage=storage)
    numbers = [trial.user_attrs["number"] for trial in study.trials]
    curve = (folder / "run" / "curve.jsonl").read_bytes()
    program = (folder / "program.json").read_bytes()
    assert (folder / "run" / "program.json").read_bytes() == program
    return Ended(
        program=program,
        trials=len(set(numbers)),
        trials_twice=len(numbers) - len(set(numbers)),
        kept=curve.count(b"\n"),
        seconds=seconds,
        kills=kills,
        calls=sampler.asked,
        in_flight=sampler.in_flight,
        repeated=sampler.repeated,
    )
