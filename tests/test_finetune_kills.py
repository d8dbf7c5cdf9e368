"""SIGKILL anywhere in submit and wait; `benchmarks/finetune_kills.py` does it more often."""

from __future__ import annotations

import random

import pytest
from finetune_kills import killed_once


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_leaves_one_job_its_id_and_no_upload_unheard_of(seed: int) -> None:
    # Submitting takes the first 1.5 seconds, waiting the rest.
    outcome = killed_once(random.Random(seed), 2.0)
    assert outcome.sound, outcome
