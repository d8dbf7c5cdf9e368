"""Which candidate summaries work: a table of rewards over training users, grown where it pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from popi_prompt.bank import Statement
from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.errors import ModelError, OptimizationError
from popi_prompt.evaluation import in_parallel
from popi_prompt.events import Advanced, PhaseStarted
from popi_prompt.inference import SUMMARY_SAMPLING
from popi_prompt.models.attribution import attributed
from popi_prompt.models.model import Sampling
from popi_prompt.models.roles import Role
from popi_prompt.ngrams import copies, words
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.prompts import Conditioning, Messages, render_signals
from popi_prompt.proposals import summary_request
from popi_prompt.schema import User

_SAMPLED_USERS = 2
_LONGEST = 60
_CLEARLY = 0.3
_COPIED_WORDS = 4


class RewardTable:
    """Rewards of summaries on users under one conditioning; each cell is paid once."""

    def __init__(self, task: Task, conditioning: Conditioning):
        self._task = task
        self.metric = task.metric(conditioning)
        self._cells: dict[tuple[str, str], float] = {}

    def fill(self, users: Sequence[User], texts: Sequence[str], title: str) -> None:
        """Score every text on every user: see `fill_cells`."""
        self.fill_cells([(user, text) for user in users for text in texts], title)

    def fill_cells(self, cells: Sequence[tuple[User, str]], title: str) -> None:
        """Score these texts on these users; a cell that fails stays empty.

        Raises `OptimizationError` with the first reason if nothing could be scored so far.
        """
        task = self._task
        missing = [(user, text) for user, text in cells if (user.user_id, text) not in self._cells]
        task.observer(PhaseStarted(title, len(missing)))
        workers = task.door.model("generator").concurrency
        scored = in_parallel(self._cell, missing, workers)
        for (user, text), reward in zip(missing, scored, strict=True):
            if not isinstance(reward, ModelError):
                self._cells[user.user_id, text] = reward
        failures = [reward for reward in scored if isinstance(reward, ModelError)]
        if failures and not self._cells:
            raise OptimizationError(f"no training user could be scored; {failures[0]}")

    def _cell(self, cell: tuple[User, str]) -> float | ModelError:
        user, text = cell
        try:
            return self.metric.outcome(user, text).reward
        except ModelError as error:
            return error
        finally:
            self._task.observer(Advanced())

    def rewards(self, user: User, texts: Iterable[str]) -> list[float]:
        """A user's rewards for these texts; minus infinity where a cell is empty."""
        return [self._cells.get((user.user_id, text), -np.inf) for text in texts]

    def mean(self, users: Sequence[User], text: str) -> float:
        """A text's mean reward over the users; minus infinity where no cell is filled."""
        values = [value for user in users if np.isfinite(value := self.rewards(user, [text])[0])]
        return float(np.mean(values)) if values else -np.inf

    def best_of(self, users: Sequence[User], texts: Sequence[str]) -> float:
        """Mean over users of the best reward that one of the texts gives them."""
        best = [max(self.rewards(user, texts)) for user in users]
        finite = [value for value in best if np.isfinite(value)]
        return float(np.mean(finite)) if finite else -np.inf

    def kinds_of_taste(self, users: Sequence[User], texts: Sequence[str]) -> tuple[str, ...]:
        """The first texts of `cover`, as long as one more serves the users clearly better.

        With noise, one more always looks a little better; it must gain a good part of what the
        second one gained.
        """
        ordered = self.cover(users, texts, len(texts))
        values = [self.best_of(users, ordered[:n]) for n in range(1, len(ordered) + 1)]
        gains = np.diff(values) if np.all(np.isfinite(values)) else np.zeros(len(values) - 1)
        enough = [n for n, gain in enumerate(gains, start=1) if gain < _CLEARLY * gains[0]]
        return ordered[: enough[0]] if enough else ordered

    def cover(self, users: Sequence[User], texts: Sequence[str], count: int) -> tuple[str, ...]:
        """The few texts that together serve the users best, best first: greedy `best_of`."""
        chosen: list[str] = []
        rest = list(texts)
        while rest and len(chosen) < count:
            best = max(rest, key=lambda text: self.best_of(users, [*chosen, text]))
            chosen.append(best)
            rest.remove(best)
        return tuple(chosen)

    def opposed(
        self, users: Sequence[User], texts: Sequence[str], count: int, chosen: Sequence[str]
    ) -> tuple[str, ...]:
        """Of those not chosen, the few with the lowest mean reward, the lowest first.

        They move answers most, the wrong way for these users: others may want just that.
        """
        rest = [text for text in texts if text not in chosen]
        means = {
            text: float(np.mean([self.rewards(user, [text])[0] for user in users])) for text in rest
        }
        scored = [text for text in rest if np.isfinite(means[text])]
        return tuple(sorted(scored, key=means.__getitem__)[:count])


def candidate_summaries(
    task: Task, users: Sequence[User], bank: Sequence[Statement]
) -> tuple[str, ...]:
    """Texts that may serve some user: the bank, own samples and, if stronger, the proposer's.

    A text sampled for one user is a candidate for all, so that users learn from each other; a text
    that repeats the signals is no summary and is left out, as is one that the guard does not let
    into a program. Raises `OptimizationError` if none is left.
    """
    texts = [statement.text for statement in bank]
    stronger = task.door.names["proposer"] != task.door.names["inference"]
    shown = users[:_SAMPLED_USERS]
    task.observer(PhaseStarted("sampling summaries", len(shown) * (1 + stronger)))
    for i, user in enumerate(shown):
        signals = render_signals(user.signals)
        own = UNTUNED_CANDIDATE.messages(user.signals)
        sampling = Sampling(SUMMARY_SAMPLING.max_tokens, temperature=0.7, seed=task.seed + i)
        asked: list[tuple[Role, Messages, Sampling]] = [("inference", own, sampling)]
        if stronger:
            asked.append(("proposer", summary_request(signals), SUMMARY_SAMPLING))
        with attributed(user_id=user.user_id):
            texts += [text for each in asked for text in sampled(task, signals, *each)]
    allowed = tuple(text for text in dict.fromkeys(texts) if task.guard.allows(text))
    if not allowed:
        raise OptimizationError("every candidate summary repeats texts of users word for word")
    return allowed


def sampled(
    task: Task, signals: str, role: Role, messages: Messages, sampling: Sampling
) -> list[str]:
    """One sampled summary of these rendered signals.

    None if the call failed, or if the text has no words, is no summary in length or repeats the
    signals.
    """
    try:
        answer = task.door.chat(role, messages, sampling)
    except ModelError:
        return []
    finally:
        task.observer(Advanced())
    text = " ".join(answer.text.split())
    short = answer.finish == "stop" and task.door.count_tokens("generator", text) <= _LONGEST
    return [text] if words(text) and short and not copies(text, signals, _COPIED_WORDS) else []
