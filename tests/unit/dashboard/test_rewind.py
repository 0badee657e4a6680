"""Every view of now shows any past moment: the whole page in the past, with a played server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.unit.dashboard.conftest import Tab
from tests.unit.dashboard.played_events import PlayedEvents

pytestmark = pytest.mark.browser

OpenDashboard = Callable[[str], Tab]

AT = 1_763_870_000_000  # long ago, and the same in every run
LIVE = """
const { server } = window;
server.welcome({ recording: server.recording(), role: 'operator', ...arg });
const devices = [server.device('a', { name: 'Pump' }), server.device('b', { name: 'Valve' })];
server.snapshot('fleet', devices, [server.series(1, 'a', 'temp', { value: 20, unit: '°C' })]);
"""
# The fleet as of then, or one device in full.
THEN = """
const { server } = window;
const at = arg.at ?? server.asked.at_ms;
const go = { title: 'Go', description: '', schema: {}, danger: false };
const isOne = server.asked.devices !== undefined;
const device = server.device('a', { name: 'Pump', availability: 'offline', availability_since_ms: at - 120_000,
  first_seen_ms: at - 86_400_000, last_seen_ms: at - 130_000, commands: isOne ? { go } : ['go'] });
const seen = { time_ms: at - 130_000, received_ms: at - 130_000 };
const series = server.series(1, 'a', 'temp', { value: 5, unit: '°C', ...seen });
server.moment(at, [device], [series], {
  commands: [{ id: 'c', device_id: 'a', name: 'go', args: {}, state: 'succeeded', confirmed_by: 'device_reply',
               value: null, error: null, late: false, sent_by: 'x',
               times: { accepted: at - 300_000, succeeded: at - 299_000 } }],
  notes: [{ note_id: 'n', text: 'A note of then', author: 'x', time_ms: at - 400_000 }], ...arg.extra });
"""


def open_page(open_dashboard: OpenDashboard, hash_: str = "#/", **welcome: Any) -> Tab:
    tab = open_dashboard(hash_)
    tab.do(PlayedEvents(round(time.time() * 1000), first_ms=AT - 86_400_000).play)
    tab.do(lambda page: page.wait_for_function("() => window.server.sockets.length > 0"))
    tab.js(LIVE, welcome)
    return tab


def then(tab: Tab, at: float | None = None, **extra: Any) -> None:
    tab.js(THEN, {"at": at, "extra": extra})


def go_to(tab: Tab, at: float, page_: str = "#/") -> None:
    tab.js("location.hash = arg;", f"{page_}?at={at}")
    tab.do(lambda page: page.wait_for_function("() => window.fleetwire.past.isOn"))


def test_a_shared_link_opens_on_the_moment_paused(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard, f"#/device/a?at={AT}")
    question = tab.js("return window.server.asked;")
    assert (question["at_ms"], question["paused"], question["devices"]) == (AT, True, ["a"])
    then(tab)

    def look(page: Page) -> None:
        expect(page.get_by_role("heading", name="Pump")).to_be_visible()
        expect(page.locator("[data-metric=temp] [data-role=value]")).to_have_text("5.0")
        expect(page.get_by_test_id("past-moment")).to_contain_text(re.compile(r"2[23] Nov 2025 \d\d:53:20"))
        expect(page.get_by_test_id("past-notice")).to_contain_text("paused")
        expect(page.get_by_test_id("past-voice")).to_contain_text("Showing the past: 2")
        assert page.title().startswith("Past · Pump")

    tab.do(look)
    sent = tab.js("return window.server.sent.filter((m) => m.type === 'subscribe').map((m) => m.channel).sort();")
    assert sent == ["fleet", "replay", "stats"]  # what is live of the device is not asked for


def test_all_that_is_said_of_time_is_said_as_of_then(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard, f"#/device/a?at={AT}")
    then(tab)

    def look(page: Page) -> None:
        head = page.locator(".device-head")
        expect(head).to_contain_text("Offline")
        expect(head).to_contain_text("for 2 min")
        expect(head).to_contain_text("2 min ago")
        expect(page.locator("[data-metric=temp] .tile-age")).to_have_text("2 min")
        expect(page.get_by_test_id("connection")).to_contain_text("Connected")

    tab.do(look)


def test_nothing_can_be_sent_from_the_past_and_the_log_is_that_of_then(open_dashboard: OpenDashboard) -> None:
    tab = open_page(
        open_dashboard,
        f"#/device/a?at={AT}",
        notes=[{"note_id": "m", "text": "A note of now", "author": "y", "time_ms": time.time() * 1000}],
    )
    then(tab)

    def look(page: Page) -> None:
        expect(page.locator(".device-commands .form-note")).to_contain_text("This is the past")
        expect(page.get_by_test_id("command-send")).to_be_disabled()
        expect(page.get_by_test_id("command-log-entry")).to_have_count(1)
        page.get_by_test_id("activity-toggle").click()
        expect(page.get_by_test_id("note")).to_have_text(re.compile("A note of then"))
        expect(page.get_by_test_id("note-input")).to_be_disabled()
        page.get_by_test_id("back-to-live").click()
        expect(page.get_by_test_id("note")).to_have_text(re.compile("A note of now"))
        expect(page.get_by_test_id("note-input")).to_be_enabled()

    tab.do(look)
    assert tab.js("return window.server.last('command') === undefined;")


def test_what_comes_live_does_not_leak_in_and_is_there_when_we_come_back(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    go_to(tab, AT)
    then(tab)
    value = "[data-device-id=a] [data-role=value]"
    tab.do(lambda page: expect(page.locator(value)).to_have_text("5.0"))
    tab.js(
        """
        const { server } = window;
        server.readings(1, [[1, Date.now() + 5, 99]]);
        server.say({ type: 'device', channel: 'fleet', offset: 2, device: server.device('new') });
        server.say({ type: 'note', note_id: 'z', text: 'x', author: 'y', time_ms: Date.now() });
        """
    )
    tab.do(lambda page: page.wait_for_timeout(1_300))

    def look(page: Page) -> None:
        expect(page.locator(value)).to_have_text("5.0")
        expect(page.get_by_test_id("device-row")).to_have_count(1)
        page.get_by_test_id("live").click()
        assert page.locator(value).inner_text() == "99.0"  # at once: nothing had to be asked for
        expect(page.get_by_test_id("device-row")).to_have_count(3)

    tab.do(look)


def test_links_stay_at_the_moment_and_back_leaves_it(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    go_to(tab, AT)
    then(tab)
    tab.do(lambda page: page.locator("[data-device-id=a] a").click())
    tab.do(lambda page: expect(page.get_by_test_id("device-page")).to_be_visible())
    assert tab.js("const { at_ms, devices } = window.server.asked; return [at_ms, devices];") == [AT, ["a"]]
    then(tab)

    def back(page: Page) -> None:
        assert page.url.endswith(f"#/device/a?at={AT}")
        page.locator(".nav-link", has_text="Fleet").click()
        expect(page.locator(".fleet")).to_be_visible()
        assert page.url.endswith(f"#/?at={AT}")
        for _ in range(2):
            page.go_back()
        expect(page.get_by_test_id("past-notice")).to_be_visible()
        page.go_back()
        expect(page.get_by_test_id("past-notice")).to_be_hidden()
        expect(page.locator("[data-device-id=a] [data-role=value]")).to_have_text("20.0")

    tab.do(back)
    assert tab.js("return window.fleetwire.connection.channels.byName.has('replay');") is False


def test_the_address_follows_when_it_pauses(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    go_to(tab, AT)
    then(tab)
    tab.do(lambda page: page.get_by_test_id("play").click())
    tab.js("window.server.replay(arg);", AT + 7_000)
    tab.do(lambda page: page.wait_for_timeout(700))
    assert tab.do(lambda page: page.url).endswith(f"?at={AT}")  # not at every tick
    length = tab.js("return history.length;")
    tab.do(lambda page: page.get_by_test_id("play").click())
    tab.js("window.server.replay(arg, { paused: true });", AT + 8_000)
    tab.do(lambda page: page.wait_for_url(f"**/#/?at={AT + 8_000}"))
    assert tab.js("return history.length;") == length


def test_it_is_told_in_words_and_by_shape_that_this_is_the_past(open_dashboard: OpenDashboard) -> None:
    for hash_ in ("#/", "#/device/a", "#/explore"):
        tab = open_page(open_dashboard, f"{hash_}?at={AT}")
        then(tab)

        def look(page: Page) -> None:
            expect(page.get_by_test_id("past-notice")).to_contain_text("The past")
            expect(page.locator(".past-frame")).to_be_visible()
            assert "repeating-linear-gradient" in page.evaluate(
                "() => getComputedStyle(document.querySelector('.past-frame')).borderImageSource"
            )
            expect(page.get_by_test_id("connection")).not_to_contain_text("Live")

        tab.do(look)


def test_the_search_goes_along_into_the_past(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    tab.do(lambda page: page.get_by_test_id("search").fill("valve"))
    go_to(tab, AT)
    then(tab)
    tab.do(lambda page: expect(page.get_by_test_id("search")).to_have_value("valve"))
    tab.do(lambda page: expect(page.get_by_text("No device matches.")).to_be_visible())


def test_who_moves_through_time_keeps_the_focus_and_her_place(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard, "#/device/a")

    def leave(page: Page) -> None:
        page.set_viewport_size({"width": 1_000, "height": 400})
        expect(page.get_by_role("heading", name="Pump")).to_be_visible()
        page.get_by_test_id("playhead").focus()
        page.evaluate("() => window.scrollTo(0, 120)")
        page.keyboard.press("PageDown")
        expect(page.get_by_test_id("playhead")).to_be_focused()

    tab.do(leave)
    then(tab)
    tab.do(lambda page: expect(page.get_by_test_id("playhead")).to_be_focused())
    # What was read stays where it was, below the strip that has come.
    tab.do(lambda page: page.wait_for_function("() => window.scrollY >= 120 && window.scrollY <= 170"))


def test_while_a_moment_is_on_its_way_nobody_takes_the_old_values_for_it(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    go_to(tab, AT)
    then(tab)
    tab.do(lambda page: expect(page.locator("body")).not_to_have_attribute("data-past-waiting", ""))
    tab.js("window.fleetwire.past.seek(arg);", AT - 60_000)
    tab.do(lambda page: expect(page.locator("body")).to_have_attribute("data-past-waiting", ""))
    tab.do(lambda page: expect(page.get_by_test_id("past-notice")).to_contain_text("on its way"))
    then(tab, AT - 60_000)
    tab.do(lambda page: expect(page.locator("body")).not_to_have_attribute("data-past-waiting", ""))


def test_a_lost_line_in_the_past_comes_back_to_the_moment(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    go_to(tab, AT)
    then(tab)
    tab.js("window.server.socket.onclose({ code: 1006, reason: '' });")
    tab.do(lambda page: expect(page.get_by_test_id("banner").first).to_contain_text("Disconnected"))
    tab.do(lambda page: expect(page.get_by_test_id("past-notice")).to_be_visible())
    tab.js("window.fleetwire.connection.retry(); window.server.welcome({ recording: window.server.recording() });")
    assert tab.js("return window.server.asked.at_ms;") == AT
    then(tab)
    tab.do(lambda page: expect(page.locator("[data-device-id=a] [data-role=value]")).to_have_text("5.0"))


def test_a_moment_that_cannot_be_shown_says_why(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard, f"#/?at={AT}", recording={"state": "off"})
    tab.js(
        """window.server.say({ type: 'error', code: 'no_history', message: 'this bridge keeps no history',
                               ref: window.server.asked.id });"""
    )

    def look(page: Page) -> None:
        expect(page.get_by_test_id("past-notice")).to_contain_text("cannot be shown: this bridge keeps no history")
        expect(page.locator(".skeleton")).to_be_hidden()
        page.get_by_test_id("back-to-live").click()
        expect(page.locator("[data-device-id=a] [data-role=value]")).to_have_text("20.0")

    tab.do(look)


def test_not_recording_is_told_until_it_heals(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    tab.js(
        """window.server.say({ type: 'recording', state: 'failing', since_ms: Date.now() - 5_000,
                               reason: 'disk is full.', waiting: 1234, lost: 0 });"""
    )
    banner = "[data-kind=recording]"

    def look(page: Page) -> None:
        expect(page.locator(banner)).to_contain_text(re.compile(r"^Not recording since \d\d:\d\d:\d\d: disk is full;"))
        expect(page.locator(banner)).to_contain_text("1234 readings wait.")
        expect(page.locator(banner)).not_to_contain_text("in no history")

    tab.do(look)
    tab.js(
        """window.server.say({ type: 'recording', state: 'failing', since_ms: Date.now() - 5_000,
                               reason: 'disk is full', waiting: 9, lost: 56 });"""
    )
    tab.do(lambda page: expect(page.locator(banner)).to_contain_text("56 readings are in no history."))
    tab.js("window.server.say({ type: 'recording', ...window.server.recording() });")
    tab.do(lambda page: expect(page.locator(banner)).to_have_count(0))


def test_what_happened_to_the_history_is_told_until_it_was_read(open_dashboard: OpenDashboard) -> None:
    tab = open_page(open_dashboard)
    banner = "[data-kind=notice]"
    tab.do(lambda page: expect(page.locator(banner)).to_have_count(0))
    notice = "The history was damaged (<b>page 7</b>). It was set aside as history.db.damaged-1; a new one has begun."
    tab.js("window.server.say({ type: 'recording', ...window.server.recording({ notice: arg }) });", notice)

    def look(page: Page) -> None:
        expect(page.locator(banner)).to_contain_text(notice)
        expect(page.locator(".banners [role=status], p[role=status]").first).to_have_text(notice)
        page.locator(banner).get_by_role("button", name="Dismiss").click()
        expect(page.locator(banner)).to_have_count(0)

    tab.do(look)
    tab.js("window.server.say({ type: 'recording', ...window.server.recording({ notice: arg, waiting: 1 }) });", notice)
    tab.do(lambda page: page.wait_for_timeout(1_200))  # the banners are looked at every second
    tab.do(lambda page: expect(page.locator(banner)).to_have_count(0))
    tab.js("window.server.say({ type: 'recording', ...window.server.recording({ notice: arg }) });", notice + " Again.")
    tab.do(lambda page: expect(page.locator(banner)).to_contain_text("Again."))
