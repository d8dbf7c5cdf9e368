"""Optimizers: from training and validation users to the best candidate. One contract."""

from __future__ import annotations

import importlib

from popi_prompt.errors import UsageError
from popi_prompt.named import load_named
from popi_prompt.optimizers.optimizer import Found, Kept, Optimizer, Task
from popi_prompt.optimizers.points import Point, undominated

OPTIMIZERS = {
    "popi": "popi:PopiOptimizer",
    "mipro": "mipro:MiproOptimizer",
    "gepa": "gepa:GepaOptimizer",
    "random": "bootstrap:RandomSearchOptimizer",
    "pareto": "pareto:ParetoOptimizer",
    "portrait": "portraits:PortraitOptimizer",
    "quotation": "quotations:QuotationOptimizer",
}


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The optimizer with this name, or a new one of the class at `module:Class`.

    Raises `UsageError` for a name that is none, and for a class that makes no optimizer.
    """
    if not isinstance(optimizer, str):
        return optimizer
    if ":" in optimizer:
        return _own(optimizer)
    if optimizer not in OPTIMIZERS:
        raise UsageError(
            f"unknown optimizer {optimizer!r}; known: {', '.join(OPTIMIZERS)}, or module:Class for "
            "one of your own"
        )
    module, _, name = OPTIMIZERS[optimizer].partition(":")
    made: Optimizer = getattr(importlib.import_module(f"{__name__}.{module}"), name)()
    return made


def _own(path: str) -> Optimizer:
    what = f"optimizer {path!r}"
    found = load_named(path, what, "Class", "mysearch:Search")
    try:
        made: Optimizer = found()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{what} cannot be made without arguments ({reason:.200})") from error
    if not (callable(getattr(made, "run", None)) and isinstance(getattr(made, "name", None), str)):
        raise UsageError(f"{what} is none: it needs a method 'run' and a text 'name'")
    return made


__all__ = [
    "OPTIMIZERS",
    "Found",
    "Kept",
    "Optimizer",
    "Point",
    "Task",
    "make_optimizer",
    "undominated",
]
