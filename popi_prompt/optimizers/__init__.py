"""Optimizers: from training and validation users to the best candidate. One contract."""

from __future__ import annotations

from popi_prompt.optimizers.optimizer import Found, Optimizer, Task
from popi_prompt.optimizers.popi import PopiOptimizer

__all__ = ["Found", "Optimizer", "PopiOptimizer", "Task"]
