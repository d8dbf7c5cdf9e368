"""The benchmark of a reward that is pure noise, a small one."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "noise_reward.py"


@pytest.mark.slow
def test_noise_ships_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "noise.json"
    monkeypatch.setattr(sys, "argv", ["noise_reward.py", "--runs", "4", "--output", str(output)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    record = json.loads(output.read_text())
    assert (record["runs"], record["kept"]) == (4, 4)
    assert record["seeds_that_shipped"] == []
    assert record["preferred_another"] > 0
    assert "kept in 4 of 4 runs" in capsys.readouterr().out
