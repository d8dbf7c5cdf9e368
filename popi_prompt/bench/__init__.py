"""The benchmark: families of users x generators x what the generator is told, side by side."""

from __future__ import annotations

from popi_prompt.bench.families import Family, load_families
from popi_prompt.bench.files import RESULTS, write_results
from popi_prompt.bench.run import Bench, Block, bench
from popi_prompt.bench.settings import BENCH_ROWS, BenchSettings, quick

__all__ = [
    "BENCH_ROWS",
    "RESULTS",
    "Bench",
    "BenchSettings",
    "Block",
    "Family",
    "bench",
    "load_families",
    "quick",
    "write_results",
]
