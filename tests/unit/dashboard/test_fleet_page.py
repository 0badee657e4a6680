"""The whole page with a played server: the list, the search, the keyboard, what is shown when nothing is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

OpenDashboard = Callable[[str], Tab]

FLEET = """
const { server } = window;
server.welcome(arg.welcome ?? {});
const devices = [], series = [], areas = ['North', 'South', 'East', 'West', 'Middle'];
for (let i = 0; i < arg.count; i++) {
  const id = `d-${String(i).padStart(4, '0')}`;
  const availability = i % 10 === 3 ? 'offline' : 'online';
  devices.push(server.device(id, { name: `Device ${i}`, area: areas[i % 5], availability }));
  for (let k = 0; k < 5; k++) series.push(server.series(i * 5 + k, id, 'abcde'[k], { unit: '°C', value: i + k / 10 }));
}
server.snapshot('fleet', devices, series);
"""


def fleet(open_dashboard: OpenDashboard, count: int, hash_: str = "#/", **welcome: Any) -> Tab:
    tab = open_dashboard(hash_)
    tab.do(lambda page: page.wait_for_function("window.server.sockets.length > 0"))
    tab.js(FLEET, {"count": count, "welcome": welcome})
    if "device" not in hash_:
        tab.do(lambda page: expect(page.get_by_test_id("device-row")).to_have_count(count))
    # A page that has not painted yet may lose keys; nobody presses keys for a page that she cannot see.
    tab.do(lambda page: page.wait_for_function("() => performance.getEntriesByType('paint').length > 0"))
    return tab


def names(page: Page) -> list[str]:
    return page.get_by_test_id("device-row").locator("a").all_inner_texts()


def test_before_the_first_snapshot_it_says_so_and_shows_no_emptiness(open_dashboard: OpenDashboard) -> None:
    tab = open_dashboard("#/")
    tab.do(lambda page: expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "connecting"))
    tab.do(lambda page: expect(page.locator(".skeleton")).to_be_visible())
    assert tab.do(lambda page: page.get_by_test_id("empty").count()) == 0


def test_an_empty_fleet_tells_how_to_begin(open_dashboard: OpenDashboard) -> None:
    source = {"name": "mqtt", "state": "connected", "since_ms": 0, "address": "mqtt://10.0.0.5:1884", "detail": ""}
    tab = fleet(open_dashboard, 0, sources=[source])
    tab.do(lambda page: expect(page.get_by_test_id("empty")).to_contain_text("mosquitto_pub -h 10.0.0.5 -p 1884"))


def test_a_thousand_devices_build_only_what_is_seen(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 1_000)
    tab.do(lambda page: expect(page.locator("[data-device-id=d-0000] [data-role=value]").first).to_have_text("0.0"))
    assert tab.js("return document.querySelectorAll('.row canvas').length;") < 60
    last = "[data-device-id=d-0999]"
    tab.do(lambda page: page.locator(last).scroll_into_view_if_needed())
    value = f"{last} [data-role=value]"
    tab.do(lambda page: expect(page.locator(value).first).to_have_text("999.0"))


def test_values_move_and_bad_ones_are_no_values(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 2)
    value = "[data-device-id=d-0000] [data-metric=a] [data-role=value]"
    tab.js("window.server.readings(1, [[0, Date.now() + 1, 42.5]]);")
    tab.do(lambda page: expect(page.locator(value)).to_have_text("42.5"))
    tab.js("window.server.readings(2, [[0, Date.now() + 2, NaN]]);")
    tab.do(lambda page: expect(page.locator(value)).to_have_text("no value"))


def test_search_filter_and_counts(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 50)

    def search(page: Page) -> None:
        page.keyboard.press("/")
        page.keyboard.type("west dev")
        expect(page.get_by_test_id("device-row")).to_have_count(10)
        page.locator("[data-filter=offline]").click()
        assert names(page) == [f"Device {i}" for i in (3, 13, 23, 33, 43)]
        page.get_by_test_id("search").fill("no such thing")
        expect(page.get_by_text("No device matches.")).to_be_visible()
        page.get_by_role("button", name="Show all devices").click()
        expect(page.get_by_test_id("device-row")).to_have_count(50)
        assert page.locator("[data-filter=offline] .chip-count").inner_text() == "5"

    tab.do(search)


def test_the_keyboard_finds_and_opens_a_device(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 20)

    def walk(page: Page) -> None:
        page.keyboard.press("/")
        expect(page.get_by_test_id("search")).to_be_focused()
        for key, device in [("ArrowDown", 0), ("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1)]:
            page.keyboard.press(key)
            expect(page.locator(f"[data-device-id=d-{device:04}] a")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("device-page")).to_have_attribute("data-device-id", "d-0001")

    tab.do(walk)
    assert tab.js("return window.server.last('subscribe').channel;") == "device/d-0001"
    tab.do(lambda page: page.go_back())
    tab.do(lambda page: expect(page.get_by_test_id("device-row")).to_have_count(20))
    assert tab.js("return window.server.last('unsubscribe') !== undefined;")


def test_a_lost_line_keeps_the_values_and_says_so(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 3)
    tab.do(lambda page: expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live"))
    tab.js("window.server.socket.onclose({ code: 1006, reason: '' });")

    def look(page: Page) -> None:
        expect(page.get_by_test_id("connection")).not_to_have_attribute("data-state", "live")
        expect(page.get_by_test_id("banner")).to_contain_text("Disconnected")
        expect(page.locator("[data-device-id=d-0002] [data-role=value]").first).to_have_text("2.0")
        expect(page.locator("body")).to_have_attribute("data-lost", "")
        assert page.title().startswith("Disconnected")

    tab.do(look)


def test_a_broker_that_is_gone_is_told_with_its_time(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 1)
    tab.js(
        """window.server.say({ type: 'source', name: 'mqtt', state: 'disconnected', since_ms: Date.now() - 130_000,
                               address: '10.0.0.5:1883', protocol: 'MQTT 5', detail: 'refused' });"""
    )
    tab.do(lambda page: expect(page.get_by_test_id("banner")).to_contain_text("10.0.0.5:1883"))
    tab.do(lambda page: expect(page.get_by_test_id("banner")).to_contain_text("2 min"))


def test_hostile_names_are_text_and_links_still_work(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 1)
    evil = "<img src=x onerror=alert(1)>/../__proto__?#%"
    tab.js(
        """
        window.server.say({ type: 'device', channel: 'fleet', offset: 1, device: window.server.device(arg) });
        window.server.say({ type: 'series', channel: 'fleet', offset: 2, series: [
          window.server.series(900, arg, '__proto__', { kind: 'text', value: '<b>x</b>', texts: ['<b>x</b>'] })] });
        """,
        evil,
    )

    def look(page: Page) -> None:
        row = page.get_by_test_id("device-row").filter(has_text="onerror")
        expect(row).to_contain_text(evil)
        expect(row).to_contain_text("<b>x</b>")
        row.locator("a").click()
        expect(page.get_by_test_id("device-page")).to_have_attribute("data-device-id", evil)
        assert page.locator("main img, main b, main script").count() == 0

    tab.do(look)
    assert tab.js("return ({}).metric === undefined;")


def test_a_viewer_gets_no_forms(open_dashboard: OpenDashboard) -> None:
    for role, forms in (("viewer", 0), ("operator", 1)):
        tab = fleet(open_dashboard, 1, "#/device/d-0000", role=role)
        tab.js(
            """window.server.snapshot('device/d-0000', [window.server.device('d-0000', {
                 commands: { go: { title: 'Go', description: '', schema: {}, danger: false } } })], []);"""
        )
        tab.do(lambda page: expect(page.get_by_role("heading", name="Commands")).to_be_visible())
        assert tab.do(lambda page: page.get_by_test_id("command-form").count()) == forms


def test_a_device_that_does_not_exist_yet_appears_when_it_does(open_dashboard: OpenDashboard) -> None:
    tab = fleet(open_dashboard, 1, "#/device/new-one")
    tab.js(
        """
        const { id } = window.server.sent.find((message) => message.channel === 'device/new-one');
        window.server.say({ type: 'error', code: 'unknown_device', message: 'no such device', ref: id });
        """
    )
    tab.do(lambda page: expect(page.get_by_text("There is no such device")).to_be_visible())
    tab.js(
        "window.server.say({ type: 'device', channel: 'fleet', offset: 1, device: window.server.device('new-one') });"
    )
    tab.do(lambda page: expect(page.get_by_role("heading", name="new-one")).to_be_visible())
    assert tab.js("return window.server.sent.filter((m) => m.channel === 'device/new-one').length;") == 2
