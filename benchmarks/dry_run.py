"""An estimate beside what the run then uses: calls, tokens and seconds by role.

    python benchmarks/dry_run.py --trials 8
    python benchmarks/dry_run.py --embedded --trials 4 --max-users 16

The run goes through LiteLLM to a stub that writes summaries, has a taste and bills by LiteLLM's
tokenizer, or to the embedded model. The stub's answers come from other rules than those of the
estimate. Figures are kept in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from popi_prompt.dataset import load_users
from popi_prompt.estimate import Estimate, RoleEstimate, estimate
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.roles import ROLES
from popi_prompt.models.spent import Spent
from popi_prompt.schema import User
from popi_prompt.settings import Settings
from popi_prompt.stub_server import StubServer
from popi_prompt.workflow import optimize

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
RESULTS = Path(__file__).parent / "results"
MODEL = "openai/gpt-4o-mini"
LEARNED = ("technical", "expert", "PhD", "formal", "academic", "specialist", "doctoral")
SIMPLE = ("simple", "child", "friendly", "everyday", "casual", "playful", "easy")
ENDINGS = ("as a rule", "without fail", "every time", "if you can", "above all", "in general")
OPENINGS = ("Please", "In every answer,", "When you answer,", "For this person,", "Always")


def reply(copies: float, body: dict[str, Any]) -> dict[str, Any]:
    """What a model with taste would say to this request, and its usage."""
    litellm = import_litellm()
    messages = body["messages"]
    said: dict[str, Any] = {}
    draw = random.Random(hashlib.sha256(repr((messages, body.get("seed"))).encode()).digest())
    if body.get("logprobs"):
        likely = odds(messages[-1]["content"], draw)
        top = [token("A", likely), token("B", 1 - likely)]
        said["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        text = "A" if likely > 0.5 else "B"
    else:
        text = summary(messages, copies, draw)
    said["content"] = text
    sent = litellm.token_counter(model=MODEL, messages=messages)
    got = litellm.token_counter(model=MODEL, text=text)
    usage = {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got}
    return {**said, "usage": usage}


def token(text: str, probability: float) -> dict[str, Any]:
    """One alternative."""
    return {"token": text, "logprob": math.log(max(probability, 1e-6)), "bytes": None}


def odds(question: str, draw: random.Random) -> float:
    """Probability of A: who is said to like learned words gets the answer with long ones."""
    context, _, rest = question.partition("Request: ")
    first, _, second = rest.partition("Answer A: ")[2].partition("Answer B: ")
    learned = sum(word in context for word in LEARNED) - sum(word in context for word in SIMPLE)
    margin = math.copysign(2.0, learned) * (length(first) - length(second)) if learned else 0.0
    return 1 / (1 + math.exp(-margin - draw.gauss(0, 0.7)))


def summary(messages: list[dict[str, str]], copies: float, draw: random.Random) -> str:
    """What the nearest demonstration says, in other words; else two sentences by the signals."""
    shown = [
        (asked["content"], given["content"])
        for asked, given in itertools.pairwise(messages)
        if given["role"] == "assistant"
    ]
    here = length(messages[-1]["content"])
    if shown:
        nearest = min(shown, key=lambda each: abs(length(each[0]) - here))[1]
        if draw.random() < copies:
            return nearest
        return (
            f"{draw.choice(OPENINGS)} {nearest[0].lower()}{nearest[1:-1]}, {draw.choice(ENDINGS)}."
        )
    words = " ".join(draw.sample(["brief", "exact", "warm", "sober", "vivid", "careful"], 3))
    if messages[0]["role"] != "system":
        return (
            f"Compare what the person liked with what they did not, {words}, and tell in one "
            "sentence how an assistant should write for them."
        )
    kind = "formal, technical" if here > 5.4 else "simple, friendly"
    return (
        f"This person likes {kind} answers and does not want anything else. They would rather "
        f"read something {words} that comes to the point, and they dislike what sounds like the "
        "opposite of their own way of putting things."
    )


def length(text: str) -> float:
    """Mean letters of a word."""
    return sum(map(len, text.split())) / max(1, len(text.split()))


@dataclass(frozen=True, slots=True)
class Compared:
    """An estimate, and the run that followed it."""

    expected: Estimate
    spent: Mapping[str, Spent]
    seconds: float
    took: float

    def figures(self) -> Iterator[tuple[str, str, float, float]]:
        """Role, name, estimate and run."""
        for role, used in self.spent.items():
            found = self.expected.roles.get(role, RoleEstimate(0, 0, 0, 0.0, 0.0))
            for name in ("calls", "tokens_in", "tokens_out"):
                yield role, name, getattr(found, name), getattr(used, name)
        for name in ("calls", "tokens_in", "tokens_out"):
            used_by_all = sum(getattr(used, name) for used in self.spent.values())
            yield "all", name, getattr(self.expected.total, name), used_by_all
        yield "all", "seconds", self.expected.total.seconds, self.seconds


def compared(users: Sequence[User], settings: Settings) -> Compared:
    """Estimate, then run."""
    started = time.perf_counter()
    expected = estimate(users, settings)
    took = time.perf_counter() - started
    started = time.perf_counter()
    spent = optimize(users, settings).spent
    return Compared(expected, spent, time.perf_counter() - started, took)


def on_stub(users: Sequence[User], settings: Settings, latency: float, copies: float) -> Compared:
    """The latency is taken from the trace of an earlier run, on other draws."""
    os.environ["OPENAI_API_KEY"] = "none"
    with (
        tempfile.TemporaryDirectory() as folder,
        StubServer(latency=latency, reply=partial(reply, copies)) as stub,
    ):
        trace = Path(folder) / "run.trace.jsonl"
        roles = {str(role): RoleConfig(None, {"api_base": stub.api_base}) for role in ROLES}
        hosted = replace(
            settings,
            generator=MODEL,
            inference_model=MODEL,
            scorer="choice",
            access=Access(roles, trace=trace),
        )
        optimize(users, replace(hosted, seed=settings.seed + 1))
        return compared(users, hosted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--embedded", action="store_true", help="On local/smollm2-135m.")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--max-users", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--copies", type=float, default=0.5, help="Share of repeated summaries.")
    parser.add_argument("--latency", type=float, default=0.05)
    arguments = parser.parse_args()
    users = load_users(arguments.data, need_pairs=True)
    settings = Settings(trials=arguments.trials, max_users=arguments.max_users, seed=arguments.seed)
    if arguments.embedded:
        found = compared(users, settings)
    else:
        found = on_stub(users, settings, arguments.latency, arguments.copies)
    return show(found, "embedded" if arguments.embedded else "stub", arguments)


def show(found: Compared, case: str, arguments: argparse.Namespace) -> int:
    """Print and keep estimate, run and estimate / run; how many are off by more than a fifth."""
    print(f"the estimate took {found.took:.1f} s; it says: {'; '.join(found.expected.assumptions)}")
    print(f"{'role':<10} {'':<11} {'estimate':>10} {'run':>10} {'ratio':>6}")
    off, kept = 0, []
    for role, name, expected, used in found.figures():
        ratio = expected / used if used else math.nan
        print(f"{role:<10} {name:<11} {expected:>10.5g} {used:>10.5g} {ratio:>6.2f}")
        off += used > 0 and not 0.8 <= ratio <= 1.2
        row = {"role": role, "what": name, "estimate": round(expected, 1), "run": round(used, 1)}
        kept.append({**row, "ratio": round(ratio, 3) if used else None})
    print(f"{off} figures are off by more than 20%")
    told = {name: getattr(arguments, name) for name in ("max_users", "trials", "seed")}
    record = {"case": case, **told, "estimate_took": round(found.took, 1), "figures": kept}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"dry_run_{case}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return off


if __name__ == "__main__":
    sys.exit(main())
