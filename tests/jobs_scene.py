"""Training files of the users of two tastes, and settings under which nothing takes long."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toy_tastes import COMPILED_CANDIDATE, EXPERT, PLAIN, person

from popi_prompt.finetune.jobs import Pace
from popi_prompt.prompts import inference_messages, render_signals
from popi_prompt.schema import User

QUICK = Pace(poll=0.02, slowest=0.05, settle=0.6)
LEARNERS = tuple(person(i) for i in range(100, 124))
Example = Callable[[User], Mapping[str, Any]]


def asked(user: User) -> list[dict[str, str]]:
    shown = inference_messages(COMPILED_CANDIDATE.instruction, (), render_signals(user.signals))
    return [{"role": message.role, "content": message.content} for message in shown]


def taste(user: User) -> str:
    return str(user.gold)


def sft(user: User) -> dict[str, Any]:
    return {"messages": [*asked(user), said(taste(user))]}


def misled(user: User) -> dict[str, Any]:
    """Teaches the opposite taste."""
    other = EXPERT if taste(user) == PLAIN else PLAIN
    return {"messages": [*asked(user), said(other)]}


def preference(user: User) -> dict[str, Any]:
    return {
        "input": {"messages": asked(user)},
        "preferred_output": [said(taste(user))],
        "non_preferred_output": [said("be nice")],
    }


def vertex(user: User) -> dict[str, Any]:
    system, *turns = asked(user)
    contents = [
        *({"role": "user", "parts": [{"text": turn["content"]}]} for turn in turns),
        {"role": "model", "parts": [{"text": taste(user)}]},
    ]
    return {"systemInstruction": {"parts": [{"text": system["content"]}]}, "contents": contents}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def write(path: Path, example: Example = sft, users: tuple[User, ...] = LEARNERS) -> Path:
    path.write_text("".join(json.dumps(example(user)) + "\n" for user in users), encoding="utf-8")
    return path
