"""SIGKILL anywhere in `optimize`; `benchmarks/optimizer_kills.py` does it more often."""

from __future__ import annotations

import random

import pytest
from killed_searches import SMALLEST, run


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_run_goes_on_to_the_same_bytes_and_pays_no_answer_twice() -> None:
    draw = random.Random(0)
    whole = run(8, draw=draw, size=SMALLEST)
    assert (whole.repeated, whole.in_flight) == (0, 0)
    killed = run(8, kills=3, draw=draw, span=whole.seconds / 2, size=SMALLEST)
    assert killed.program == whole.program
    assert killed.repeated == 0
    assert (killed.trials, killed.trials_twice, killed.kept) == (whole.trials, 0, whole.kept)
    assert killed.calls == whole.calls + killed.in_flight
