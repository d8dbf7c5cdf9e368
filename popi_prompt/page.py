"""A report as one HTML page that opens anywhere: no script, no file or network beside it.

All is drawn from the JSON record, which the page holds under the id "report"; every figure names
its place there in `data-path`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from popi_prompt.fields import as_unicode
from popi_prompt.plots import accuracy_by_tokens, before_after, distributions
from popi_prompt.rows import TITLES

Record = Mapping[str, Any]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff;
  max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid #e3e3e3; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; vertical-align: bottom; }
svg { width: 100%; height: auto; } p { max-width: 46rem; }
.label { font-size: 13px; fill: #1c1c1c; } .tick { font-size: 12px; fill: #666; }
.figure { font-size: 12px; font-weight: 600; fill: #1c1c1c; }
.grid { stroke: #ececec; } .zero { stroke: #8a8a8a; } .chance { stroke: #8a8a8a;
  stroke-dasharray: 4 4; fill: none; }
.box { fill: #dbe7fb; stroke: #7ba3e6; } .median { stroke: #2f5fb3; stroke-width: 2; }
.dot { fill: #2f5fb3; fill-opacity: .45; } .mean, .mark { fill: #1c1c1c; }
.reach { stroke: #1c1c1c; stroke-width: 1.5; }
.helped { fill: #2f5fb3; fill-opacity: .7; } .harmed { fill: #c2410c; fill-opacity: .8; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(record: Record, about: str) -> str:
    """The whole page. `record` is a report's, with users; `about` says what was measured."""
    title = escape(f"popi-prompt: {about}")
    held = json.dumps(record, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    whole = "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
            *_sections(record),
            f'<script type="application/json" id="report">{held}</script>\n</body>\n</html>\n',
        ]
    )
    return as_unicode(whole)


def _sections(record: Record) -> Iterator[str]:
    rows, unit = record["rows"], record["unit"]
    yield (
        "<p>D says how far a text moves the frozen generator from the answer the person rejected "
        f"to the one they chose ({escape(unit)}; above 0 is better). Brackets are 95% intervals "
        "over users.</p>"
    )
    yield _measured(record, "rows", priced=True)
    if record["stopped"] is not None:
        yield f"<p>Other rows were not measured: {escape(record['stopped'])}.</p>"
    yield "<h2>What it changes, user by user</h2>"
    yield _compared(record)
    yield f"<p>Users {escape(record['rule'])}.</p>"
    for heading, plot in (
        ("Distribution of D by row", distributions(rows, unit)),
        ("Reward accuracy against tokens inserted", accuracy_by_tokens(rows)),
        ("Before and after, user by user", before_after(rows, unit)),
    ):
        if plot:
            yield f"<h2>{heading}</h2>\n{plot}"
    for name in record["groups"]:
        yield f"<h2>Group {escape(name)}</h2>"
        yield _measured(record, f"groups/{_escaped(name)}/rows", priced=False)
    yield from _failures(record)


def _measured(record: Record, base: str, *, priced: bool) -> str:
    prefers = record["prefers"]
    heads = ["moved to chosen", "D [95% interval]", *(name.replace("_", " ") for name in prefers)]
    heads += ["tokens median", "tokens p95", *(("calls", "USD") if priced else ()), "failed"]
    lines = []
    for number, row in enumerate(at(record, base)):
        path = f"{base}/{number}"
        cells = [
            _cell(record, f"{path}/reward_accuracy/mean", "share"),
            _interval(record, f"{path}/margin"),
            *(_preferred(record, f"{path}/{name}") for name in prefers),
            _cell(record, f"{path}/tokens_median", "count"),
            _cell(record, f"{path}/tokens_p95", "count"),
        ]
        if priced:
            cells.append(_cell(record, f"{path}/calls", "count"))
            cells.append(_cell(record, f"{path}/usd", "usd"))
        cells.append(_cell(record, f"{path}/failures", "length"))
        lines.append((row["context"], cells))
    return _table(heads, lines)


def _preferred(record: Record, path: str) -> str:
    """Of a further scorer also how many only it could not score."""
    share = _cell(record, f"{path}/mean", "share")
    if not at(record, f"{path}/failed"):
        return share
    return f"{share} ({_cell(record, f'{path}/failed', 'count')} failed)"


def _compared(record: Record) -> str:
    heads = ["D minus untuned", "D minus raw", "users helped", "unchanged", "harmed"]
    lines = []
    for number, row in enumerate(record["rows"]):
        if row["against_untuned"] is None and row["against_raw"] is None:
            continue
        path = f"rows/{number}"
        counts = (f"{path}/against_untuned/{name}" for name in ("helped", "unchanged", "harmed"))
        cells = [_interval(record, f"{path}/against_{name}/margin") for name in ("untuned", "raw")]
        lines.append((row["context"], [*cells, *(_cell(record, p, "count") for p in counts)]))
    return _table(heads, lines)


def _table(heads: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("told", *heads))
    body = "\n".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in (escape(TITLES[context]), *cells)) + "</tr>"
        for context, cells in lines
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _interval(record: Record, path: str) -> str:
    mean = _cell(record, f"{path}/mean", "signed")
    if at(record, f"{path}/low") is None:
        return mean
    low, high = (_cell(record, f"{path}/{bound}", "signed") for bound in ("low", "high"))
    return f"{mean} [{low}, {high}]"


def _cell(record: Record, path: str, kind: str) -> str:
    text = written(at(record, path), kind)
    return f'<span data-path="{escape(path)}" data-kind="{kind}">{text}</span>'


def written(value: Any, kind: str) -> str:
    """A value of the record as the page shows it."""
    if value is None:
        return "-"
    if kind == "length":
        return str(len(value))
    return {"share": "{:.1%}", "signed": "{:+.2f}", "usd": "{:.4f}", "count": "{:.0f}"}[
        kind
    ].format(value)


def at(record: Any, path: str) -> Any:
    """The value at a JSON pointer without its first slash; None where it leads nowhere."""
    for part in path.split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(record, list):
            record = record[int(name)]
        else:
            record = None if record is None else record.get(name)
    return record


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _failures(record: Record) -> Iterator[str]:
    found = []
    for row in record["rows"]:
        title = TITLES[row["context"]]
        found += [(title, failure) for failure in row["failures"]]
        for name in record["prefers"][1:]:
            by = row[name] or {"failures": ()}
            found += [(f"{title}, {name.replace('_', ' ')}", each) for each in by["failures"]]
    if found:
        yield "<h2>Failures: left out of every mean</h2>\n<ul>"
        for title, failure in found:
            yield f"<li>{escape(title)}: {escape(failure['reason'])}</li>"
        yield "</ul>"
