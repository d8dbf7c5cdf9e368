"""Picks of Optuna's TPE sampler among the combinations of a space, told all that was tried."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial

_RANDOM = 6  # trials before the sampler learns from them


class Sampler:
    """Of a space with so many choices by name. What the space gets later is not picked."""

    def __init__(self, sizes: Mapping[str, int], seed: int):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._picked: optuna.Trial | None = None
        self._sizes = dict(sizes)
        self._distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(tuple(range(size))) for name, size in sizes.items()
        }

    def pick(self) -> dict[str, int]:
        """The next combination; it is to be told before another is picked."""
        self._picked = self._study.ask(self._distributions)
        return dict(self._picked.params)

    def tell(self, choice: Mapping[str, int], reward: float | None) -> None:
        """What a combination reached, None where it was stopped early."""
        state = TrialState.PRUNED if reward is None else TrialState.COMPLETE
        if self._picked is not None:
            self._study.tell(self._picked, reward, state)
            self._picked = None
        elif all(choice[name] < size for name, size in self._sizes.items()):
            self._study.add_trial(
                create_trial(
                    state=state,
                    value=reward,
                    params=dict(choice),
                    distributions=self._distributions,
                )
            )
