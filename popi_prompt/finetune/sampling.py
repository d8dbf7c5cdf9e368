"""Draws summaries of users and scores them; every answer is on disk before the next user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from popi_prompt.candidate import Candidate
from popi_prompt.errors import BadResponse, ContextTooLong, ModelError
from popi_prompt.evaluation import Metric, in_parallel
from popi_prompt.events import Advanced, Observer, PhaseStarted, ignore
from popi_prompt.finetune.samples import COPIED, Missed, Sample, user_key
from popi_prompt.finetune.samples_file import SamplesFile
from popi_prompt.inference import SUMMARY_SAMPLING
from popi_prompt.models.attribution import attributed
from popi_prompt.models.door import Door
from popi_prompt.models.model import Sampling
from popi_prompt.ngrams import RUN, Runs
from popi_prompt.prompts import as_data, render_signals
from popi_prompt.schema import User

_LASTING = (BadResponse, ContextTooLong)  # others may pass, and are tried again the next time


@dataclass(frozen=True, slots=True)
class Draws:
    """How many summaries of each user, and how: number 0 is greedy, the others by temperature."""

    count: int = 4
    temperature: float = 0.8
    seed: int = 0

    def sampling(self, number: int) -> Sampling:
        """Of the draw with this number."""
        if number == 0:
            return SUMMARY_SAMPLING
        return replace(
            SUMMARY_SAMPLING,
            temperature=self.temperature,
            seed=self.seed + number,
            sample=number,
        )


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws with a candidate's inference step and scores with the metric, through the door."""

    candidate: Candidate
    metric: Metric
    door: Door
    draws: Draws
    copies: Runs

    def fill(
        self, users: Sequence[User], store: SamplesFile, observer: Observer = ignore
    ) -> dict[str, str]:
        """Draw and score what the file does not hold; what failed for now, by user.

        Users are sent in the order of their signals, for models that keep prefixes. At a cap or an
        error that ends the run, what was scored is in the file.
        """
        later: dict[str, str] = {}

        def one(user: User) -> None:
            try:
                problem = self._one(user, store)
                if problem is not None:
                    later[user.user_id] = problem
            finally:
                observer(Advanced())

        observer(PhaseStarted("drawing and scoring summaries", len(users)))
        order = sorted(users, key=lambda user: render_signals(user.signals))
        in_parallel(one, order, self.door.model("generator").concurrency)
        return later

    def _one(self, user: User, store: SamplesFile) -> str | None:
        """One user's missing draws; the reason of the last one that may work another time."""
        before = store.get(user.user_id, user_key(user))
        drawn, problem = before, None
        missing = [n for n in range(self.draws.count) if n not in before.numbers()]
        try:
            for number in missing if user.signals else ():
                try:
                    found = self._draw(user, number)
                except _LASTING as error:
                    found = Missed(number, type(error).__name__, error.problem)
                except ModelError as error:
                    problem = str(error)
                    continue
                drawn = drawn.plus(found)
        finally:
            if drawn is not before:
                store.put(drawn)
        return problem

    def _draw(self, user: User, number: int) -> Sample | Missed:
        """Raises `ModelError`. A text that repeats somebody's signals is not worth scoring."""
        candidate = self.candidate
        messages = candidate.messages(user.signals)
        with attributed(user_id=user.user_id, quoted=candidate.quoted):
            answer = self.door.chat("inference", messages, self.draws.sampling(number))
        text = _whole(answer.text)
        if self.copies.holds(text):
            return Missed(number, COPIED, f"it repeats {RUN} words in a row of signals")
        outcome = self.metric.outcome(user, text)
        return Sample(number, text, outcome.reward, outcome.margin)


def _whole(text: str) -> str:
    """One paragraph, as the inference step has it. Raises `BadResponse` for what is none."""
    text = " ".join(text.split())
    if not as_data(text).strip():
        raise BadResponse("the summary is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadResponse("the summary is not valid Unicode") from None
    return text
