"""The Explore page: picking series, axes, zoom, compare, the address, statistics, exports, and what it says in need."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.unit.dashboard.conftest import Tab
from tests.unit.dashboard.played_archive import PlayedArchive, PlayedSeries, drag, drawn, open_with_history

pytestmark = pytest.mark.browser

OpenDashboard = Callable[[str], Tab]

HOUR = 3_600_000
DAY = 24 * HOUR
PLOT = "[data-testid=explore-plot]"


def now_ms() -> float:
    return time.time() * 1000


def wave(low: float, high: float) -> Callable[[float], float]:
    return lambda at: (low + high) / 2 + (high - low) / 2 * math.sin(at / HOUR)


def plant() -> PlayedArchive:
    return PlayedArchive(
        PlayedSeries(1, "boiler", "flow", wave(55, 65), unit="°C", name="Flow"),
        PlayedSeries(2, "hall", "temperature", wave(19, 23), unit="°C", name="Temperature"),
        PlayedSeries(3, "hall", "humidity", wave(40, 60), unit="%", name="Humidity"),
        PlayedSeries(4, "pump", "pressure", wave(2, 4), unit="bar", name="Pressure", precision=2),
        PlayedSeries(5, "pump", "power", wave(900, 1100), unit="W", name="Power", precision=0),
        PlayedSeries(6, "pump", "speed", wave(10, 50), unit="Hz", name="Speed"),
        PlayedSeries(7, "pump", "running", lambda at: float(at // (HOUR / 4) % 2), kind="boolean", name="Running"),
        PlayedSeries(8, "pump", "restarts", wave(0, 4), name="Restarts", precision=0),
        PlayedSeries(9, "pump", "errors", wave(0, 9), name="Errors", precision=0),
    )


def explore(open_dashboard: OpenDashboard, archive: PlayedArchive, query: str = "", **extra: Any) -> Tab:
    return open_with_history(open_dashboard, archive, f"#/explore?{query}", **extra)


def wait_for_lines(tab: Tab, least: int = 300) -> None:
    tab.do(
        lambda page: page.wait_for_function(
            """(least) => { const stage = document.querySelector('[data-testid=stage]');
              return stage?.querySelector('.nsewdrag') && Number(stage.dataset.points) >= least; }""",
            arg=least,
        )
    )


def wait_until(tab: Tab, check: Callable[[], bool], what: str) -> None:
    for _ in range(200):
        if check():
            return
        tab.do(lambda page: page.wait_for_timeout(50))
    raise AssertionError(what)


def address(tab: Tab) -> str:
    return str(tab.js("return location.hash;"))


# ----- the address ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "#/explore?last=1h"),
        ("series=3,1,3&last=6h", "#/explore?series=3,1&last=6h"),
        ("series=1&series=2&compare=week", "#/explore?series=1,2&last=1h&compare=week"),
        ("series=1&from=1000&to=61000", "#/explore?series=1&from=1000&to=61000"),
        ("series=1&from=1970-01-01T00:00:01Z&to=1970-01-02&at=5", "#/explore?series=1&from=1000&to=86400000"),
        ("series=-1,x,1e3,99999999999999999999&from=9&to=3&last=1&compare=year", "#/explore?last=1h"),
        ("series=" + ",".join(map(str, range(1, 99))), "#/explore?series=1,2,3,4,5,6,7,8,9,10,11,12&last=1h"),
        ("from=9e99&to=1e999", "#/explore?last=1h"),
    ],
)
def test_an_address_is_a_picture(tab: Tab, query: str, expected: str) -> None:
    source = """
    const { parseState, exploreHref } = await load('views/explore_state');
    const href = exploreHref(parseState(new URLSearchParams(arg)));
    return [href, exploreHref(parseState(new URLSearchParams(href.split('?')[1])))];
    """
    assert tab.js(source, query) == [expected, expected]


def test_a_moment_that_is_looked_at_stays_in_the_address(tab: Tab) -> None:
    assert (
        tab.js(
            """
        const { parseState, exploreHref } = await load('views/explore_state');
        return exploreHref(parseState(new URLSearchParams('series=4&last=7d')), '#/explore?series=1&at=1234');
        """
        )
        == "#/explore?series=4&last=7d&at=1234"
    )


def test_a_link_opens_the_same_picture(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    to = 1_790_000_000_000
    tab = explore(open_dashboard, archive, f"series=2,4&from={to - 2 * HOUR}&to={to}&compare=week")
    wait_for_lines(tab)
    tab.do(lambda page: expect(page.get_by_test_id("follow")).to_have_attribute("aria-pressed", "false"))
    tab.do(lambda page: expect(page.get_by_test_id("compare")).to_have_value("week"))
    rows = tab.do(lambda page: page.locator("[data-testid=legend] tbody tr").count())
    assert rows == 2
    spans = {question.span for question in archive.questions("history")}
    assert (to - 2.5 * HOUR, to + 0.5 * HOUR) in spans
    assert any(span[1] < to - 6 * DAY for span in spans)
    tab.do(lambda page: page.evaluate("() => { location.hash = '#/explore?series=3&last=6h'; }"))
    tab.do(lambda page: expect(page.locator("[data-testid=legend] tbody tr")).to_have_count(1))
    tab.do(lambda page: expect(page.get_by_test_id("follow")).to_have_attribute("aria-pressed", "true"))
    assert address(tab) == "#/explore?series=3&last=6h"


# ----- picking ------------------------------------------------------------------------------------------------


def test_with_nothing_picked_it_says_how_and_offers_some(open_dashboard: OpenDashboard) -> None:
    tab = explore(open_dashboard, plant())
    tab.do(lambda page: expect(page.get_by_test_id("explore-empty")).to_contain_text("Nothing picked yet"))
    tab.do(lambda page: page.get_by_role("button", name="boiler · Flow").click())
    wait_for_lines(tab)
    tab.do(lambda page: expect(page.get_by_test_id("explore-empty")).to_be_hidden())
    assert address(tab) == "#/explore?series=1&last=1h"


def test_the_keyboard_finds_picks_and_takes_away(open_dashboard: OpenDashboard) -> None:
    tab = explore(open_dashboard, plant())

    def walk(page: Page) -> None:
        page.keyboard.press("/")
        picker = page.get_by_test_id("picker")
        expect(picker).to_be_focused()
        page.keyboard.type("pump press")
        expect(page.locator(".picker-option")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.locator(".picker-option")).to_have_attribute("aria-selected", "true")
        picker.fill("hall")
        expect(page.locator(".picker-option")).to_have_count(2)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        active = picker.get_attribute("aria-activedescendant")
        expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
        page.keyboard.press("Escape")
        expect(page.get_by_role("listbox")).to_be_hidden()

    tab.do(walk)
    assert address(tab) in ("#/explore?series=4,2&last=1h", "#/explore?series=4,3&last=1h")
    tab.do(lambda page: page.get_by_role("button", name="Take away pump · Pressure").click())
    assert "series=4" not in address(tab)


def test_a_thousand_devices_are_searched_and_few_are_shown(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(
        *(PlayedSeries(i, f"d-{i // 5:04}", f"m{i % 5}", wave(0, 1), unit="°C") for i in range(5_000))
    )
    tab = explore(open_dashboard, archive)

    def look(page: Page) -> None:
        page.keyboard.press("/")
        expect(page.locator(".picker-option")).to_have_count(60)
        expect(page.locator(".picker-note")).to_contain_text("4940 more metrics")
        page.keyboard.type("d-0999 m2")
        expect(page.locator(".picker-option")).to_have_count(1)
        page.keyboard.press("Enter")

    tab.do(look)
    assert address(tab) == "#/explore?series=4997&last=1h"
    took = tab.js(
        """
        const input = document.querySelector('[data-testid=picker]');
        input.value = 'd-05';
        const begin = performance.now();
        input.dispatchEvent(new Event('input'));
        return performance.now() - begin;
        """
    )
    assert took < 200, "a search must not be felt"


def test_twelve_is_all(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(*(PlayedSeries(i, "d", f"m{i:02}", wave(0, i + 1), unit="°C") for i in range(14)))
    tab = explore(open_dashboard, archive, "series=0,1,2,3,4,5,6,7,8,9,10,11")
    wait_for_lines(tab)
    assert len({line["colour"] for line in drawn(tab, PLOT)}) == 12

    def look(page: Page) -> None:
        page.keyboard.press("/")
        page.keyboard.type("m12")
        expect(page.locator(".picker-note")).to_contain_text("12 series are picked")
        page.keyboard.press("Enter")
        expect(page.locator(".picker-option")).to_have_attribute("aria-selected", "false")

    tab.do(look)
    assert address(tab).count(",") == 11


# ----- axes -----------------------------------------------------------------------------------------------------


def test_an_axis_for_each_unit_and_further_charts_for_more(open_dashboard: OpenDashboard) -> None:
    tab = explore(open_dashboard, plant(), "series=1,2,3,4,5,6,8,9")
    wait_for_lines(tab)
    tab.do(lambda page: expect(page.locator(PLOT)).to_have_count(2))
    tab.do(lambda page: page.wait_for_function("() => document.querySelectorAll('.nsewdrag').length === 2"))
    first = [(line["name"], line["yaxis"]) for line in drawn(tab, f"{PLOT}:nth-child(1)")]
    assert first == [
        ("boiler · Flow", "y"),
        ("hall · Temperature", "y"),
        ("hall · Humidity", "y2"),
        ("pump · Pressure", "y3"),
        ("pump · Power", "y4"),
    ]
    # Without a unit, restarts and errors do not compare.
    second = [(line["name"], line["yaxis"]) for line in drawn(tab, f"{PLOT}:nth-child(2)")]
    assert second == [("pump · Speed", "y"), ("pump · Restarts", "y2"), ("pump · Errors", "y3")]
    boxes = tab.js(
        """return [...document.querySelectorAll('.explore-plot .nsewdrag')].map((one) => {
             const { left, width } = one.getBoundingClientRect(); return [left, width]; });"""
    )
    assert boxes[0] == pytest.approx(boxes[1], abs=1), "times lie above each other"


def test_states_are_bands_on_the_same_time(open_dashboard: OpenDashboard) -> None:
    tab = explore(open_dashboard, plant(), "series=4,7&last=2h")
    wait_for_lines(tab)
    parts = "document.querySelector('[data-testid=explore-strip]')?.dataset.parts"
    tab.do(lambda page: page.wait_for_function(f"() => [8, 9].includes(Number({parts}))"))
    box, strip = tab.js(
        """return ['.explore-plot .nsewdrag', '[data-testid=explore-strip]'].map((one) => {
             const { left, width } = document.querySelector(one).getBoundingClientRect(); return [left, width]; });"""
    )
    assert box == pytest.approx(strip, abs=2)


# ----- time -----------------------------------------------------------------------------------------------------


def test_a_box_is_asked_for_again_in_full_and_can_be_taken_back(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    tab = explore(open_dashboard, archive, "series=1,4&last=24h")
    wait_for_lines(tab)
    wide = archive.questions("history")[-1]
    width = tab.js("return document.querySelector('.explore-plot .nsewdrag').getBoundingClientRect().width;")
    assert 1.5 * 2 * width <= wide.number("points") <= 1.5 * 2 * (width + 200) + 2
    count = len(archive.questions("history"))
    tab.do(lambda page: drag(page, PLOT, 0.5, 0.6))
    wait_until(tab, lambda: len(archive.questions("history")) > count, "the box was not asked for")
    box = archive.questions("history")[-1]
    assert box.span[1] - box.span[0] == pytest.approx(0.1 * 1.5 * DAY, rel=0.1)
    assert box.number("points") == pytest.approx(wide.number("points"), abs=1.5 * 2 * 100)
    assert box.series == [1, 4]
    from_ms, to_ms = (float(part.partition("=")[2]) for part in address(tab).split("&")[1:3])
    assert to_ms - from_ms == pytest.approx(0.1 * DAY, rel=0.1)
    tab.do(lambda page: page.wait_for_timeout(600))
    line = drawn(tab, PLOT)[0]
    assert len(line["x"]) > width, "at the new resolution"
    tab.do(lambda page: page.locator(f"{PLOT} .nsewdrag").first.dblclick())
    wait_until(tab, lambda: address(tab).endswith("last=1d"), "a double click goes back")


def test_steps_presets_live_and_typed_spans(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    tab = explore(open_dashboard, archive, "series=1&last=1h")
    wait_for_lines(tab)

    def walk(page: Page) -> None:
        for _ in range(4):
            page.get_by_test_id("earlier").click()
        expect(page.get_by_test_id("follow")).to_have_attribute("aria-pressed", "false")
        page.get_by_test_id("zoom-out").click()
        page.wait_for_timeout(800)

    tab.do(walk)
    from_ms, to_ms = archive.questions("history")[-1].span
    assert to_ms - from_ms == pytest.approx(3 * HOUR, rel=1e-3)
    assert (to_ms + from_ms) / 2 == pytest.approx(now_ms() - 2.5 * HOUR, abs=60_000)
    tab.do(lambda page: page.get_by_test_id("follow").click())
    tab.do(lambda page: expect(page.get_by_test_id("later")).to_be_disabled())
    tab.do(lambda page: page.locator("[data-preset='7 d']").click())
    assert address(tab) == "#/explore?series=1&last=7d"

    def type_span(page: Page) -> None:
        page.get_by_test_id("custom").click()
        page.get_by_test_id("span-from").fill("2026-01-05T08:00:00")
        page.get_by_test_id("span-to").fill("2026-01-05T07:00:00")
        expect(page.locator(".explore-span .field-problem")).to_contain_text("must end after it begins")
        page.get_by_test_id("span-to").fill("2026-01-05T09:30:00")
        expect(page.get_by_test_id("range")).to_have_text("2026-01-05 08:00 – 09:30")

    tab.do(type_span)
    wait_until(tab, lambda: archive.questions("history")[-1].span[1] < now_ms() - DAY, "the typed span was not asked")


def test_answers_that_nobody_wants_any_more_are_dropped(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    archive.held.add("history")
    tab = explore(open_dashboard, archive, "series=1&last=30d")
    wait_until(tab, lambda: len(archive.questions("history")) >= 1, "nothing was asked")
    tab.do(lambda page: expect(page.locator(".explore-board [data-testid=loading]")).to_be_visible())
    tab.do(lambda page: page.locator("[data-preset='6 h']").click())
    wait_until(tab, lambda: len(archive.questions("history")) >= 2, "the new span was not asked")
    wait_until(tab, lambda: len(archive.taken_back) >= 1, "the old one was not taken back")
    tab.do(lambda page: archive.release())
    wait_for_lines(tab)
    line = drawn(tab, PLOT)[0]
    assert line["x"][-1] - line["x"][0] == pytest.approx(6 * HOUR, rel=0.05)


def test_the_live_end_goes_on(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    archive.series[1].last_ms = now_ms()
    tab = explore(open_dashboard, archive, "series=1&last=1h")
    wait_for_lines(tab)
    tab.js("window.server.readings(1, [[1, Date.now() + 2000, 77.5]]);")
    tab.do(lambda page: page.wait_for_timeout(8_000))  # an hour is redrawn every few seconds
    line = drawn(tab, PLOT)[0]
    assert line["y"][-1] == 77.5
    tab.do(lambda page: expect(page.locator("[data-series-id='1'] .legend-value").first).to_have_text("77.5 °C"))


def test_a_gap_breaks_the_line_and_has_no_value(open_dashboard: OpenDashboard) -> None:
    middle = now_ms() - HOUR / 2
    archive = plant()
    archive.series[1].value = lambda at: None if abs(at - middle) < HOUR / 10 else 60.0
    tab = explore(open_dashboard, archive, "series=1,2&last=1h")
    wait_for_lines(tab)
    shift = tab.js("return -new Date().getTimezoneOffset() * 60000;")
    line = drawn(tab, PLOT)[0]
    inside = [y for x, y in zip(line["x"], line["y"], strict=True) if abs(x - shift - middle) < HOUR / 11]
    assert None in line["y"]
    assert set(inside) <= {None}

    def point(page: Page) -> None:
        box = page.locator(f"{PLOT} .nsewdrag").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
        expect(page.locator("[data-series-id='1'] .legend-value").first).to_have_text("–")
        expect(page.locator("[data-series-id='2'] .legend-value").first).to_contain_text("°C")

    tab.do(point)


# ----- cursor, statistics, compare --------------------------------------------------------------------------------


def test_one_cursor_for_all_charts_and_a_table_of_values(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    to = 1_790_000_000_000
    archive.series[4].value = lambda at: 1.0 if at < to - HOUR / 2 else 2.0
    tab = explore(open_dashboard, archive, f"series=4,1,2,3,5,6,7&from={to - HOUR}&to={to}")
    wait_for_lines(tab)
    value = "[data-series-id='4'] .legend-value"

    def point(page: Page) -> None:
        box = page.locator(f"{PLOT} .nsewdrag").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 50)
        expect(page.locator(value).first).to_have_text("1.00 bar")
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50)
        expect(page.locator(value).first).to_have_text("2.00 bar")
        expect(page.locator("[data-series-id='7'] .legend-value").first).to_have_text("On")
        line = page.get_by_test_id("cursor").bounding_box()
        stage = page.get_by_test_id("stage").bounding_box()
        assert line is not None
        assert stage is not None
        assert line["height"] == pytest.approx(stage["height"], abs=2), "through all charts"
        assert line["x"] == pytest.approx(box["x"] + box["width"] * 0.6, abs=2)
        page.mouse.move(5, 5)
        expect(page.get_by_test_id("cursor-head")).to_have_text("At the end")
        page.get_by_test_id("stage").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_test_id("cursor")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("cursor")).to_be_hidden()
        page.keyboard.press("Shift+ArrowLeft")
        expect(page.get_by_test_id("range")).to_contain_text("12:43 – 13:43")  # by half of what is shown

    tab.do(point)


def test_statistics_are_of_the_span_that_is_shown(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    to = 1_790_000_000_000
    archive.series[1].value = lambda at: 70.0 if at == to - 600_000 else 40.0 if at == to - 1_200_000 else 60.0
    tab = explore(open_dashboard, archive, f"series=1,7&from={to - HOUR}&to={to}")
    wait_for_lines(tab)
    row = "[data-series-id='1']"
    tab.do(lambda page: expect(page.locator(f"{row} td").nth(2)).to_contain_text("40.0 °C"))
    tab.do(lambda page: expect(page.locator(f"{row} td").nth(3)).to_contain_text("70.0 °C"))
    tab.do(lambda page: expect(page.locator(f"{row} td").nth(4)).to_have_text("60.00 °C"))
    tab.do(lambda page: expect(page.locator(f"{row} td").nth(5)).to_have_text("3600"))
    when = tab.js("return new Date(arg).toTimeString().slice(0, 8);", to - 600_000)
    tab.do(lambda page: expect(page.locator(f"{row} .legend-when").last).to_contain_text(when))
    tab.do(lambda page: expect(page.locator("[data-series-id='7'] td").nth(2)).to_have_text(""))
    assert archive.questions("statistics")[-1].span == (to - HOUR, to)
    asked = len(archive.questions("statistics"))
    tab.do(lambda page: page.wait_for_timeout(1_500))
    assert len(archive.questions("statistics")) == asked, "a span that stands still is asked about once"


@pytest.mark.parametrize(("compare", "days"), [("day", 1), ("week", 7)])
def test_compare_draws_the_same_time_of_day_before_over_it(
    open_dashboard: OpenDashboard, compare: str, days: int
) -> None:
    archive = plant()
    # 29 March 2026, 20:00 in Berlin: that day has 23 hours.
    to = 1_774_807_200_000
    shift = days * DAY - HOUR
    mark = to - 2 * HOUR
    archive.series[1].value = lambda at: 90.0 if at == mark else 30.0 if at == mark - shift else 60.0
    query = f"series=1&from={to - 4 * HOUR}&to={to}"
    tab = explore(open_dashboard, archive, query, time_zone="Europe/Berlin")
    wait_for_lines(tab)
    assert len(drawn(tab, PLOT)) == 1
    tab.do(lambda page: page.get_by_test_id("compare").select_option(compare))
    tab.do(lambda page: page.wait_for_timeout(1_200))
    wait_for_lines(tab)
    before, now = drawn(tab, PLOT)
    assert (before["dash"], now["dash"]) == ("6px,4px", "solid")
    assert before["colour"] == now["colour"]
    low = [x for x, y in zip(before["x"], before["y"], strict=True) if y == 30.0]
    high = [x for x, y in zip(now["x"], now["y"], strict=True) if y == 90.0]
    assert low == high, "the same time of day lies above itself"
    assert archive.questions("history")[-1].span[1] == pytest.approx(to - shift + HOUR)
    assert address(tab).endswith(f"compare={compare}")


# ----- in need ------------------------------------------------------------------------------------------------------


def test_no_readings_in_the_span_says_where_there_are_some(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    last = now_ms() - 5 * DAY
    archive.series[1].last_ms = last
    archive.span.update(first_ms=last - 30 * DAY, last_ms=last, now_ms=now_ms())
    tab = explore(open_dashboard, archive, "series=1&last=1h")
    nothing = "[data-testid=explore-nothing]"
    tab.do(lambda page: expect(page.locator(nothing)).to_contain_text("No readings in this span. The history has"))
    tab.do(lambda page: page.locator(nothing).get_by_role("button").click())
    wait_for_lines(tab, 100)
    tab.do(lambda page: expect(page.locator(nothing)).to_be_hidden())


def test_an_error_tells_itself_and_the_picture_stays(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    tab = explore(open_dashboard, archive, "series=1&last=1h")
    wait_for_lines(tab)
    archive.refusals["history"] = archive.refusals["statistics"] = (500, "internal", "our fault; it is in the log")
    tab.do(lambda page: page.locator("[data-preset='6 h']").click())
    tab.do(lambda page: expect(page.get_by_test_id("history-problem")).to_contain_text("our fault"))
    tab.do(lambda page: expect(page.locator(".legend-note")).to_contain_text("could not be loaded"))
    assert len(drawn(tab, PLOT)[0]["x"]) > 50
    archive.refusals.clear()
    tab.do(lambda page: page.get_by_test_id("history-problem").get_by_role("button").click())
    tab.do(lambda page: expect(page.get_by_test_id("history-problem")).to_be_hidden())
    tab.complaints.clear()  # the browser logs failed requests as errors


def test_a_lost_connection_is_marked_and_the_picture_stays(open_dashboard: OpenDashboard) -> None:
    tab = explore(open_dashboard, plant(), "series=1&last=1h")
    wait_for_lines(tab)
    tab.js("window.server.socket.onclose({ code: 1006, reason: '' });")
    tab.do(lambda page: expect(page.get_by_test_id("offline")).to_contain_text("Not connected: nothing new since"))
    tab.do(lambda page: expect(page.locator(f"{PLOT} .main-svg").first).to_be_visible())


def test_a_series_that_the_fleet_has_forgotten_is_named_by_the_history(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    tab = explore(open_dashboard, archive, "series=1&last=1h")
    archive.series[77] = PlayedSeries(77, "gone", "flow", wave(1, 2), unit="l/min", name="Flow of old")
    tab.do(lambda page: page.evaluate("() => { location.hash = '#/explore?series=77&last=1h'; }"))
    tab.do(lambda page: expect(page.locator("[data-series-id='77']")).to_contain_text("Flow of old"))
    tab.do(lambda page: expect(page.locator("[data-series-id='77']")).to_contain_text("gone"))


def test_a_link_to_a_series_that_is_nowhere_shows_the_others(open_dashboard: OpenDashboard) -> None:
    archive = plant()
    tab = explore(open_dashboard, archive, "series=1,88&last=1h")
    wait_for_lines(tab)
    tab.do(lambda page: expect(page.locator("[data-series-id='88']")).to_contain_text("not known here"))
    tab.do(lambda page: expect(page.locator("[data-series-id='1'] td").nth(2)).to_contain_text("°C"))
    tab.do(lambda page: expect(page.get_by_test_id("history-problem")).to_be_hidden())
    tab.do(lambda page: page.get_by_role("button", name="Take away Series 88").click())
    tab.do(lambda page: expect(page.locator("[data-testid=legend] tbody tr")).to_have_count(1))
    tab.complaints.clear()  # the browser logs failed requests as errors


def test_names_of_devices_are_text(open_dashboard: OpenDashboard) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    archive = PlayedArchive(
        PlayedSeries(1, "pump", "t", wave(0, 1), unit="<b>%{y}</b>", name=hostile),
        PlayedSeries(2, "pump", "s", lambda at: float(at // HOUR % 2), kind="text", texts=[hostile, "</svg>"]),
    )
    tab = explore(open_dashboard, archive, "series=1,2&last=6h", names={"pump": hostile})
    wait_for_lines(tab)

    def look(page: Page) -> None:
        expect(page.locator("[data-series-id='1'] .legend-name")).to_have_text(hostile)
        expect(page.locator("[data-series-id='1'] .legend-device")).to_have_text(hostile)
        page.keyboard.press("/")
        expect(page.locator(".picker-option").first).to_contain_text(hostile)
        page.keyboard.press("Escape")
        assert page.locator("main img, main svg b").count() == 0
        assert page.title().startswith(f"Explore: {hostile}")

    tab.do(look)


# ----- taking it along --------------------------------------------------------------------------------------------


def test_downloads_are_of_what_is_shown(open_dashboard: OpenDashboard, tmp_path: Path) -> None:
    to = 1_790_000_000_000
    tab = explore(open_dashboard, plant(), f"series=1,7&from={to - HOUR}&to={to}", time_zone="Europe/Berlin")
    wait_for_lines(tab)
    common = f"series_id=1&series_id=7&from={to - HOUR}&to={to}"
    expected = {
        "export-csv": f"/api/v1/history?{common}&format=csv&tz=Europe%2FBerlin",
        "export-parquet": f"/api/v1/history?{common}&format=parquet",
        "export-report": f"/api/v1/report?{common}&format=html&tz=Europe%2FBerlin",
    }
    for test_id, wanted in expected.items():
        tab.js("document.querySelector(`[data-testid=${arg}]`).focus();", test_id)
        assert tab.js("return document.querySelector(`[data-testid=${arg}]`).getAttribute('href');", test_id) == wanted

    def save(page: Page) -> bytes:
        with page.expect_download() as download:
            page.get_by_test_id("export-png").click()
        assert download.value.suggested_filename.endswith(".png")
        path = tmp_path / "picture.png"
        download.value.save_as(path)
        return path.read_bytes()

    picture = tab.do(save)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
