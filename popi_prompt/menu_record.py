"""The JSON object of what a program's summaries are chosen from: written, and read with checks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from popi_prompt.candidate import Menu
from popi_prompt.errors import ProgramError
from popi_prompt.fields import is_number, is_unicode
from popi_prompt.json_record import NUMBER, fields_of
from popi_prompt.portrait import Line, Portrait
from popi_prompt.quotation import Quotation

_DIGITS = 6  # a millionth is far below what any choice turns on
_LINE = {"dimension": str, "text": str, "usual": NUMBER, "slope": NUMBER, "base": NUMBER}


def record_of_menu(menu: Menu | Portrait | Quotation) -> dict[str, Any]:
    """The JSON object, with rounded numbers; `menu_from_record` reads it back."""
    record: dict[str, Any] = _plain(asdict(menu))
    if record["model"] is None:
        del record["model"]
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def menu_from_record(raw: dict[str, Any]) -> Menu | Portrait | Quotation:
    """Raises `ProgramError` for what is neither a menu nor a portrait nor a quotation."""
    if "passages" in raw:
        return _quotation(raw)
    return _portrait(raw) if "lines" in raw else _menu(raw)


def _menu(raw: dict[str, Any]) -> Menu:
    menu = fields_of(raw, "'menu'", {"model": str, "summaries": list, "priors": list})
    summaries, priors = menu["summaries"], menu["priors"]
    for summary in summaries:
        _check_text(summary)
    for prior in priors:
        if not is_number(prior):
            raise ProgramError(f"'menu' has a prior that is no number: {prior!r:.60}")
    if len(summaries) < 2 or len(summaries) != len(priors):
        raise ProgramError(
            f"'menu' has {len(summaries)} summaries and {len(priors)} priors; it takes two or more "
            "summaries, and a prior for each"
        )
    return Menu(menu["model"], tuple(summaries), tuple(float(prior) for prior in priors))


def _portrait(raw: dict[str, Any]) -> Portrait:
    menu = fields_of(raw, "'menu'", {"model": str, "lines": list, "most": int})
    lines = tuple(_line(f"'menu' lines[{i}]", line) for i, line in enumerate(menu["lines"]))
    if not lines or menu["most"] < 1:
        raise ProgramError(
            f"'menu' has {len(lines)} lines, of which {menu['most']} may be told; it takes one of "
            "each at least"
        )
    return Portrait(menu["model"], lines, menu["most"])


def _quotation(raw: dict[str, Any]) -> Quotation:
    keys = {"passages": int, "characters": int, "wording": str}
    menu = fields_of(raw, "'menu'", {**keys, **({"model": str} if "model" in raw else {})})
    _check_text(menu["wording"])
    if menu["passages"] < 1 or menu["characters"] < 1:
        raise ProgramError(
            f"'menu' quotes {menu['passages']} passages of {menu['characters']} characters; it "
            "takes one of each at least"
        )
    return Quotation(**menu)


def _line(where: str, raw: Any) -> Line:
    line = fields_of(raw, where, _LINE)
    _check_text(line["text"])
    for key in ("usual", "slope", "base"):
        line[key] = float(line[key])
    return Line(**line)


def _check_text(summary: Any) -> None:
    if not isinstance(summary, str) or not summary.strip() or not is_unicode(summary):
        raise ProgramError(f"'menu' has a summary that is no text: {summary!r:.60}")
