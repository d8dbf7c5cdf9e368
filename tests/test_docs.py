"""Every Python block of README.md and docs/ runs, on a fake model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from popi_prompt import Program
from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.models import door
from popi_prompt.program import Origin
from popi_prompt.testing import FakeModel

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
REAL = "litellm.completion"


def blocks(*, real: bool) -> list[tuple[str, str]]:
    found = [(page.name, code) for page in PAGES for code in BLOCK.findall(page.read_text("utf-8"))]
    return [(name, code) for name, code in found if (REAL in code) is real]


def run(code: str, page: str) -> None:
    exec(compile(code, page, "exec"), {"__name__": page})


def prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "programs").mkdir()
    models = dict.fromkeys(("generator", "inference", "proposer"), "local/smollm2-135m")
    origin = Origin(scorer="likelihood", seed=0, dataset="sha256:0", users=1, trials=0)
    Program(UNTUNED_CANDIDATE, models, origin).save(folder / "programs" / "tastes.json")


@pytest.mark.parametrize(("page", "code"), blocks(real=False))
def test_the_block_runs(
    page: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, monkeypatch)
    monkeypatch.setattr(door, "open_route", lambda route: FakeModel(name=route.model))
    run(code, page)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "code"), blocks(real=True))
def test_the_block_runs_on_the_embedded_model(
    page: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.chdir(tmp_path)
    run(code, page)


def test_there_are_blocks_to_run() -> None:
    assert len(blocks(real=False)) >= 3
    assert len(blocks(real=True)) >= 1
