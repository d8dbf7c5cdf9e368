"""The inference step as a program that DSPy's optimizers compile, its examples and its metric."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import dspy
import numpy as np

from popi_prompt.candidate import UNTUNED_CANDIDATE, Candidate, Demonstration
from popi_prompt.errors import ModelError
from popi_prompt.evaluation import Failure, Outcome, Result
from popi_prompt.inference import (
    SUMMARY_SAMPLING,
    PreferenceInference,
    compile_module,
    infer_summary,
)
from popi_prompt.models.attribution import attributed
from popi_prompt.models.dspy_engine import door_lm
from popi_prompt.models.stopwatch import stopwatch, wait
from popi_prompt.optimizers.optimizer import Task
from popi_prompt.optimizers.trials import Trials
from popi_prompt.prompts import render_signals
from popi_prompt.proposals import summary_feedback
from popi_prompt.schema import User


class SearchStopped(BaseException):
    """Ends a search at once. DSPy and GEPA go on after every `Exception`."""


class ScoredInference(dspy.Module):  # type: ignore[misc]
    """Infers how a person wants to be answered, and scores what the summary does to answers."""

    def __init__(self, session: Session):
        super().__init__()
        self.inference = compile_module(UNTUNED_CANDIDATE)
        self.session = session

    def forward(self, signals: str, person: int) -> dspy.Prediction:
        """A summary, and the result of this person under it."""
        result = self.session.result(self.inference, signals, person)
        summary = result.summary if isinstance(result, Outcome) else None
        return dspy.Prediction(summary=summary or "", result=result, person=person)


class Session:
    """One search: what its programs share. Safe to use from many threads.

    A person who cannot be scored gains 0 in what the optimizer is told, as with no summary at all;
    the `trials` leave them out of the mean, and count them.
    """

    def __init__(self, task: Task):
        self.task = task
        self.trials = Trials(task)
        self.threads = task.door.model("generator").concurrency
        self.lm = door_lm(task.door, "inference", SUMMARY_SAMPLING)
        order = np.random.default_rng(task.seed).permutation(len(task.train))
        train = [task.train[i] for i in order]
        self._people: tuple[User, ...] = (*train, *task.validation())
        examples = [_example(i, user) for i, user in enumerate(self._people)]
        self.trainset, self.valset = examples[: len(train)], examples[len(train) :]
        self._owners = {
            example.signals: user.user_id
            for example, user in zip(examples, self._people, strict=True)
        }
        self._metric = task.metric(UNTUNED_CANDIDATE.conditioning)
        self._outer = copy_context()
        self._stopped: Exception | None = None
        self._working = 0
        self._changed = threading.Condition()

    def __deepcopy__(self, memo: object) -> Session:
        """DSPy copies programs; the session stays the same."""
        return self

    def program(self) -> ScoredInference:
        """The untuned one, to be compiled."""
        return ScoredInference(self)

    def quoted(self) -> tuple[str, ...]:
        """The training users, whose texts the proposer may be shown."""
        return tuple(user.user_id for user in self._people[: len(self.trainset)])

    def result(self, module: PreferenceInference, signals: str, person: int) -> Result:
        """The person under the summary that the module writes."""
        user = self._people[person]
        candidate = candidate_of(module, self._owners)
        label = self.trials.label(candidate)
        with (
            self.working(self.threads),
            attributed(user_id=user.user_id, candidate=label, quoted=candidate.quoted),
        ):
            try:
                summary = infer_summary(module, self.lm, signals, traced=True)
                result: Result = self._metric.outcome(user, summary)
            except ModelError as error:
                result = Failure(user.user_id, str(error))
            self.trials.note(candidate, result)
        return result

    def metric(
        self,
        example: dspy.Example,
        prediction: dspy.Prediction,
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> float | bool | dspy.Prediction:
        """The gain in reward over no summary; with feedback where GEPA asks by `pred_name`.

        With a trace alone: whether it gained, and may be a demonstration.
        """
        user, result = self._people[prediction.person], prediction.result
        gain = self._gain(user, result)
        if pred_name is not None:
            return dspy.Prediction(score=gain, feedback=self._feedback(user, result))
        if trace is not None:
            demo = Demonstration(example.signals, prediction.summary, user.user_id)
            return gain > 0 and self.task.guard.allows_demonstration(demo)
        return gain

    def _gain(self, user: User, result: Result) -> float:
        if isinstance(result, Failure):
            return 0.0
        return result.reward - self.task.unaided(user)

    def _feedback(self, user: User, result: Result) -> str:
        if isinstance(result, Failure):
            return "This summary could not be scored."
        margins = [score.margin for score in result.scores]
        moved = list(zip(user.pairs, margins, strict=True))
        return summary_feedback(moved, self.task.scorer.unit, result.tokens)

    @contextmanager
    def working(self, beside: int = 1) -> Iterator[None]:
        """Around model calls, so many side by side.

        Errors that are no failed items end the search.
        """
        with self._changed:
            if self._stopped is not None:
                raise SearchStopped
            self._working += 1
        try:
            with stopwatch(beside) as watch:
                yield
        except Exception as error:
            with self._changed:
                self._stopped = self._stopped or error
            raise SearchStopped from error
        finally:
            with self._changed:
                self._outer.copy().run(wait, watch.seconds / beside)
                self._working -= 1
                self._changed.notify_all()

    def error(self) -> Exception:
        """What ended the search, once no thread is at work any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._working == 0)
        assert self._stopped is not None
        return self._stopped


def candidate_of(module: PreferenceInference, owners: Mapping[str, str]) -> Candidate:
    """What a compiled module holds; `owners` says whose rendered signals a demonstration shows."""
    demos: Sequence[Mapping[str, Any]] = module.infer.demos
    return Candidate(
        instruction=module.infer.signature.instructions,
        demonstrations=tuple(
            Demonstration(demo["signals"], demo["summary"], owners.get(demo["signals"]))
            for demo in demos
        ),
        view=module.view,
        conditioning=UNTUNED_CANDIDATE.conditioning,
    )


def _example(person: int, user: User) -> dspy.Example:
    signals = render_signals(user.signals, UNTUNED_CANDIDATE.view)
    return dspy.Example(signals=signals, person=person).with_inputs("signals", "person")
