"""Lists of chat messages, as TRL and OpenAI have them, as the text of a prompt or an answer."""

from __future__ import annotations

from typing import Any

from popi_prompt.fields import shown
from popi_prompt.importers.row import Row

_NAMES = {
    "user": "User",
    "human": "User",
    "assistant": "Assistant",
    "gpt": "Assistant",
    "model": "Assistant",
    "system": "System",
    "developer": "System",
    "tool": "Tool",
    "function": "Tool",
}

Message = tuple[str, str]  # User, Assistant, System or Tool; and the text


def messages(row: Row, value: Any, what: str) -> list[Message]:
    """Who says what, if not null. Messages without text (calls of tools, images) are left out."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise row.error(f"{what!r} is {shown(value)}, expected a list of messages")
    found: list[Message] = []
    for each in value:
        message = row.inner(each, f"a message of {what!r}")
        role = message.get("role")
        name = _NAMES.get(role) if isinstance(role, str) else None
        if name is None:
            raise row.error(f"a message of {what!r} has role {shown(role)}")
        text = _content(row, message.values.get("content"), what)
        if text:
            found.append((name, text))
    return found


def prompt_text(said: list[Message]) -> str:
    """The one message of the user as it is, or else all messages with the names of who says them.

    A prompt that ends with anybody but the user is "".
    """
    if not said or said[-1][0] != "User":
        return ""
    if len(said) == 1:
        return said[0][1]
    return "\n\n".join(f"{name}: {text}" for name, text in said)


def answer_text(said: list[Message]) -> str:
    """What the assistant says, if it is one message and nobody else speaks, or else ""."""
    if len(said) == 1 and said[0][0] == "Assistant":
        return said[0][1]
    return ""


def _content(row: Row, content: Any, what: str) -> str:
    if not isinstance(content, list):
        return row.as_text(content, what)
    parts = [row.inner(part, f"a part of a message of {what!r}") for part in content]
    texts = [row.as_text(part.values.get("text"), what) for part in parts]
    return "\n".join(text for text in texts if text)
