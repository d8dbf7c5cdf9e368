"""Formats of training files: one file a provider, each with a schema of its own lines."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from popi_prompt.finetune.formats import fireworks, openai, together, trl, vertex
from popi_prompt.finetune.formats.format import Format, Formats

FORMATS: dict[str, Formats] = {
    "openai": openai.FORMATS,
    "trl": trl.FORMATS,
    "together": together.FORMATS,
    "fireworks": fireworks.FORMATS,
    "vertex": vertex.FORMATS,
}


def schema(format_: Format) -> dict[str, Any]:
    """The JSON Schema of a line, with its source and date in `$comment`."""
    text = (
        files("popi_prompt.finetune").joinpath(f"schemas/{format_.schema}.json").read_text("utf-8")
    )
    found: dict[str, Any] = json.loads(text)
    return found


__all__ = ["FORMATS", "Format", "Formats", "schema"]
