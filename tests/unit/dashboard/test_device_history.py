"""The charts of a device page over any time: what is asked of the history, and how it joins what is heard live."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.unit.dashboard.conftest import Tab
from tests.unit.dashboard.played_archive import PlayedArchive, PlayedSeries, drag, drawn, open_with_history

pytestmark = pytest.mark.browser

OpenDashboard = Callable[[str], Tab]

HOUR = 3_600_000
DAY = 24 * HOUR
CHART = "[data-testid=chart]"


def now_ms() -> float:
    return time.time() * 1000


def wave(at: float) -> float:
    return 20 + 5 * math.sin(at / HOUR)


def temperature(**extra: Any) -> PlayedSeries:
    return PlayedSeries(1, "pump", "temperature", extra.pop("value", wave), unit="°C", **extra)


def device_page(open_dashboard: OpenDashboard, archive: PlayedArchive, **extra: Any) -> Tab:
    return open_with_history(open_dashboard, archive, "#/device/pump", **extra)


def choose(tab: Tab, minutes: str) -> None:
    tab.do(lambda page: page.locator(f"[data-minutes='{minutes}']").click())


def wait_for_points(tab: Tab, least: int) -> None:
    tab.do(
        lambda page: page.wait_for_function(
            """(least) => { const chart = document.querySelector('[data-testid=chart]');
              return chart?.querySelector('.nsewdrag') && Number(chart.dataset.points) >= least; }""",
            arg=least,
        )
    )


def wait_for_questions(tab: Tab, archive: PlayedArchive, count: int) -> None:
    for _ in range(200):
        if len(archive.questions("history")) >= count:
            return
        tab.do(lambda page: page.wait_for_timeout(50))
    raise AssertionError(f"{len(archive.questions('history'))} questions, not {count}")


@pytest.mark.parametrize("recording", ["off", "recording"])
def test_only_with_a_history_there_is_more_than_memory(open_dashboard: OpenDashboard, recording: str) -> None:
    archive = PlayedArchive(temperature())
    tab = device_page(open_dashboard, archive, recording=recording)
    has_history = recording == "recording"
    tab.do(lambda page: expect(page.locator("[data-minutes='1440']")).to_be_visible(visible=has_history))
    tab.do(lambda page: expect(page.get_by_test_id("open-explore")).to_be_visible(visible=has_history))
    tab.do(lambda page: expect(page.locator("[data-minutes='15']")).to_be_visible())
    if not has_history:
        tab.do(lambda page: page.wait_for_timeout(700))
        assert archive.asked == []


def test_memory_that_covers_the_picture_needs_no_question(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    archive.held.add("history")
    tab = device_page(open_dashboard, archive)
    tab.js(
        """
        const rows = [];
        for (let i = 700; i > 0; i--) rows.push([1, Date.now() - i * 1000, 20 + (i % 7)]);
        window.server.readings(0, rows, { channel_no: 2, kind: 2 });
        """
    )
    wait_for_points(tab, 250)
    tab.do(lambda page: page.wait_for_timeout(300))
    asked = len(archive.questions("history"))
    assert asked <= 1  # before the past was told
    tab.do(lambda page: page.wait_for_timeout(1_200))
    assert len(archive.questions("history")) == asked


def test_a_long_window_is_asked_for_in_two_points_a_pixel(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature(), PlayedSeries(2, "pump", "load", lambda at: 50.0, unit="%"))
    tab = device_page(open_dashboard, archive)
    choose(tab, "1440")
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 300)
    question = archive.questions("history")[-1]
    from_ms, to_ms = question.span
    # A quarter of the picture on either side, so that lines come in from outside.
    assert to_ms - from_ms == pytest.approx(1.5 * DAY, rel=1e-3)
    assert to_ms - 0.25 * DAY == pytest.approx(now_ms(), abs=60_000)
    width = tab.js("return document.querySelector('[data-testid=chart] .nsewdrag').getBoundingClientRect().width;")
    assert 1.5 * 2 * width <= question.number("points") <= 1.5 * 2 * (width + 100) + 2
    assert sorted(question.series) == [1, 2], "the panels of a page ask together"
    line = drawn(tab, CHART)[0]
    assert all(value is None or 14.9 <= value <= 25.1 for value in line["y"])
    assert line["x"][-1] - line["x"][0] == pytest.approx(DAY, rel=0.02)
    assert tab.js("return document.querySelector('.tile-range').textContent;") == "15.0 to 25.0"


def test_a_box_is_asked_for_again_in_full_and_a_double_click_goes_back(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    tab = device_page(open_dashboard, archive)
    choose(tab, "1440")
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 300)
    before = len(archive.questions("history"))
    wide = archive.questions("history")[-1]
    tab.do(lambda page: drag(page, CHART, 0.25, 0.5))
    wait_for_questions(tab, archive, before + 1)
    question = archive.questions("history")[-1]
    from_ms, to_ms = question.span
    assert to_ms - from_ms == pytest.approx(0.25 * 1.5 * DAY, rel=0.05)
    assert question.number("points") == wide.number("points"), "the same pixels for a quarter of the time"
    tab.do(lambda page: expect(page.get_by_test_id("pause")).to_have_text("Resume"))
    tab.do(lambda page: expect(page.get_by_test_id("range")).to_contain_text("–"))
    tab.do(lambda page: drag(page, CHART, 0.4, 0.6))
    tab.do(lambda page: page.wait_for_timeout(800))
    shown = tab.js("return document.querySelector('[data-testid=range]').textContent;")
    tab.do(lambda page: page.locator(f"{CHART} .nsewdrag").first.dblclick())
    tab.do(lambda page: expect(page.get_by_test_id("range")).not_to_have_text(shown))
    tab.do(lambda page: expect(page.get_by_test_id("pause")).to_have_text("Resume"))
    tab.do(lambda page: page.wait_for_timeout(500))  # four clicks in a row are no two double clicks
    tab.do(lambda page: page.locator(f"{CHART} .nsewdrag").first.dblclick())
    tab.do(lambda page: expect(page.get_by_test_id("pause")).to_have_text("Pause"))


def test_earlier_goes_back_for_ever_and_later_comes_back_to_now(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    tab = device_page(open_dashboard, archive)
    choose(tab, "60")
    for _ in range(6):
        tab.do(lambda page: page.get_by_test_id("earlier").click())
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 300)
    spans = [question.span for question in archive.questions("history")]
    assert spans[-1][0] == pytest.approx(now_ms() - HOUR * (1 + 3 + 0.25), abs=60_000)
    assert spans[-1][1] - spans[-1][0] == pytest.approx(1.5 * HOUR, rel=1e-3)
    for _ in range(6):
        tab.do(lambda page: page.get_by_test_id("later").click())
    tab.do(lambda page: expect(page.get_by_test_id("pause")).to_have_text("Pause"))
    tab.do(lambda page: expect(page.get_by_test_id("later")).to_be_disabled())


def test_all_begins_where_the_history_does(open_dashboard: OpenDashboard) -> None:
    first = now_ms() - 90 * DAY
    archive = PlayedArchive(temperature(first_ms=first, every_ms=60_000))
    archive.span["first_ms"] = first
    tab = device_page(open_dashboard, archive)
    choose(tab, "all")
    tab.do(lambda page: page.wait_for_timeout(1_500))
    wait_for_points(tab, 300)
    from_ms, to_ms = archive.questions("history")[-1].span
    assert (to_ms - from_ms) / 1.5 == pytest.approx(90 * DAY * 1.02, rel=0.01)


def test_the_old_picture_stays_while_a_new_one_is_awaited(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    tab = device_page(open_dashboard, archive)
    choose(tab, "60")
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 300)
    archive.held.add("history")
    choose(tab, "10080")
    tab.do(lambda page: expect(page.locator(".chart-panel [data-testid=loading]").first).to_be_visible())
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 5)  # the last hour of seven days: all that is known yet
    tab.do(lambda page: archive.release())
    wait_for_points(tab, 300)
    tab.do(lambda page: expect(page.locator(".chart-panel [data-testid=loading]").first).to_be_hidden())


def test_answers_that_nobody_wants_any_more_are_dropped(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    archive.held.add("history")
    tab = device_page(open_dashboard, archive)
    choose(tab, "43200")
    wait_for_questions(tab, archive, 2)
    choose(tab, "360")
    wait_for_questions(tab, archive, 3)
    assert len(archive.taken_back) == 2
    tab.do(lambda page: archive.release())
    wait_for_points(tab, 300)
    from_ms, to_ms = archive.questions("history")[-1].span
    assert to_ms - from_ms == pytest.approx(9 * HOUR, rel=1e-3)
    line = drawn(tab, CHART)[0]
    assert line["x"][-1] - line["x"][0] == pytest.approx(6 * HOUR, rel=0.02)


def test_a_gap_breaks_the_line(open_dashboard: OpenDashboard) -> None:
    middle = now_ms() - 30 * 60_000

    def value(at: float) -> float | None:
        return None if abs(at - middle) < 5 * 60_000 else wave(at)

    tab = device_page(open_dashboard, PlayedArchive(temperature(value=value)))
    choose(tab, "60")
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 300)
    line = drawn(tab, CHART)[0]
    shift = tab.js("return -new Date().getTimezoneOffset() * 60000;")
    inside = [y for x, y in zip(line["x"], line["y"], strict=True) if abs(x - shift - middle) < 4 * 60_000]
    assert set(inside) <= {None}
    before = [i for i, x in enumerate(line["x"]) if x - shift < middle - 4.9 * 60_000 and line["y"][i] is not None]
    assert line["y"][before[-1] + 1] is None


def test_history_and_live_readings_meet_without_doubling_or_a_hole(open_dashboard: OpenDashboard) -> None:
    seam = (now_ms() // 1000) * 1000 - 21_000
    archive = PlayedArchive(temperature(last_ms=seam))
    tab = device_page(open_dashboard, archive)
    tab.js(
        # The last half minute of the history once more, and what came since.
        """
        const rows = [];
        for (let at = arg - 30_000; at <= arg + 20_000; at += 1000) rows.push([1, at, at <= arg ? 20 : 30]);
        window.server.readings(1, rows, { channel_no: 2 });
        """,
        seam,
    )
    choose(tab, "60")
    tab.do(lambda page: page.wait_for_timeout(1_000))
    tab.do(lambda page: page.evaluate("() => { window.late = 1; }"))
    wait_for_points(tab, 300)
    tab.do(lambda page: page.wait_for_timeout(5_500))
    line = drawn(tab, CHART)[0]
    assert all(later > earlier for earlier, later in itertools.pairwise(line["x"])), "each time once, in order"
    shift = tab.js("return -new Date().getTimezoneOffset() * 60000;")
    around = [
        (x - shift - seam, y) for x, y in zip(line["x"], line["y"], strict=True) if abs(x - shift - seam) < 20_000
    ]
    assert None not in [y for _, y in around], "no hole at the seam"
    assert max(later - earlier for (earlier, _), (later, _) in itertools.pairwise(around)) <= 8_000
    assert {y for at, y in around if at > 0} == {30}
    assert 20 not in [y for at, y in around if at <= 0], "where both know, the history counts"


def test_an_error_tells_itself_and_can_be_tried_again(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    archive.refusals["history"] = (503, "busy", "too many questions about the past wait already")
    tab = device_page(open_dashboard, archive)
    choose(tab, "1440")
    problem = ".chart-panel [data-testid=history-problem]"
    tab.do(lambda page: expect(page.locator(problem).first).to_contain_text("too many questions about the past"))
    asked = len(archive.questions("history"))
    tab.do(lambda page: page.wait_for_timeout(2_000))
    assert len(archive.questions("history")) <= asked + 1, "what fails is not asked for all the time"
    archive.refusals.clear()
    tab.do(lambda page: page.locator(problem).first.get_by_role("button").click())
    wait_for_points(tab, 300)
    tab.do(lambda page: expect(page.locator(problem).first).to_be_hidden())
    tab.complaints.clear()  # the browser logs failed requests as errors


def test_a_server_without_a_history_says_so_once(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature())
    archive.refusals["history"] = (404, "no_history", "Nothing is recorded here.")
    tab = device_page(open_dashboard, archive)
    tab.do(lambda page: expect(page.locator("[data-minutes='1440']")).to_be_hidden())
    tab.do(lambda page: page.wait_for_timeout(1_500))
    assert len(archive.questions("history")) == 1
    tab.do(lambda page: expect(page.locator("[data-testid=history-problem]:visible")).to_have_count(0))
    tab.complaints.clear()


def test_states_are_bands_over_any_time(open_dashboard: OpenDashboard) -> None:
    def mode(at: float) -> float:
        return float(int(at // HOUR) % 3)

    archive = PlayedArchive(
        PlayedSeries(3, "pump", "mode", mode, kind="text", texts=["auto", "eco", "off"]),
        PlayedSeries(4, "pump", "running", lambda at: float(at // HOUR % 2), kind="boolean"),
    )
    tab = device_page(open_dashboard, archive)
    choose(tab, "360")
    parts = "document.querySelector('[data-testid=strip][data-metric=mode]')?.dataset.parts"
    tab.do(lambda page: page.wait_for_function(f"() => [6, 7].includes(Number({parts}))"))


def test_names_of_devices_are_text(open_dashboard: OpenDashboard) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    archive = PlayedArchive(PlayedSeries(1, "pump", "t", wave, unit="<b>°C</b>", name=hostile))
    tab = device_page(open_dashboard, archive, names={"pump": hostile})
    choose(tab, "60")
    tab.do(lambda page: page.wait_for_timeout(800))
    wait_for_points(tab, 300)

    def look(page: Page) -> None:
        expect(page.locator(".device-title")).to_have_text(hostile)
        assert page.locator("main img").count() == 0
        page.locator(f"{CHART} .nsewdrag").first.hover()
        page.wait_for_timeout(300)
        assert page.locator("main img, main svg b").count() == 0

    tab.do(look)


def test_the_way_to_explore_and_to_a_report(open_dashboard: OpenDashboard) -> None:
    archive = PlayedArchive(temperature(), PlayedSeries(2, "pump", "load", lambda at: 50.0, unit="%"))
    tab = device_page(open_dashboard, archive)
    choose(tab, "360")
    tab.do(lambda page: page.get_by_test_id("report").focus())
    address = tab.js("return document.querySelector('[data-testid=report]').getAttribute('href');")
    assert address.startswith("/api/v1/report?from=")
    assert address.endswith("&device_id=pump&format=html")
    tab.do(lambda page: page.get_by_test_id("open-explore").click())
    tab.do(lambda page: expect(page.get_by_test_id("explore")).to_be_visible())
    assert tab.js("return location.hash;") == "#/explore?series=1,2&last=6h"
