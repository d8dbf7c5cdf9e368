"""Inference: a user's signals -> a short summary, as a DSPy module that can be optimized."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from popi_prompt.candidate import Candidate, Demonstration, Menu
from popi_prompt.errors import BadResponse, PopiError
from popi_prompt.events import Noted, Observer
from popi_prompt.evidence import LogProbs, acts, evidence
from popi_prompt.menu_record import menu_from_record, record_of_menu
from popi_prompt.models.attribution import attributed, attribution
from popi_prompt.models.door import Door
from popi_prompt.models.dspy_engine import DoorEngine, door_lm
from popi_prompt.models.model import Sampling
from popi_prompt.portrait import Portrait
from popi_prompt.prompts import (
    UNTUNED_INSTRUCTION,
    Messages,
    View,
    inference_messages,
    render_signals,
)
from popi_prompt.quotation import Quotation
from popi_prompt.records import parse_signals
from popi_prompt.schema import Signal, User

SUMMARY_SAMPLING = Sampling(max_tokens=96)


_DESCRIPTIONS: dict[View, str] = {
    "full": "what is known about the person",
    "liked": "texts that the person chose, wrote or rated well",
}

_SUMMARY = "how the person wants to be answered"
_CHOSEN = "; one of "


class InferPreferences(dspy.Signature):  # type: ignore[misc]
    """Signals of a person to a summary of how they want to be answered."""

    signals: str = dspy.InputField(desc=_DESCRIPTIONS["full"])
    summary: str = dspy.OutputField(desc=_SUMMARY)


class SummaryAdapter(dspy.Adapter):  # type: ignore[misc]
    """Instruction as system message, demonstrations as chat turns, the completion is the summary.

    There are no field markers: small models cannot follow them, and signals cannot forge them.
    """

    def format(
        self, signature: Any, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Chat messages for one call."""
        messages = _messages(signature, demos, str(inputs["signals"]))
        return [{"role": message.role, "content": message.content} for message in messages]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """The whole completion, as one paragraph."""
        return {"summary": " ".join(completion.split())}


class PreferenceInference(dspy.Module):  # type: ignore[misc]
    """Signals -> `dspy.Prediction(summary=...)`, composable in any DSPy program.

    Instruction and demonstrations are those of `self.infer`, so every DSPy optimizer can change
    them. `view` says how much of the signals the model is shown. With a `menu` the summary is
    chosen, as long as the model is the menu's and its log-probabilities are to be had, or quoted,
    of the latest texts where they are not; else it is written. A call takes signals as values, as
    JSON objects, or as text that is rendered already: that is neither weighed for a portrait nor
    quoted.
    """

    def __init__(
        self,
        instruction: str = UNTUNED_INSTRUCTION,
        demonstrations: Sequence[Demonstration] = (),
        view: View = "full",
        menu: Menu | Portrait | Quotation | None = None,
    ):
        super().__init__()
        signature = InferPreferences.with_instructions(instruction)
        signature = signature.with_updated_fields("signals", desc=_DESCRIPTIONS[view])
        chosen = "" if menu is None else f"{_CHOSEN}{json.dumps(record_of_menu(menu))}"
        self.infer = dspy.Predict(
            signature.with_updated_fields("summary", desc=f"{_SUMMARY}{chosen}")
        )
        self.infer.demos = [
            {"signals": demo.signals, "summary": demo.summary} for demo in demonstrations
        ]

    @property
    def view(self) -> View:
        """Kept as the description of the input field, so every DSPy state carries it."""
        extra = self.infer.signature.input_fields["signals"].json_schema_extra
        return "liked" if extra.get("desc") == _DESCRIPTIONS["liked"] else "full"

    @property
    def menu(self) -> Menu | Portrait | Quotation | None:
        """Kept as the description of the output field, for the same reason."""
        extra = self.infer.signature.output_fields["summary"].json_schema_extra
        _, chosen, record = str(extra.get("desc")).partition(_CHOSEN)
        return menu_from_record(json.loads(record)) if chosen else None

    def forward(self, signals: str | Sequence[Signal | Mapping[str, Any]]) -> dspy.Prediction:
        """Infer one user's summary."""
        chosen = self._chosen(signals)
        if chosen is not None:
            return dspy.Prediction(summary=chosen)
        text = signals if isinstance(signals, str) else self.render(signals)
        with dspy.context(adapter=SummaryAdapter()):
            return self.infer(signals=text)

    def _chosen(self, signals: str | Sequence[Signal | Mapping[str, Any]]) -> str | None:
        menu = self.menu
        lm = self.infer.lm if self.infer.lm is not None else dspy.settings.lm
        engine = getattr(lm, "engine", None)
        logprobs: LogProbs | None = None
        if menu is not None and isinstance(engine, DoorEngine) and engine.model == menu.model:
            logprobs = engine.logprobs
        if isinstance(menu, Quotation):
            return menu.compose(_values(signals), logprobs)
        if menu is None or logprobs is None:
            return None
        if isinstance(menu, Portrait):
            found = evidence(menu.summaries, _values(signals), logprobs)
            return None if found is None else menu.compose(found)
        text = signals if isinstance(signals, str) else self.render(signals)
        messages = _messages(self.infer.signature, self.infer.demos, text)
        logs = logprobs(messages, menu.summaries)
        return None if logs is None else menu.pick(logs)

    def render(self, signals: Sequence[Signal | Mapping[str, Any]]) -> str:
        """The text the model is shown for these signals."""
        return render_signals(parse_signals(signals), self.view)


def _messages(signature: Any, demos: Sequence[Mapping[str, Any]], signals: str) -> Messages:
    """As a candidate has them; here any DSPy optimizer may have changed the parts."""
    shown = [(str(demo["signals"]), str(demo["summary"])) for demo in demos]
    return inference_messages(signature.instructions, shown, signals)


def _values(signals: str | Sequence[Signal | Mapping[str, Any]]) -> tuple[Signal, ...]:
    """Of text that is rendered already there are none."""
    return () if isinstance(signals, str) else tuple(parse_signals(signals))


def compile_module(candidate: Candidate) -> PreferenceInference:
    """The DSPy module of a candidate, without a model."""
    return PreferenceInference(
        candidate.instruction, candidate.demonstrations, candidate.view, candidate.menu
    )


def dspy_state(candidate: Candidate) -> dict[str, Any]:
    """What `dspy.Module.save` writes for the candidate's module; `dspy.Module.load` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        compile_module(candidate).save(str(path))
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state


def summarizer(candidate: Candidate, door: Door) -> Callable[[User], str]:
    """A function from users to summaries, safe to call from many threads.

    It raises `ModelError` that names the user. A user's pairs are not looked at.
    """
    module = compile_module(candidate)
    lm = door_lm(door, "inference", SUMMARY_SAMPLING)

    def summarize(user: User) -> str:
        with attributed(user_id=user.user_id, quoted=candidate.quoted):
            return infer_summary(module, lm, user.signals)

    return summarize


def note_written(
    candidate: Candidate, users: Sequence[User], door: Door, observer: Observer
) -> None:
    """Tell whose summaries are made otherwise than the program would have it."""
    menu, model = candidate.menu, door.names["inference"]
    if isinstance(menu, Menu | Portrait) and menu.model != model:
        observer(Noted(f"the program chooses summaries with {menu.model!r}; {model!r} writes them"))
        return
    if isinstance(menu, Quotation) and menu.model is not None and not _scored(menu.model, door):
        observer(
            Noted(
                f"the program picks passages by log-probabilities of {menu.model!r}, which "
                f"{model!r} does not give: the latest texts are quoted"
            )
        )
    if isinstance(menu, Portrait | Quotation):
        told = menu.compose if isinstance(menu, Quotation) else acts
        passive = [user.user_id for user in users if user.signals and not told(user.signals)]
        if passive:
            named = ", ".join(map(repr, passive[:3])) + (", ..." if len(passive) > 3 else "")
            observer(
                Noted(
                    f"{len(passive)} of {len(users)} users chose nothing that the program could go "
                    f"by ({named}): {model!r} writes their summaries"
                )
            )


def _scored(model: str, door: Door) -> bool:
    """Whether this model infers, and gives log-probabilities."""
    return door.names["inference"] == model and door.scores_responses("inference")


def infer_summary(
    module: PreferenceInference,
    lm: dspy.LM,
    signals: str | Sequence[Signal],
    *,
    traced: bool = False,
) -> str:
    """One summary with the given model. Raises `ModelError` where there is none, `WriteError` where
    a run cannot record the call.

    DSPy's history is off, and so is its trace unless it is asked for: they would keep every user's
    signals in memory.
    """
    trace = dspy.settings.trace if traced else None
    if not signals:
        raise _unusable("there are no signals to infer a summary from")
    try:
        with dspy.context(lm=lm, disable_history=True, trace=trace):
            summary = str(module(signals=signals).summary)
    except Exception as error:
        found = door_error(error)
        if found is None and isinstance(error, dspy.AdapterParseError):
            found = _unusable("the summary is empty")
        if found is None or found is error:
            raise
        raise found from error
    if not summary:
        raise _unusable("the summary is empty", lm.model)
    return summary


def _unusable(problem: str, model: str | None = None) -> BadResponse:
    return BadResponse(problem, role="inference", model=model, user_id=attribution().user_id)


def door_error(error: BaseException) -> PopiError | None:
    """The error of the door that DSPy wrapped, if it is one, as of a full disk."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PopiError):
        cause = cause.__cause__
    return cause
