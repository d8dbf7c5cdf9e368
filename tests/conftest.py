"""No test touches the user's own cache; what the tests of hosted routes share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from popi_prompt.models import transport
from popi_prompt.stub_server import StubServer


def pytest_configure(config: pytest.Config) -> None:
    """Each of pytest's processes keeps to its cores, or their models wait for one another."""
    worker = getattr(config, "workerinput", None)
    if worker is None or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    at = int(worker["workerid"].removeprefix("gw")) % len(cores)
    os.sched_setaffinity(0, cores[at :: worker["workercount"]])


@pytest.fixture(autouse=True)
def own_cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for each test. Not by `monkeypatch`, which a test may undo."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A placeholder key, and waits between attempts too short to notice."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr(transport, "_backoff", lambda state: 0.01)
    monkeypatch.setattr(transport, "_spread", lambda state: 0.0)


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as server:
        yield server
