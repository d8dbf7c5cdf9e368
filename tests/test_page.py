"""The HTML page: its figures are the record's, it opens offline, and no text gets out of its place.

The browser tests need a Chromium (`apt-get install chromium`) and `pip install -e ".[browser]"`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from toy_tastes import COMPILED_CANDIDATE, PEOPLE, compared, door, too_long

from popi_prompt.candidate import UNTUNED_CANDIDATE
from popi_prompt.comparison import Scoring, compare
from popi_prompt.errors import BadResponse, ModelError
from popi_prompt.page import at, page, written
from popi_prompt.prompts import Messages
from popi_prompt.report import Report
from popi_prompt.rewards import PopiReward
from popi_prompt.rows import ALL_ROWS, CORE_ROWS
from popi_prompt.schema import Pair, Preference, User
from popi_prompt.scorers import ChoiceScorer, LikelihoodScorer
from popi_prompt.testing import FakeModel, fake_door

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
EVIL = "</script><img src=x onerror=alert(1)>'\"&amp;"
FIGURE = re.compile(r'data-path="([^"]*)" data-kind="(\w+)">([^<]*)<')


def evil_users() -> tuple[User, ...]:
    return tuple(
        User(
            f"{i} {EVIL}",
            (Preference(f"signal {i}", "liked", "disliked"),),
            (Pair(f"pair {i}", "water drops", "vapour"),),
            group=EVIL if i % 2 else "a/b~c",
        )
        for i in range(6)
    )


def evil_report() -> Report:
    scoring = Scoring(
        fake_door({"inference": FakeModel("water")}), LikelihoodScorer(), PopiReward()
    )
    return compare(COMPILED_CANDIDATE, evil_users(), scoring, ALL_ROWS)


def held(text: str) -> Any:
    """The record inside the page."""
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


REPORTS: dict[str, Callable[[], Report]] = {
    "all rows": lambda: compared(),
    "core rows": lambda: compared(rows=CORE_ROWS),
    "failures": lambda: compared(through=door(too_long)),
    "evil texts": evil_report,
    "few users": lambda: compared(PEOPLE[:2]),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_holds_the_record_and_every_figure_is_its(name: str) -> None:
    record = REPORTS[name]().as_record(by_user=True)
    text = page(record, "users")
    assert held(text) == record
    figures = FIGURE.findall(text)
    assert len(figures) > 30
    for path, kind, shown in figures:
        assert shown == written(at(record, unescape(path)), kind), path


def test_no_text_of_the_data_is_markup() -> None:
    text = page(evil_report().as_record(by_user=True), EVIL)
    assert text.count("</script>") == 1
    assert "<img" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    def fails(messages: Messages) -> ModelError | None:
        return BadResponse("so \ud800 it") if "pair 1" in messages[-1].content else None

    report = compared(through=door(fails))
    text = page(report.as_record(by_user=True), "caf\udce9.jsonl")
    assert text.encode("utf-8")
    assert "so \ufffd it" in text


def test_a_page_of_an_untuned_program_has_no_before_and_after() -> None:
    record = compared(candidate=UNTUNED_CANDIDATE).as_record(by_user=True)
    assert "Before and after" not in page(record, "users")


@dataclass
class Opened:
    """What a browser made of a page."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    figures: list[tuple[str, str, str]] = field(default_factory=list)
    record: Any = None
    plots: int = 0
    points: int = 0
    wide: bool = False
    png: bytes = b""


_READ = """() => ({
  figures: [...document.querySelectorAll('[data-path]')].map(
    e => [e.dataset.path, e.dataset.kind, e.textContent]),
  record: JSON.parse(document.getElementById('report').textContent),
  plots: document.querySelectorAll('svg').length,
  points: document.querySelectorAll('svg circle title').length,
  wide: document.documentElement.scrollWidth > window.innerWidth,
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium without a network."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: pip install '.[browser]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield found
        found.close()


def opened(browser: Any, path: Path) -> Opened:
    seen = Opened()
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    tab = context.new_page()
    tab.on("request", lambda request: seen.requests.append(request.url))
    tab.on("console", lambda message: seen.complaints.append(message.text))
    tab.on("pageerror", lambda error: seen.complaints.append(str(error)))
    tab.goto(path.as_uri())
    found = tab.evaluate(_READ)
    seen.figures = [tuple(each) for each in found.pop("figures")]
    for name, value in found.items():
        setattr(seen, name, value)
    seen.png = tab.screenshot(full_page=True)
    context.close()
    return seen


@pytest.mark.parametrize("name", REPORTS)
def test_chromium_opens_it_without_a_request_and_shows_the_records_figures(
    browser: Any, tmp_path: Path, name: str
) -> None:
    record = REPORTS[name]().as_record(by_user=True)
    path = tmp_path / "report.html"
    path.write_text(page(record, f"users, {EVIL}"), encoding="utf-8")
    seen = opened(browser, path)
    assert seen.requests == [path.as_uri()]
    assert seen.complaints == []
    assert seen.record == record
    assert len(seen.figures) > 30
    for place, kind, shown in seen.figures:
        assert shown == written(at(record, place), kind), place
    assert seen.plots == 3
    shifted = [
        row["by_user"]
        for row in record["rows"]
        if row["margin"] is not None and row["context"] != "no context"
    ]
    compiled = next(row for row in record["rows"] if row["context"] == "compiled")
    assert seen.points == sum(map(len, shifted)) + len(compiled["by_user"])
    assert not seen.wide
    assert seen.png.startswith(b"\x89PNG")


def test_choice_scores_are_on_the_page_too() -> None:
    scoring = Scoring(door(), LikelihoodScorer(), PopiReward(), (ChoiceScorer(),))
    text = page(compare(COMPILED_CANDIDATE, PEOPLE, scoring).as_record(by_user=True), "users")
    assert "choice accuracy" in text
