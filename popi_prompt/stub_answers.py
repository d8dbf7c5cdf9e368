"""What the stub server answers: a function of the request, by which a fault may leave it empty."""

from __future__ import annotations

import hashlib
from typing import Any

_WORDS = ("Use", "short", "plain", "words", "and", "say", "the", "main", "thing", "first.")


def completion(body: dict[str, Any], raw: bytes, fault: str) -> dict[str, Any]:
    """A few words picked by the request, cut at `max_tokens`; a word is a token."""
    digest = hashlib.sha256(raw).digest()
    words = [_WORDS[byte % len(_WORDS)] for byte in digest[:8]]
    most = body.get("max_tokens") or body.get("max_completion_tokens") or len(words)
    said = [] if fault == "empty" else words[:most]
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": " ".join(said)},
        "finish_reason": "length" if len(said) < len(words) and said else "stop",
    }
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [_first_token(digest[8])]}
    tokens_in = sum(len(message["content"].split()) for message in body["messages"])
    return {
        "id": digest[:8].hex(),
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": len(said),
            "total_tokens": tokens_in + len(said),
        },
    }


def embedding(body: dict[str, Any], raw: bytes, fault: str) -> dict[str, Any]:
    """A few numbers for every text: texts that share words are alike."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    tokens_in = sum(len(text.split()) for text in texts)
    data = [
        {"object": "embedding", "index": i, "embedding": _bag(text)} for i, text in enumerate(texts)
    ]
    return {
        "object": "list",
        "model": body["model"],
        "data": [] if fault == "empty" else data,
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": 0, "total_tokens": tokens_in},
    }


def _bag(text: str) -> list[float]:
    bins = [0.0] * 16
    for word in text.casefold().split() or [""]:
        bins[hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[0] % len(bins)] += 1
    return bins


def _first_token(byte: int) -> dict[str, Any]:
    """ "A" or "B", the likelier one by the request."""
    likely, other = ("A", "B") if byte % 2 else ("B", "A")
    top = [{"token": likely, "logprob": -0.3, "bytes": None}]
    top.append({"token": other, "logprob": -1.4, "bytes": None})
    return {**top[0], "top_logprobs": top}
