"""SIGKILL anywhere in submit and wait; `benchmarks/finetune_kills.py` does it more often."""

from __future__ import annotations

import random

import pytest
from killed_runs import killed_once


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_kill_leaves_one_job_its_id_and_no_upload_unheard_of(seed: int) -> None:
    outcome = killed_once(random.Random(seed), 1.5)
    assert outcome.sound, outcome
