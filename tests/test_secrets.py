"""A key that is planted in the environment is in nothing that a run writes or prints."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from popi_prompt.cli.main import cli
from popi_prompt.models import transport
from popi_prompt.models.redaction import REDACTED
from popi_prompt.stub_server import Faults, StubServer

KEYS = {"OPENAI_API_KEY": "sk-planted-0123456789abcdefghij", "MY_API_KEY": "planted/own+key=42"}
FAULTS = Faults(0.1, 0.05, 0.0, 0.02, 0.02, retry_after=0.01)
REFUSING = Faults(unauthorized=1.0)


def bytes_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def user(number: int) -> dict[str, Any]:
    return {
        "user_id": f"u{number}",
        "signals": [{"kind": "persona", "text": f"I am number {number}."}],
        "pairs": [{"prompt": f"What is {number}?", "chosen": "Short.", "rejected": "Rather long."}],
    }


def config(path: Path, server: StubServer) -> str:
    path.write_text(
        f"""
        [models.generator]
        model = "openai/stub"
        api_base = "{server.api_base}"
        [models.inference]
        model = "openai/other"
        api_base = "{server.api_base}"
        api_key_env = "MY_API_KEY"
        """,
        encoding="utf-8",
    )
    return str(path)


@pytest.mark.slow
def test_a_planted_key_is_nowhere(
    tmp_path: Path,
    own_cache_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(transport, "_backoff", lambda state: 0.0)
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    users = tmp_path / "users.jsonl"
    users.write_text("".join(json.dumps(user(i)) + "\n" for i in range(12)), encoding="utf-8")
    program, trace = tmp_path / "program.json", tmp_path / "run.trace.jsonl"
    with StubServer(faults=FAULTS) as stub, StubServer(faults=REFUSING) as refusing:
        common = ["--config", config(tmp_path / "models.toml", stub), "--trace", str(trace)]
        refused = ["--config", config(tmp_path / "refused.toml", refusing), "--trace", str(trace)]
        runs = [
            ["optimize", str(users), "-o", str(program), "--trials", "2", *common],
            ["infer", str(program), str(users), *common],
            ["respond", str(program), "Hi", "--summary", "Be brief.", *common],
            ["evaluate", str(program), str(users), "--json", *common],
            ["infer", str(program), str(users), *refused],
            ["respond", str(program), "Hi", "--summary", "Be brief.", *refused],
        ]
        results = [CliRunner().invoke(cli, arguments) for arguments in runs]
    printed = "".join(result.output for result in results) + caplog.text
    written = bytes_under(tmp_path) | bytes_under(own_cache_home)
    assert program in written
    for server in (stub, refusing):
        sent = {entry.headers["authorization"] for entry in server.log}
        assert sent == {f"Bearer {key}" for key in KEYS.values()}
    assert [result.exit_code for result in results[-2:]] == [1, 1]
    assert all(REDACTED in result.output for result in results[-2:])
    assert REDACTED in written[trace].decode()
    assert any("cache" in str(path) or path.suffix == ".sqlite" for path in written)
    for key in KEYS.values():
        assert key not in printed
        for path, content in written.items():
            assert key.encode() not in content, path
            assert os.fsencode(key) not in os.fsencode(path)
