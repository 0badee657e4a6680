"""Reports: one file that tells the truth about a span, and that can do nothing in our name."""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
import sys
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from bridge.history.catalog import Births, SeriesRecord
from bridge.history.query import Answer
from bridge.web import download
from bridge.web.columns import Table
from bridge.web.report import MAX_SERIES
from bridge.web.report_figure import AXES, build_figure
from tests.unit.history.scene import START_US, Scene
from tests.unit.web.helpers import BEARER, Site
from tests.unit.web.past import DOOR, HOSTILE, HOSTILE_SERIES, MODE, START_MS, TEMPERATURE, S, serving, written
from tests.unit.web.test_history_api import SPAN, expected_rows, parse_csv


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Scene]:
    with written(f"sqlite:///{tmp_path}/history.db") as one:
        yield one


@pytest.fixture
async def site(dashboard: Path, past: Scene) -> AsyncIterator[Site]:
    async with serving(dashboard, past) as site:
        yield site


async def report(site: Site, **query: Any) -> tuple[int, Any, bytes]:
    url = f"{site.url}/api/v1/report?{urlencode({**SPAN, **query}, doseq=True)}"
    async with site.http.get(url, headers=BEARER) as response:
        return response.status, response.headers, await response.read()


async def refusal(site: Site, **query: Any) -> tuple[int, str, str]:
    status, _, body = await report(site, **query)
    error = json.loads(body)["error"]
    return status, error["code"], error["message"]


class Reader(HTMLParser):
    """The elements of a document, and what is in the cells of its table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def figure_of(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The arguments of Plotly.newPlot."""
    at = text.index('Plotly.newPlot("charts",') + len('Plotly.newPlot("charts",')
    data, end = json.JSONDecoder().raw_decode(text, at)
    layout, _ = json.JSONDecoder().raw_decode(text, end + 1)
    return data, layout


def numbers(column: dict[str, str]) -> list[float]:
    found: list[float] = np.frombuffer(base64.b64decode(column["bdata"]), column["dtype"]).tolist()
    return found


async def test_a_report_says_what_was_measured(site: Site, past: Scene) -> None:
    status, headers, body = await report(site, device_id="hall/2", tz="Europe/Berlin", title="Heat in hall 2")

    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Disposition"] == 'attachment; filename="Heat-in-hall-2.html"'
    text = body.decode()
    assert "<title>Heat in hall 2</title>" in text
    assert "2026-01-01 01:00:00 +01:00 to 2026-01-01 03:00:00 +01:00 (Europe/Berlin)" in text
    [trace], layout = figure_of(text)
    told = past.model()[TEMPERATURE]
    points = list(zip(numbers(trace["x"]), numbers(trace["y"]), strict=True))
    assert max(v for _, v in points if v == v) == max(v for v in told.values() if v == v)
    assert min(v for _, v in points if v == v) == min(v for v in told.values() if v == v)
    assert all(told[int((x - 3_600_000) * 1000)] == y for x, y in points if y == y)
    assert layout["yaxis"]["title"]["text"] == "°C"
    rows = Reader(text).rows
    values = [v for v in told.values() if v == v]
    assert rows[1][:5] == ["Temperature", "°C", str(len(values)), f"{min(values):.10g}", f"{max(values):.10g}"]
    assert rows[1][6:] == [f"{values[0]:.10g}", f"{values[-1]:.10g}"]


async def test_it_can_do_nothing_in_our_name_and_asks_nobody(site: Site) -> None:
    _, headers, body = await report(site, device_id="door")

    policies = headers.getall("Content-Security-Policy")
    assert len(policies) == 1
    assert policies[0].startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policies[0]
    assert headers.getall("X-Content-Type-Options") == ["nosniff"]
    reader = Reader(body.decode())
    contents = [value or "" for name, value in reader.attributes if name == "content"]
    assert any(content.startswith("default-src 'none'; script-src 'unsafe-inline'") for content in contents)
    assert not {name for name, _ in reader.attributes} & {"src", "href", "action", "onload"}


async def test_hostile_names_stay_names(site: Site) -> None:
    _, headers, body = await report(site, device_id=HOSTILE, title='</title><script>alert("x")</script>')

    text = body.decode()
    assert headers["Content-Disposition"] == 'attachment; filename="title-script-alert-x-script.html"'
    reader = Reader(text)
    assert reader.tags.count("script") == 2  # plotly.js, and the figure
    assert not re.search(r"<script>\s*alert", text)
    [trace], layout = figure_of(text)
    assert layout["yaxis"]["title"]["text"] == "&lt;/script&gt;"  # as Plotly wants it: it shows </script>
    assert reader.rows[1][0] == '=1+1"'
    assert trace["name"] == '=1+1"'
    _, _, body = await report(site, series_id=[HOSTILE_SERIES, TEMPERATURE])
    assert Reader(body.decode()).rows[1][0] == f'{HOSTILE} · =1+1"'


async def test_states_are_bands_and_gaps_are_gaps(site: Site, past: Scene) -> None:
    _, _, body = await report(site, series_id=[DOOR, MODE, HOSTILE_SERIES])

    line, door, mode = figure_of(body.decode())[0]
    silent = [x for x, y in zip(numbers(line["x"]), numbers(line["y"]), strict=True) if math.isnan(y)]
    assert len(silent) == 1
    assert START_MS + 3_000_000 < silent[0] < START_MS + 5_040_000
    assert line["connectgaps"] is False
    assert mode["text"] == ["auto", 'say "hi", then\ngo', ""] * 4
    assert mode["base"] == [START_MS + n * 600_000 for n in range(12)]
    assert mode["x"][:11] == [600_000.0] * 11
    assert (door["text"][:3], door["x"][:2]) == (["off", "on", "off"], [60_000.0, 60_000.0])
    assert len(door["base"]) == 120


@pytest.mark.parametrize("units", [1, 2, 4, 5, 9])
def test_up_to_four_axes_in_a_panel(units: int) -> None:
    series = []
    for number in range(units * 2):
        record = SeriesRecord(number, "d", f"m{number}", "number", (), {"unit": f"u{number % units}"})
        times = np.array([START_US, START_US + S], np.int64)
        series.append((record, Answer(number, times, np.array([1.0, 2.0]), 0, 0, 0, 0)))
    figure = build_figure(Table(START_US, START_US + 2 * S, 9, series), {n: str(n) for n in range(units * 2)}, 0)

    axes = {name: axis for name, axis in figure["layout"].items() if name.startswith("yaxis")}
    assert len(axes) == units
    panels = [axis["domain"] for axis in axes.values() if "domain" in axis]
    assert len(panels) == -(-units // AXES)
    assert all(below[1] < above[0] for above, below in itertools.pairwise(panels))
    for trace, (record, _) in zip(figure["data"], series, strict=True):
        axis = axes["yaxis" + trace["yaxis"][1:]]
        assert axis["title"]["text"] == record.info["unit"]


async def test_as_csv_it_is_the_readings(site: Site, past: Scene) -> None:
    status, _, body = await report(site, device_id="door", format="csv")
    assert status == 200
    assert parse_csv(body) == expected_rows(past, [DOOR, MODE], START_US, START_US + 7200 * S)


async def test_pictures_need_a_package_that_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    status, code, message = await refusal(site, device_id="door", format="png")
    assert (status, code) == (501, "not_available")
    assert "pip install fleetwire[png]" in message


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"device_id": "nobody"}, 404, "unknown_device"),
        ({}, 400, "invalid_message"),
        ({"device_id": "door", "format": "pdf"}, 400, "invalid_message"),
        ({"device_id": "door", "title": "x" * 201}, 400, "invalid_message"),
        ({"device_id": "door", "tz": "Mars/Olympus"}, 400, "invalid_message"),
        ({"device_id": "door", "points": 5}, 400, "invalid_message"),
        ({"device_id": "door", "from": 9, "to": 8}, 400, "invalid_message"),
    ],
)
async def test_bad_questions(site: Site, query: dict[str, Any], status: int, code: str) -> None:
    assert (await refusal(site, **query))[:2] == (status, code)


async def test_too_many_series_or_reports_are_refused(site: Site, past: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = tuple(SeriesRecord(100 + n, "crowd", f"m{n}", "number", (), {}) for n in range(MAX_SERIES + 1))
    with past.store.writing() as writer:
        writer.save_births(Births((), crowd), START_US)
    assert "at most 250 series" in (await refusal(site, device_id="crowd"))[2]
    monkeypatch.setattr(download, "MAX_DOWNLOADS", 0)
    assert (await refusal(site, device_id="door"))[:2] == (503, "busy")


async def test_a_device_without_readings_has_a_report_too(site: Site, past: Scene) -> None:
    status, _, body = await report(site, device_id="door", **{"from": 0, "to": 1000})
    assert status == 200
    assert len(Reader(body.decode()).rows) == 3
