"""Damaged files of every public format load or are refused with a place; benchmarks do more."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from public_formats import FORMATS

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "fuzz_importers.py"
FILES = 40


@pytest.fixture(scope="module")
def fuzzer() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("label", [*FORMATS, "users"])
def test_damaged_files_load_or_are_refused_with_a_place(
    label: str, fuzzer: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    found = fuzzer["fuzz"](fuzzer["make_targets"](tmp_path)[label], FILES, start=1)
    assert found.broken == []
    assert found.counts["loaded"] + found.counts["refused"] == found.counts["files"]
    assert found.counts["refused"]
    assert found.counts["files"] >= FILES // 2
