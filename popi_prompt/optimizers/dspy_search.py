"""Running one of DSPy's optimizers: its models through the door, its prints nowhere."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import dspy
from dspy.lm15 import Message as DspyMessage
from dspy.lm15 import ProviderError, Request, Response, Usage

from popi_prompt.events import PhaseStarted
from popi_prompt.models.attribution import attributed
from popi_prompt.models.dspy_engine import DoorEngine
from popi_prompt.optimizers.dspy_program import SearchStopped, Session
from popi_prompt.optimizers.optimizer import Found, Task

_PROPOSAL_TOKENS = 1024
_EMBEDDED_TOKENS = 128  # a small model seldom ends by itself, and is not cut off but heard


def search(task: Task, title: str, compile_with: Callable[[Session], None]) -> Found:
    """The best candidate of those that `compile_with` has scored on all validation users.

    Raises what ended it early: `BudgetExceeded` at a cap.
    """
    session = Session(task)
    session.trials.begin()
    task.observer(PhaseStarted(f"searching with {title}", task.trials))
    try:
        with (
            _unheard(),
            dspy.context(
                lm=session.lm, adapter=WholeAnswer(), disable_history=True, trace=None, callbacks=[]
            ),
        ):
            compile_with(session)
    except SearchStopped:
        raise session.error() from None
    return session.trials.found()


def proposer(session: Session, instead: str | None = None) -> dspy.LM:
    """The proposer as DSPy is given it. `instead` is said where it gives no answer."""
    door = session.task.door
    most = _EMBEDDED_TOKENS if door.embedded("proposer") else _PROPOSAL_TOKENS
    return dspy.LM(
        door.names["proposer"],
        engine=_ProposerEngine(session, instead),
        cache=False,
        num_retries=0,
        max_tokens=most,
        temperature=1.0,
        seed=session.task.seed,
    )


class WholeAnswer(dspy.ChatAdapter):  # type: ignore[misc]
    """Field markers where a model sets them; else its whole answer is the one field asked for.

    Small models do not set them.
    """

    def __init__(self) -> None:
        super().__init__(use_json_adapter_fallback=False)

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """The output fields of a completion."""
        try:
            fields: dict[str, Any] = super().parse(signature, completion)
        except dspy.AdapterParseError:
            if len(signature.output_fields) != 1 or not completion.strip():
                raise
            return {next(iter(signature.output_fields)): completion.strip()}
        return fields


class _ProposerEngine:
    """Asked the same again, it draws another answer, as DSPy expects of a rollout.

    Every call is about all training users: what the proposer said of some is in later prompts.
    """

    def __init__(self, session: Session, instead: str | None):
        self._session = session
        self._engine = DoorEngine(session.task.door, "proposer")
        self._instead = instead
        self._asked: Counter[str] = Counter()

    def complete(self, request: Request) -> Response:
        """One request, one answer. Raises lm15's `ProviderError` as the engine contract asks."""
        same = repr((request.system, request.messages))
        seed = self._session.task.seed + self._asked[same]
        self._asked[same] += 1
        drawn = replace(request, config=replace(request.config, seed=seed))
        with self._session.working(), attributed(quoted=self._session.quoted()):
            try:
                return self._engine.complete(drawn)
            except ProviderError as error:
                failed = error
        if self._instead is None:
            raise failed
        said = DspyMessage.assistant(self._instead)
        return Response(
            id=None, model=request.model, message=said, finish_reason="stop", usage=Usage()
        )


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep DSPy's prints, logs and bars away: stdout is for results, and the observer is told."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
        ):
            yield
    finally:
        logger.setLevel(level)
