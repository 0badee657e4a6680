"""The health line, its details and the lag banner on the whole page, with a played server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

OpenDashboard = Callable[[str], Tab]

COUNTERS: dict[str, Any] = {
    "received": 52_340, "readings": 104_680, "conflated": 312, "shed": 0, "dropped": 0, "source_errors": 0,
    "broker_dropped": 0, "rejected": {"invalid_json": 3}, "delay_p50_ms": 1.5, "delay_p99_ms": 4.0,
    "of_a_newer_bridge": 5,
}  # fmt: skip
LIVE = """
const { server } = window;
const source = { name: 'mqtt', state: 'connected', since_ms: Date.now() - 60_000, address: 'mqtt://10.0.0.5:1883',
                 detail: '', dropped: 4 };
server.welcome({ sources: [source] });
server.snapshot('fleet', [server.device('a')], [server.series(1, 'a', 'temp', { time_ms: null })]);
server.statsSnapshot(arg);
"""


def live(open_dashboard: OpenDashboard, **counters: Any) -> Tab:
    tab = open_dashboard("#/")
    tab.do(lambda page: page.wait_for_function("window.server.sockets.length > 0"))
    tab.js(LIVE, {**COUNTERS, **counters})
    return tab


def shows(tab: Tab, text: str, tone: str) -> None:
    def look(page: Page) -> None:
        expect(page.get_by_test_id("health")).to_have_text(text)
        expect(page.get_by_test_id("health")).to_have_attribute("data-tone", tone)

    tab.do(look)


def test_the_line_is_calm_then_says_what_was_lost(open_dashboard: OpenDashboard) -> None:
    tab = open_dashboard("#/")
    tab.do(lambda page: expect(page.get_by_test_id("health")).to_be_hidden())
    tab.do(lambda page: page.wait_for_function("window.server.sockets.length > 0"))
    tab.js(LIVE, COUNTERS)
    shows(tab, "0 lost · 3 rejected · 312 conflated", "calm")
    tab.js("window.server.stats(1, { ...arg, shed: 17 }, window.fleetwire.store.health.latest.at + 4_000);", COUNTERS)
    shows(tab, "17 lost in the last 4 s · 3 rejected · 312 conflated", "bad")
    tab.do(lambda page: expect(page.get_by_role("status").first).to_contain_text("Messages were lost"))
    # A shape beside the colour.
    assert tab.js("return document.querySelector('[data-testid=health] .shape').dataset.status;") == "offline"
    tab.js("window.server.socket.onclose({ code: 1006, reason: '' });")
    tab.do(lambda page: expect(page.get_by_test_id("health")).to_have_text("Not connected: nothing is counted"))


def test_how_far_behind_is_measured_up_to_the_paint(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)
    tab.js("window.server.say({ type: 'pong', client_time_ms: Date.now(), server_time_ms: Date.now() });")
    tab.js("window.server.readings(1, [[1, Date.now() - 400, 21.5]]);")
    legs = tab.js(
        """
        const { latency } = window.fleetwire.store;
        const wait = () => new Promise((resolve) => setTimeout(resolve, 50));
        for (let i = 0; i < 200 && !latency.behind(Date.now())?.isWhole; i++) await wait();
        return latency.summary(Date.now());
        """
    )
    assert 400 <= legs["toBridge"]["p50"] < 600
    assert 0 < legs["toScreen"]["p50"] < 5_000
    assert legs["total"]["p50"] == pytest.approx(sum(legs[leg]["p50"] for leg in ("toBridge", "toPage", "toScreen")))
    tab.js("window.server.stats(1, arg, window.fleetwire.store.health.latest.at + 2_000);", COUNTERS)
    assert float(tab.js("return document.querySelector('[data-part=behind]').textContent.match(/[\\d.]+/)[0];")) >= 0.4


def test_the_details_by_keyboard(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)

    def walk(page: Page) -> None:
        page.get_by_test_id("health").focus()
        page.keyboard.press("Enter")
        panel = page.get_by_role("dialog", name="From device to screen")
        expect(panel).to_be_visible()
        assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
        page.keyboard.press("/")  # not the search of the page behind
        for _ in range(4):
            page.keyboard.press("Tab")
            # Past the last of its parts the focus goes to the browser's own, not to the page behind.
            assert page.evaluate("document.activeElement.matches('body, dialog *')")
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()
        expect(page.get_by_test_id("health")).to_be_focused()

    tab.do(walk)


def test_the_details_by_mouse(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)

    def walk(page: Page) -> None:
        panel = page.get_by_test_id("health-panel")
        page.get_by_test_id("health").click()
        panel.get_by_text("messages received").click()
        expect(panel).to_be_visible()
        panel.get_by_role("button", name="Close").click()
        expect(panel).to_be_hidden()
        page.get_by_test_id("health").click()
        page.mouse.click(5, 500)  # beside it
        expect(panel).to_be_hidden()

    tab.do(walk)


def test_the_details_tell_every_counter_and_move_with_it(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)
    tab.do(lambda page: page.get_by_test_id("health").click())
    counter = "[data-counter={}]".format

    def before(page: Page) -> None:
        expect(page.locator(counter("received"))).to_have_text("52.3 k")
        expect(page.locator(counter("received"))).to_have_attribute("title", "52\u202f340")
        expect(page.locator(counter("rejected"))).to_have_text("3")
        expect(page.get_by_role("row", name="invalid json 0 3")).to_be_visible()
        expect(page.get_by_role("row", name="of a newer bridge 0 5")).to_be_visible()
        expect(page.get_by_test_id("health-verdict")).to_contain_text("Nothing was lost")
        expect(page.get_by_test_id("health-sources")).to_contain_text("4 dropped, for any of its clients")
        expect(page.locator("[data-leg=inBridge]")).to_contain_text("1.5 ms")
        expect(page.locator("[data-leg=inBridge]")).to_contain_text("4.0 ms")
        expect(page.locator("[data-leg=total]")).to_contain_text("–")

    tab.do(before)
    more = {
        **COUNTERS,
        "readings": 105_480,
        "shed": 2,
        "broker_dropped": None,
        "rejected": {"invalid_json": 3, "too_deep": 9},
    }
    tab.js("window.server.stats(1, arg, window.fleetwire.store.health.latest.at + 8_000);", more)

    def after(page: Page) -> None:
        expect(page.get_by_test_id("health-verdict")).to_have_text(
            "Lost in the last 8 s: 2 because they came too fast. 100 readings a second."
        )
        expect(page.locator("tr", has=page.locator(counter("shed")))).to_have_attribute("data-tone", "bad")
        expect(page.locator(counter("rejected"))).to_have_text("12")
        expect(page.get_by_role("row", name="too deep 9 9")).to_be_visible()
        expect(page.locator(counter("broker_dropped"))).to_have_text("not told")

    tab.do(after)


def test_this_pages_own_troubles_are_told(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)
    tab.js(
        """
        const { server } = window;
        server.say({ type: 'lag', channel: 'fleet', after: 0, offset: 9, messages: 9, conflated: 40, devices: [],
                     series: [] });
        server.readings(9, [[1, Date.now(), 21]], { kind: 3 });
        """
    )
    tab.do(lambda page: page.get_by_test_id("health").click())

    def look(page: Page) -> None:
        own = page.get_by_test_id("health-own")
        expect(own).to_contain_text("1 time, 40 readings left out")
        banner = page.get_by_test_id("banner")
        expect(banner).to_contain_text("This page reads too slowly: readings are being merged")
        expect(banner).to_have_attribute("data-tone", "warn")
        expect(page.get_by_test_id("health")).to_have_text("0 lost · 3 rejected · 352 conflated · reading too slowly")
        expect(banner).to_have_count(0)  # ten seconds later
        expect(page.locator("[role=status][aria-live]").first).to_have_text("")

    tab.do(look)


def test_a_hostile_bridge_writes_no_markup(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard, **{"<img src=x onerror=alert(1)>": 7, "rejected": {"<b>x</b>": 1, "__proto__": 2}})
    tab.do(lambda page: page.get_by_test_id("health").click())
    tab.do(lambda page: expect(page.get_by_test_id("health-counters")).to_contain_text("<img src=x onerror=alert(1)>"))
    assert tab.do(lambda page: page.locator("dialog img, dialog b").count()) == 0


def test_asking_for_a_token_closes_the_details(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)
    tab.do(lambda page: page.get_by_test_id("health").click())
    tab.js("window.server.socket.onclose({ code: 4500, reason: '' });")
    tab.do(lambda page: expect(page.get_by_test_id("token-input")).to_be_focused())


def test_it_fits_a_telephone(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)
    tab.js(
        "window.server.stats(1, { ...arg, shed: 123456 }, window.fleetwire.store.health.latest.at + 60_000);", COUNTERS
    )

    def look(page: Page) -> None:
        page.set_viewport_size({"width": 390, "height": 844})
        line = page.locator(".health-line")
        assert line.evaluate("(element) => element.scrollWidth <= element.clientWidth")
        page.get_by_test_id("health").click()
        box = page.get_by_test_id("health-panel").bounding_box()
        assert box is not None
        assert (box["x"], box["y"], box["width"]) == (0, 0, 390)
        assert page.locator(".health-scroll").evaluate("(element) => element.scrollWidth <= element.clientWidth")

    tab.do(look)


def test_a_new_line_lays_out_nothing_else(open_dashboard: OpenDashboard) -> None:
    tab = live(open_dashboard)
    boxes = tab.js(
        """
        const all = () => [...document.querySelectorAll('header *:not(.health-box *)')].map((element) => {
          const { x, width, height } = element.getBoundingClientRect();
          return [x, width, height].join();
        });
        const before = all();
        const { at } = window.fleetwire.store.health.latest;
        window.server.stats(1, { ...arg, shed: 123456, conflated: 999 }, at + 60_000);
        return [before.join() === all().join(), getComputedStyle(document.querySelector('.health-box')).contain];
        """,
        COUNTERS,
    )
    assert boxes == [True, "strict"]
