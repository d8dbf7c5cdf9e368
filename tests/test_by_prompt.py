"""benchmarks/by_prompt.py: a gain by prompt, from the cells of a benchmark."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from popi_prompt.dataset import write_users
from popi_prompt.schema import Pair, Persona, User

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "by_prompt.py"
spec = importlib.util.spec_from_file_location("by_prompt", SCRIPT)
assert spec is not None
assert spec.loader is not None
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)

GAINS = {"a": 1.0, "b": 3.0, "c": -1.0, "d": 2.0, "e": 5.0, "f": 4.0}


def write(folder: Path) -> Path:
    """Users a and b, c and d share a prompt; g failed in one row."""
    prompts = {"a": "one", "b": "One ", "c": "two", "d": "two", "e": "three", "f": "four"}
    users = [
        User(name, (Persona("x"),), (Pair(prompts.get(name, "five"), "yes", "no"),))
        for name in (*GAINS, "g")
    ]
    write_users(folder / "tastes.jsonl", users)
    (folder / "cells").mkdir()
    for row, share in (("compiled", 1.5), ("untuned", 0.5)):
        failed: dict[str, Any] = {"user_id": "g", "reason": "no answer"}
        told = {"user_id": "g", "scores": [[9.0, 1.0, 1.0]]}
        results = [failed if row == "untuned" else told]
        results += [
            {"user_id": n, "scores": [[gain * share, 1.0, 1.0]]} for n, gain in GAINS.items()
        ]
        path = folder / "cells" / f"tastes--fake-g--{row}.json"
        path.write_text(json.dumps({"results": results}))
    return folder / "tastes.jsonl"


def test_users_of_a_prompt_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path)
    script.main([str(data), str(tmp_path), "--generator", "fake/g"])
    printed = capsys.readouterr().out
    assert "compiled less untuned, fake/g, 4 prompts:\nD +2.88 [" in printed
    assert "4 prompts gain; +0.50 to +5.00" in printed


def test_a_row_that_was_not_measured_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path)
    with pytest.raises(SystemExit) as end:
        script.main([str(data), str(tmp_path), "--generator", "fake/g", "--row", "raw"])
    assert end.value.code == 2
    assert "there is no" in capsys.readouterr().err
