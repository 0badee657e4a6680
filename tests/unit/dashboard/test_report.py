"""A report, opened as a file in a real browser: it draws, complains of nothing and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.history.spans import US_PER_S
from bridge.history.statistics import measure
from bridge.web.columns import Table
from bridge.web.report_figure import build_figure
from bridge.web.report_page import Report, write_page
from tests.unit.dashboard.conftest import Tab
from tests.unit.history.scene import START_US
from tests.unit.web.past import HOSTILE, SERIES, written

pytestmark = pytest.mark.browser

TO_US = START_US + 7200 * US_PER_S
TITLE = '</title></script><script>window.hurt = 1</script><img src=x onerror="window.hurt = 2">'


def make_report(file: Path) -> None:
    with written("sqlite://") as one:
        ids = [record.series_id for record in SERIES]
        answers = one.history.query(ids, START_US, TO_US, 1000)
        statistics = list(zip(SERIES, measure(one.history, ids, START_US, TO_US), strict=True))
    table = Table(START_US, TO_US, 1000, list(zip(SERIES, answers, strict=True)))
    names = {record.series_id: f"{record.device_id} <b>x</b><img src=x onerror=window.hurt=3>" for record in SERIES}
    report = Report(TITLE, START_US, TO_US, TO_US, ZoneInfo("Europe/Berlin"), 3_600 * US_PER_S, "1.0")
    file.write_bytes(write_page(report, build_figure(table, names, report.offset_us), statistics, names))


@pytest.fixture
def chromium(_chromium: Any) -> Any:
    return _chromium


def test_a_report_draws_and_asks_nobody(chromium: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    make_report(file)
    tab = Tab(chromium, file.as_uri())
    try:
        asked: list[str] = []
        tab.do(lambda page: page.on("request", lambda request: asked.append(request.url)))
        tab.do(lambda page: page.reload())
        tab.do(
            lambda page: page.wait_for_function(
                "() => document.querySelectorAll('#charts .scatterlayer path.js-line').length >= 2"
            )
        )
        shown = tab.do(
            lambda page: page.evaluate(
                """() => ({
                  lines: document.querySelectorAll('#charts .scatterlayer .trace').length,
                  bars: document.querySelectorAll('#charts .barlayer .trace').length,
                  rows: document.querySelectorAll('tbody tr').length,
                  heading: document.querySelector('h1').textContent,
                  legend: [...document.querySelectorAll('#charts .legendtext')].map((text) => text.textContent),
                  ticks: [...document.querySelectorAll('#charts .xtick text')].map((text) => text.textContent),
                  images: document.querySelectorAll('img').length,
                  hurt: window.hurt ?? null,
                })"""
            )
        )
    finally:
        tab.close()  # fails if the page has complained
    assert (shown["lines"], shown["bars"], shown["rows"]) == (2, 2, 4)
    assert shown["heading"] == TITLE
    assert (shown["hurt"], shown["images"]) == (None, 0)
    assert f"{HOSTILE} <b>x</b><img src=x onerror=window.hurt=3>" in shown["legend"]
    assert any("02:00" in tick for tick in shown["ticks"])  # Berlin's clocks, not Greenwich's
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
