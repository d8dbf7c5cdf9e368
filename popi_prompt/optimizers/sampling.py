"""Picks of Optuna's TPE sampler among the combinations of a space, told all that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial

Direction = Literal["maximize", "minimize"]

_RANDOM = 6  # trials before the sampler learns from them


class Sampler:
    """Of a space with so many choices by name. What the space gets later is not picked.

    There is a direction for each objective.
    """

    def __init__(
        self, sizes: Mapping[str, int], seed: int, directions: Sequence[Direction] = ("maximize",)
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM, multivariate=True)
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        # Of two objectives Optuna learns from no trial that was pruned.
        self._stopped = TrialState.PRUNED if len(directions) == 1 else TrialState.FAIL
        self._picked: optuna.Trial | None = None
        self._sizes = dict(sizes)
        self._distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(tuple(range(size))) for name, size in sizes.items()
        }

    def pick(self) -> dict[str, int]:
        """The next combination; it is to be told before another is picked."""
        self._picked = self._study.ask(self._distributions)
        return dict(self._picked.params)

    def tell(self, choice: Mapping[str, int], reward: float | Sequence[float] | None) -> None:
        """What a combination reached, by objective; None where it was stopped early."""
        values = [reward] if isinstance(reward, float) else reward
        state = self._stopped if values is None else TrialState.COMPLETE
        if self._picked is not None:
            self._study.tell(self._picked, values, state)
            self._picked = None
        elif all(choice[name] < size for name, size in self._sizes.items()):
            self._study.add_trial(
                create_trial(
                    state=state,
                    values=values,
                    params=dict(choice),
                    distributions=self._distributions,
                )
            )
