"""A played history: the HTTP endpoints that the page asks about the past, answered in the browser's own network layer.

`PlayedArchive` holds readings as functions of time, so that any span has some; it thins as the server does, counts
what it was asked, and can be slow, fail, or have nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Error, Page, Route, expect

from tests.unit.dashboard.conftest import Tab

# Readings that a played series has at most in one answer, before thinning: tests ask for years, too.
MAX_READINGS = 200_000


@dataclass
class PlayedSeries:
    """One series. `value(time_ms)` is a number, or None in a gap."""

    series_id: int
    device_id: str
    metric: str
    value: Callable[[float], float | None]
    unit: str = ""
    name: str = ""
    kind: str = "number"
    precision: int | None = 1
    texts: list[str] = field(default_factory=list)
    first_ms: float = -math.inf
    last_ms: float = math.inf
    every_ms: float = 1_000


@dataclass
class Question:
    """What was asked: the path below /api/v1/, and the query."""

    path: str
    query: dict[str, list[str]]

    def number(self, name: str) -> float:
        return float(self.query[name][0])

    @property
    def span(self) -> tuple[float, float]:
        return self.number("from"), self.number("to")

    @property
    def series(self) -> list[int]:
        return [int(one) for one in self.query.get("series_id", [])]


class PlayedArchive:
    """Answers every request below /api/v1/ of a page."""

    def __init__(self, *series: PlayedSeries) -> None:
        self.series = {one.series_id: one for one in series}
        self.asked: list[Question] = []
        self.refusals: dict[str, tuple[int, str, str]] = {}  # path: status, code, message
        self.taken_back: list[str] = []  # addresses of questions that the page broke off
        self.held: set[str] = set()  # paths whose answers wait for `release`
        self.span: dict[str, Any] = {"first_ms": None, "last_ms": None, "now_ms": None, "kept_from_ms": {}}
        self._waiting: list[tuple[Route, Question]] = []
        self._lock = threading.Lock()

    def play(self, page: Page) -> None:
        """Take over the network below /api/v1/ of a page; before it is opened, or right after."""
        page.route("**/api/v1/**", self._handle)
        page.on("requestfailed", lambda request: self.taken_back.append(request.url))

    def questions(self, path: str) -> list[Question]:
        with self._lock:
            return [one for one in self.asked if one.path == path]

    def release(self) -> None:
        """Answer what was held, the oldest first; call it in the page's thread. From then on nothing is held."""
        self.held.clear()
        waiting, self._waiting = self._waiting, []
        for route, question in waiting:
            with contextlib.suppress(Error):  # the page has taken its question back
                self._answer(route, question)

    def _handle(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        question = Question(url.path.removeprefix("/api/v1/"), parse_qs(url.query))
        with self._lock:
            self.asked.append(question)
        if question.path in self.held:
            self._waiting.append((route, question))
        else:
            self._answer(route, question)

    def _answer(self, route: Route, question: Question) -> None:
        unknown = [one for one in question.series if one not in self.series]
        if question.path in self.refusals or unknown:
            missing = (404, "not_found", f"there is no series {unknown[0]}" if unknown else "")
            status, code, message = self.refusals.get(question.path, missing)
            error = {"error": {"code": code, "message": message}}
            route.fulfill(status=status, content_type="application/json", body=json.dumps(error))
        elif question.path == "history" and question.query["format"] == ["binary"]:
            route.fulfill(content_type="application/vnd.fleetwire.columns", body=self._columns(question))
        elif question.path == "statistics":
            route.fulfill(content_type="application/json", body=json.dumps(self._statistics(question)))
        elif question.path == "span":
            route.fulfill(content_type="application/json", body=json.dumps(self.span))
        else:
            headers = {"Content-Disposition": f"attachment; filename={question.path}.txt"}
            route.fulfill(content_type="text/plain", headers=headers, body=json.dumps(question.query))

    def _columns(self, question: Question) -> bytes:
        from_ms, to_ms = question.span
        answers = [(self.series[one], *self._points(question, self.series[one])) for one in question.series]
        described = [
            {
                "series_id": one.series_id,
                "device_id": one.device_id,
                "metric": one.metric,
                "name": one.name or one.metric,
                "kind": one.kind,
                "unit": one.unit,
                "precision": one.precision,
                "texts": one.texts,
                "resolution": "readings",
                "width_ms": width,
                "off_clock": 0,
                "damaged": 0,
                "count": len(points),
            }
            for one, width, points in answers
        ]
        columns = [([at for at, _ in points], [value for _, value in points]) for _, _, points in answers]
        return encode_columns({"from_ms": from_ms, "to_ms": to_ms, "series": described}, columns)

    def _points(self, question: Question, series: PlayedSeries) -> tuple[float, list[tuple[float, float]]]:
        from_ms, to_ms = question.span
        width = (to_ms - from_ms) / max(1, question.number("points") // 2 - 1)
        readings = self._readings(series, from_ms, to_ms, width / 8)
        if len(readings) <= question.number("points"):
            return 0, readings
        pixels: dict[int, list[tuple[float, float]]] = {}
        for at, value in readings:
            pixels.setdefault(int(at // width), []).append((at, value))
        thin: list[tuple[float, float]] = []
        for inside in pixels.values():
            values = [one for one in inside if not math.isnan(one[1])]
            if values:
                low, high = min(values, key=lambda one: one[1]), max(values, key=lambda one: one[1])
                thin += sorted({low, high})
            if math.isnan(inside[-1][1]):
                thin.append(inside[-1])
        return width, thin

    def _readings(
        self, series: PlayedSeries, from_ms: float, to_ms: float, coarse_ms: float
    ) -> list[tuple[float, float]]:
        step = series.every_ms
        while (min(to_ms, series.last_ms) - max(from_ms, series.first_ms)) / step > MAX_READINGS or step < coarse_ms:
            step *= 2
        at = math.ceil(max(from_ms, series.first_ms) / step) * step
        found: list[tuple[float, float]] = []
        while at < to_ms and at <= series.last_ms:
            value = series.value(at)
            if value is not None:
                found.append((at, value))
            elif found and not math.isnan(found[-1][1]):
                found.append((at, math.nan))
            at += step
        return found

    def _statistics(self, question: Question) -> dict[str, Any]:
        from_ms, to_ms = question.span
        told = []
        for series_id in question.series:
            found = self._readings(self.series[series_id], from_ms, to_ms, 0)
            readings = [(value, at) for at, value in found if not math.isnan(value)]
            values = [value for value, _ in readings]
            low, high = min(readings, default=None), max(readings, default=None)
            told.append(
                {
                    "series_id": series_id,
                    "count": len(values),
                    "min": low and low[0],
                    "max": high and high[0],
                    "mean": sum(values) / len(values) if values else None,
                    "first": values[0] if values else None,
                    "last": values[-1] if values else None,
                    "min_time_ms": low and low[1],
                    "max_time_ms": high and high[1],
                }
            )
        return {"statistics": told}


def encode_columns(head: dict[str, Any], columns: list[tuple[list[float], list[float]]]) -> bytes:
    """The binary answer, as docs/protocol.md describes it."""
    text = json.dumps(head).encode()
    text += b" " * (-(4 + len(text)) % 8)
    parts = [struct.pack("<I", len(text)), text]
    for times, values in columns:
        parts += [struct.pack(f"<{len(times)}d", *times), struct.pack(f"<{len(values)}d", *values)]
    return b"".join(parts)


FLEET = """
const { server } = window;
const recording = { state: arg.recording, since_ms: 0, reason: '', waiting: 0, lost: 0 };
server.welcome({ recording, ...arg.welcome });
const devices = [...new Set(arg.series.map((one) => one.device_id))].map((id) =>
  server.device(id, { name: arg.names[id] ?? id }));
const series = arg.series.map((one) => server.series(one.series_id, one.device_id, one.metric, one));
server.snapshot('fleet', devices, series);
const open = server.sent.filter((m) => m.type === 'subscribe' && m.channel.startsWith('device/')).at(-1);
if (open) {
  const id = open.channel.slice('device/'.length);
  server.snapshot(open.channel, [server.device(id, { name: arg.names[id] ?? id, commands: {} })],
                  series.filter((one) => one.device_id === id));
}
"""


def open_with_history(
    open_dashboard: Callable[[str], Tab],
    archive: PlayedArchive,
    hash_: str,
    *,
    recording: str = "recording",
    names: dict[str, str] | None = None,
    time_zone: str | None = None,
    **welcome: Any,
) -> Tab:
    """The page at an address, its fleet made of the archive's series, and the archive behind it."""
    tab = open_dashboard("#/")

    def prepare(page: Page) -> None:
        # While requests are answered here, the browser does without its cache, in which Plotly is compiled already.
        page.evaluate("() => import('/static/js/chart.js').then(({ loadPlotly }) => loadPlotly()).then(() => null)")
        archive.play(page)
        if time_zone is not None:
            page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", {"timezoneId": time_zone})
        page.wait_for_function("() => window.server.sockets.length > 0")
        # The device's channel is asked for as soon as there is a session.
        page.evaluate("(hash) => { location.hash = hash; }", hash_)
        page.wait_for_function("() => document.querySelector('[data-testid=device-page], [data-testid=explore]')")

    tab.do(prepare)
    described = [
        {
            "series_id": one.series_id,
            "device_id": one.device_id,
            "metric": one.metric,
            "name": one.name or one.metric,
            "unit": one.unit,
            "kind": one.kind,
            "precision": one.precision,
            "texts": one.texts,
            "value": None,
        }
        for one in archive.series.values()
    ]
    arg = {"series": described, "names": names or {}, "recording": recording, "welcome": welcome}
    tab.js(FLEET, arg)
    tab.do(lambda page: expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live"))
    return tab


def drawn(tab: Tab, selector: str) -> list[dict[str, Any]]:
    """The lines that Plotly was given: `x` in ms, `y` with None where a line is broken, `yaxis`, `dash`, `name`."""
    lines: list[dict[str, Any]] = tab.js(
        """
        return [...document.querySelectorAll(arg)].flatMap((plot) => (plot.data ?? []).map((line) => ({
          x: [...line.x], y: [...line.y].map((value) => (Number.isNaN(value) ? null : value)),
          yaxis: line.yaxis, dash: line.line.dash, name: line.name, colour: line.line.color })));
        """,
        selector,
    )
    return lines


def drag(page: Page, selector: str, from_share: float, to_share: float) -> None:
    """Draw a box over a chart, from one share of its plot's width to another."""
    box = page.locator(f"{selector} .nsewdrag").first.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * from_share, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (from_share + to_share) / 2, y + 5, steps=3)
    page.mouse.move(box["x"] + box["width"] * to_share, y + 5, steps=3)
    page.mouse.up()
