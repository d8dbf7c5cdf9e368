"""Fine-tuning is done by others: nothing here imports torch, and nothing here needs it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata

import pytest

FOREIGN = {"torch", "tensorflow", "jax", "transformers"}
MODULES = (
    "popi_prompt.cli.main",
    "popi_prompt.cli.finetune",
    "popi_prompt.finetune.adopt",
    "popi_prompt.finetune.jobs",
    "popi_prompt.finetune.uploads",
    *(f"popi_prompt.finetune.providers.{n}" for n in ("openai", "together", "fireworks", "vertex")),
)


@pytest.mark.slow
def test_no_import_loads_torch() -> None:
    code = f"import {', '.join(MODULES)}\nimport openai, litellm, dspy"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "popi_prompt.finetune.adopt" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in FOREIGN}


def test_no_requirement_needs_torch() -> None:
    """All that installing the package brings along, with every extra of it."""
    found, waiting = set[str](), ["popi-prompt"]
    while waiting:
        name = waiting.pop()
        for line in requirements(name, extras=name == "popi-prompt"):
            if line not in found:
                found.add(line)
                waiting.append(line)
    assert {"litellm", "openai", "httpx"} <= found
    assert not found & FOREIGN


def requirements(name: str, *, extras: bool) -> list[str]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # for another platform
        return []
    wanted = lines if extras else [line for line in lines if "extra ==" not in line]
    names = [re.match(r"[\w.-]+", line) for line in wanted]
    return [re.sub(r"[-_.]+", "-", each[0]).lower() for each in names if each is not None]
