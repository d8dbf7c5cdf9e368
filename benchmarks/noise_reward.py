"""A reward that is pure noise: how often does a whole run keep the untuned program?

    python benchmarks/noise_reward.py --runs 100

Every run of `optimize` has a seed, a split and a noise of its own: a number drawn by the hash of
seed, summary and pair, whatever they say. Models are fakes. Nothing can be learnt, so a compiled
program that is shipped is a false alarm; the interval of the gain allows about one in forty. The
figures go to benchmarks/results/noise_reward.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.dataset import load_users
from popi_prompt.files import write_text
from popi_prompt.intervals import proportion
from popi_prompt.models.model import Sampling
from popi_prompt.prompts import Messages
from popi_prompt.rows import UNTUNED
from popi_prompt.schema import Pair, User
from popi_prompt.scorers import FunctionScorer
from popi_prompt.settings import Settings
from popi_prompt.testing import FakeModel, fake_door
from popi_prompt.workflow import optimize

DATA = Path(__file__).parent.parent / "datasets" / "tastes.jsonl"
OUTPUT = Path(__file__).parent / "results" / "noise_reward.json"
AT_LEAST = 0.95


def drawn(*key: object) -> float:
    """In [0, 1), by hash: the same in every process."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def noise(seed: int) -> FunctionScorer:
    """A scorer that knows nothing."""

    def score(user: User, pair: Pair, summary: str | None, answer: str) -> float:
        return drawn(seed, summary, user.user_id, pair.prompt)

    return FunctionScorer("noise", score)


def summarized(messages: Messages, sampling: Sampling) -> str:
    """One of the summaries shown, or one of a dozen, by hash of what it is told."""
    shown = [message.content for message in messages if message.role == "assistant"]
    own = [f"Answer in style {i} and keep to it." for i in range(12)]
    choices = shown or own
    told = tuple(message.content for message in messages)
    return choices[int(drawn(told, sampling.seed) * len(choices))]


def run(seed: int, users: Sequence[User]) -> tuple[bool, bool]:
    """Whether one run keeps the untuned program, and whether its search found another one."""
    models = {
        "inference": FakeModel(summarized),
        "generator": FakeModel("An answer."),
        "proposer": FakeModel(lambda messages, sampling: f"Say it in way {sampling.seed}."),
    }
    settings = Settings(scorer=noise(seed), seed=seed)
    done = optimize(users, settings, door=fake_door(models))
    return done.shipped == UNTUNED, done.found != UNTUNED_CANDIDATE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    users = load_users(DATA, need_pairs=True)
    runs = [run(seed, users) for seed in range(options.runs)]
    kept = sum(untuned for untuned, _ in runs)
    found = sum(other for _, other in runs)
    share = proportion(kept, options.runs)
    print(
        f"the untuned program was kept in {kept} of {options.runs} runs "
        f"[{share.low:.1%}, {share.high:.1%}]; at least {AT_LEAST:.0%} are asked for. The search "
        f"preferred another one in {found}"
    )
    record = {
        "runs": options.runs,
        "users": len(users),
        "kept": kept,
        "interval": [share.low, share.high],
        "preferred_another": found,
        "seeds_that_shipped": [seed for seed, (untuned, _) in enumerate(runs) if not untuned],
    }
    write_text(options.output, json.dumps(record, indent=1) + "\n")
    return 0 if kept >= AT_LEAST * options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
