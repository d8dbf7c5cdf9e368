"""In place of an embedded model: it counts what the engines would evaluate, and at which pace.

Nothing leaves the machine, so a few answers are written for real: they tell how long the model's
answers are. The others are imagined, as long as those.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import cycle, islice

from popi_prompt.models.dry_model import DryModel
from popi_prompt.models.local import GENERATING, SCORING, LocalModel, emptiest
from popi_prompt.models.meter import account
from popi_prompt.models.model import Answer, Sampling
from popi_prompt.models.pace import Pace, measure
from popi_prompt.models.slots import Slots
from popi_prompt.models.stopwatch import beside
from popi_prompt.prompts import Messages

# How many answers are written for real: summaries without demonstrations, with some, and others.
_WRITTEN = {"untuned": 6, "shown": 3, "asked": 2}


class DryLocal(DryModel):
    """Satisfies `Model` and `ScoringModel`. `seconds` are by role."""

    def __init__(self, real: LocalModel):
        super().__init__(real)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._real = real
        self._slots = [Slots(scoring=SCORING, generating=GENERATING) for _ in real.engines]
        self._under_way: deque[int] = deque(maxlen=real.concurrency)
        self._asked: Counter[str] = Counter()
        self._written: dict[str, list[Answer]] = {kind: [] for kind in _WRITTEN}
        self._lock = threading.Lock()

    @cached_property
    def pace(self) -> Pace:
        """Measured at first use."""
        return measure(self._real)

    def chat(self, messages: Messages, sampling: Sampling) -> Answer:
        """The first few of a kind for real, the others imagined, as long as those."""
        prompt = self._real.prompt_tokens(messages)
        answer = self._answer(messages, sampling)
        with self._lock:
            slots = self._engine(prompt)
            slot = slots.take(prompt)
            start = slots.start(slot, prompt, len(prompt) - 1)
            slots.hold(slot, prompt)
            slots.free.append(slot)
            # The first token comes with the prompt, the end of an answer takes a step.
            steps = answer.tokens_out - (answer.finish == "length")
            self._spend(len(prompt) - start.token, 0, steps)
        return answer

    def logprobs(self, messages: Messages, responses: Sequence[str]) -> tuple[float, ...]:
        """Imagined."""
        prompt = self._real.prompt_tokens(messages)
        with self._lock:
            slots = self._engine(prompt)
            slot = slots.scoring(prompt)
            for response in responses:
                tokens = prompt + self._real.tokens(response)[:-1]
                start = slots.start(slot, tokens, len(prompt) - 1).token
                slots.hold(slot, tokens)
                read = max(0, len(prompt) - 1 - start)
                self._spend(read, len(tokens) - start - read, 0)
        return super().logprobs(messages, responses)

    def option_odds(self, messages: Messages, options: Sequence[str]) -> tuple[float, ...]:
        """Imagined; the options are scored as responses."""
        self.logprobs(messages, options)
        return super().option_odds(messages, options)

    def _engine(self, prompt: list[int]) -> Slots:
        """The engine that a run would choose with as many jobs beside this one."""
        others = list(self._under_way)[-(beside() - 1) :] if beside() > 1 else []
        loads = [others.count(i) for i in range(len(self._slots))]
        chosen = emptiest(loads, [slots.longest(prompt) for slots in self._slots])
        self._under_way.append(chosen)
        return self._slots[chosen]

    def _spend(self, read: int, scored: int, written: int) -> None:
        alone = beside() == 1
        self.seconds[account().role] += self.pace.seconds(read, scored, written, alone=alone)

    def _answer(self, messages: Messages, sampling: Sampling) -> Answer:
        kind = _kind(messages)
        with self._lock:
            self._asked[kind] += 1
            for_real = self._asked[kind] <= _WRITTEN[kind]
        if for_real:
            answer = self._real.chat(messages, sampling)
            self._written[kind].append(answer)
            return answer
        imagined, known = super().chat(messages, sampling), self._written[kind]
        # What is shown is repeated.
        return imagined if kind == "shown" or not known else _as_long_as(known, imagined)


def _as_long_as(known: Sequence[Answer], imagined: Answer) -> Answer:
    """The words of the imagined answer, over and over."""
    wanted = round(sum(answer.tokens_out for answer in known) / len(known))
    words = imagined.text.split()
    count = round(len(words) * wanted / max(1, imagined.tokens_out))
    text = " ".join(islice(cycle(words), max(1, count)))
    cut = 2 * sum(answer.finish == "length" for answer in known) > len(known)
    return replace(imagined, text=text, finish="length" if cut else "stop", tokens_out=wanted)


def _kind(messages: Messages) -> str:
    """By what decides how long an answer is."""
    roles = {message.role for message in messages}
    return "shown" if "assistant" in roles else "untuned" if "system" in roles else "asked"
