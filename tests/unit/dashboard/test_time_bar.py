"""The time bar on the whole page: track, keys, marks, jumps, speed, share; with a played server and history."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.unit.dashboard.conftest import Tab
from tests.unit.dashboard.played_events import DAY_MS, PlayedEvents, availability, command, note

pytestmark = pytest.mark.browser

OpenDashboard = Callable[[str], Tab]
HOUR_MS = 3_600_000

LIVE = """
const { server } = window;
server.welcome({ recording: server.recording(), ...arg });
server.snapshot('fleet', [server.device('a', { name: 'Pump' }), server.device('b')],
                [server.series(1, 'a', 'temp', { value: 20 })]);
"""
THEN = """
const { server } = window;
const at = arg ?? server.asked.at_ms;
server.moment(at, [server.device('a', { name: 'Pump', last_seen_ms: at })],
              [server.series(1, 'a', 'temp', { value: 5, time_ms: at - 9_000, received_ms: at - 9_000 })]);
"""


def open_bar(open_dashboard: OpenDashboard, played: PlayedEvents, hash_: str = "#/", **welcome: Any) -> Tab:
    tab = open_dashboard(hash_)
    tab.do(played.play)
    tab.do(lambda page: page.wait_for_function("() => window.server.sockets.length > 0"))
    tab.js(LIVE, welcome)
    if not welcome:
        tab.do(lambda page: expect(page.get_by_test_id("playhead")).to_be_visible())
    return tab


def now_ms() -> float:
    return round(time.time() * 1000)


def asked(tab: Tab) -> float:
    """The moment that the latest subscription or jump named."""
    return float(
        tab.js(
            """return window.server.sent.filter((m) => m.channel === 'replay' || (m.type === 'replay' && 'at_ms' in m))
                 .at(-1).at_ms;"""
        )
    )


def click_track(tab: Tab, share: float) -> None:
    """Click at a share of the track's time."""

    def click(page: Page) -> None:
        box = page.get_by_test_id("track").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 10 + share * (box["width"] - 20), box["y"] + 22)

    tab.do(click)


def test_without_a_history_it_says_so_and_takes_no_room(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()), recording={"state": "off"})

    def look(page: Page) -> None:
        expect(page.get_by_test_id("time-bar")).to_contain_text("keeps no history")
        expect(page.get_by_test_id("playhead")).to_be_hidden()
        expect(page.locator("body")).not_to_have_attribute("data-time-bar", "")
        box = page.get_by_test_id("time-bar").bounding_box()
        assert box is not None
        assert box["height"] < 30

    tab.do(look)


def test_a_click_on_the_track_goes_to_that_moment_and_live_comes_back_at_once(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))
    click_track(tab, 0.5)
    assert asked(tab) == pytest.approx(now_ms() - HOUR_MS / 2, abs=20_000)
    tab.js(THEN)

    def then(page: Page) -> None:
        expect(page.get_by_test_id("past-notice")).to_be_visible()
        expect(page.locator("[data-device-id=a] [data-role=value]")).to_have_text("5.0")
        expect(page.locator("[data-device-id=a] .cell-age")).to_have_text("9 s")
        expect(page.get_by_test_id("device-row")).to_have_count(1)
        assert re.search(r"\?at=\d+$", page.url)
        page.get_by_test_id("live").click()
        expect(page.locator("[data-device-id=a] [data-role=value]")).to_have_text("20.0")
        expect(page.get_by_test_id("device-row")).to_have_count(2)
        expect(page.get_by_test_id("past-notice")).to_be_hidden()
        assert "at=" not in page.url

    tab.do(then)
    assert tab.js("return window.server.last('unsubscribe').id === window.server.asked.id;") is True


def test_the_playhead_is_dragged_into_the_past_and_back_to_now(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))

    def drag(page: Page, to: float) -> None:
        head, track = page.get_by_test_id("playhead").bounding_box(), page.get_by_test_id("track").bounding_box()
        assert head is not None
        assert track is not None
        page.mouse.move(head["x"] + head["width"] / 2, head["y"] + 22)
        page.mouse.down()
        page.mouse.move(track["x"] + 10 + to * (track["width"] - 20), head["y"] + 22, steps=12)
        page.mouse.up()

    tab.do(lambda page: drag(page, 0.25))
    tab.js(THEN)
    tab.do(lambda page: page.wait_for_timeout(200))
    assert asked(tab) == pytest.approx(now_ms() - 0.75 * HOUR_MS, abs=20_000)
    questions = tab.js("return window.server.sent.filter((m) => m.type === 'replay' && 'at_ms' in m).length;")
    assert questions <= 2
    tab.js(THEN, asked(tab))
    tab.do(lambda page: expect(page.locator("body")).not_to_have_attribute("data-past-waiting", ""))
    tab.do(lambda page: drag(page, 1.02))
    tab.do(lambda page: expect(page.get_by_test_id("past-notice")).to_be_hidden())


def test_the_track_is_panned_and_zoomed(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))

    def move(page: Page) -> None:
        page.get_by_test_id("track-span").select_option(label="1 day")
        box = page.get_by_test_id("track").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 300, box["y"] + 22)
        page.mouse.down()
        page.mouse.move(box["x"] + 300 + (box["width"] - 20) / 2, box["y"] + 22, steps=8)
        page.mouse.up()

    tab.do(move)
    assert tab.js("return document.body.hasAttribute('data-past');") is False  # moving what is seen is no journey
    tab.do(lambda page: page.wait_for_timeout(300))
    click_track(tab, 0.5)
    assert asked(tab) == pytest.approx(now_ms() - DAY_MS, abs=0.01 * DAY_MS)
    tab.js(THEN)

    def zoom(page: Page) -> None:
        box = page.get_by_test_id("track").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 100, box["y"] + 22)
        for _ in range(3):
            page.mouse.wheel(0, -100)
        expect(page.get_by_test_id("track-span")).to_have_value("custom")

    tab.do(zoom)
    before = tab.js("return document.querySelector('[data-testid=track-span]').selectedOptions[0].textContent;")
    assert before == "12 h"


def test_who_looks_elsewhere_on_the_track_is_left_there(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))
    click_track(tab, 0.9)
    tab.js(THEN)

    def pan(page: Page) -> None:
        box = page.get_by_test_id("track").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 100, box["y"] + 22)
        page.mouse.down()
        page.mouse.move(box["x"] + 900, box["y"] + 22, steps=5)
        page.mouse.up()
        expect(page.get_by_test_id("playhead")).to_have_attribute("data-out", "after")

    tab.do(pan)
    tab.js(
        """
        const { past, store } = window.fleetwire;
        store.emit('connection');                                   // as with every pong
        past.setPaused(false);
        window.server.replay(past.momentMs + 300);
        """
    )
    tab.do(lambda page: page.wait_for_timeout(700))
    tab.do(lambda page: expect(page.get_by_test_id("playhead")).to_have_attribute("data-out", "after"))
    tab.do(lambda page: page.get_by_test_id("previous-event").click())  # nothing to go to: nothing moves
    tab.js("window.fleetwire.past.setPaused(true); window.fleetwire.past.seek(window.server.asked.at_ms - 5_000);")
    tab.do(lambda page: expect(page.get_by_test_id("playhead")).not_to_have_attribute("data-out", "after"))


def test_the_keyboard_does_it_all(open_dashboard: OpenDashboard) -> None:
    played = PlayedEvents(now_ms())
    tab = open_bar(open_dashboard, played)

    def press(*keys: str) -> None:
        def type_(page: Page) -> None:
            for key in keys:
                page.keyboard.press(key)

        tab.do(type_)

    def says(text: str | re.Pattern[str]) -> None:
        tab.do(lambda page: expect(page.get_by_test_id("playhead")).to_have_attribute("aria-valuetext", text))

    tab.do(lambda page: page.get_by_test_id("playhead").focus())
    tab.do(lambda page: expect(page.get_by_role("slider", name="Moment shown")).to_be_focused())
    says("Live")
    press("PageDown")
    start = asked(tab)
    assert start == pytest.approx(now_ms() - HOUR_MS / 10, abs=20_000)
    tab.js(THEN)
    says(re.compile(r"^\d+ \w+ \d{4} \d\d:\d\d:\d\d$"))
    tab.do(lambda page: expect(page.get_by_test_id("playhead")).to_be_focused())
    press("ArrowLeft")
    tab.do(lambda page: page.wait_for_timeout(150))
    assert asked(tab) == start - HOUR_MS / 200
    tab.js(THEN, asked(tab))
    press("Space")
    assert tab.js("return window.server.last('replay').paused;") is False
    press("Space")
    assert tab.js("return window.server.last('replay').paused;") is True
    press("Home")
    tab.do(lambda page: page.wait_for_timeout(150))
    assert asked(tab) == played.first_ms
    tab.js(THEN, asked(tab))
    press("End")
    says("Live")
    tab.do(lambda page: expect(page.get_by_test_id("past-notice")).to_be_hidden())
    tab.do(lambda page: expect(page.get_by_test_id("playhead")).to_be_focused())


def test_play_speed_and_step(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))
    tab.do(lambda page: expect(page.get_by_test_id("speed")).to_be_disabled())
    tab.do(lambda page: page.get_by_test_id("play").click())  # stands still at this moment
    tab.js(THEN)

    def play(page: Page) -> None:
        page.get_by_test_id("speed").select_option("60")
        page.get_by_test_id("play").click()

    tab.do(play)
    sent = tab.js("return window.server.sent.filter((m) => m.type === 'replay').map((m) => [m.speed, m.paused]);")
    assert sent == [[60, None], [None, False]]
    first = tab.js("return document.querySelector('[data-testid=past-moment]').textContent;")
    tab.js("const at = window.server.asked.at_ms; window.server.replay(at, { speed: 60 });")
    tab.do(lambda page: expect(page.get_by_test_id("past-moment")).not_to_have_text(first))
    tab.js("window.server.readings(1, [[1, window.server.asked.at_ms + 400, 6.5]], { channel_no: 7 });")
    tab.do(lambda page: expect(page.locator("[data-device-id=a] [data-role=value]")).to_have_text("6.5"))
    tab.do(lambda page: expect(page.get_by_test_id("moment")).to_contain_text("playing 60×"))
    tab.do(lambda page: page.get_by_test_id("step-back").click())
    assert tab.js("return window.server.last('replay').step;") == -1
    tab.do(lambda page: expect(page.get_by_test_id("moment")).to_contain_text("paused"))


def test_events_are_marked_named_and_jumped_to(open_dashboard: OpenDashboard) -> None:
    now = now_ms()
    off, on = now - 40 * 60_000 - 0.25, now - 20 * 60_000
    played = PlayedEvents(
        now,
        availability(1, off, "a", "offline"),
        command(2, off + 60_000, "a", "sent"),
        availability(3, on, "a", "online"),
        note(4, now - 3 * HOUR_MS, "<b>long ago</b>"),
    )
    tab = open_bar(open_dashboard, played)
    tab.do(lambda page: page.wait_for_timeout(600))

    def hover(page: Page) -> None:
        box = page.get_by_test_id("track").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 10 + (1 / 3) * (box["width"] - 20) + 2, box["y"] + 12)
        expect(page.locator(".track-tip")).to_contain_text("Pump: offline")
        page.mouse.down()
        page.mouse.up()

    tab.do(hover)
    assert asked(tab) == math.ceil(off)  # a mark is a moment, not a pixel
    tab.js(THEN)
    tab.do(lambda page: page.get_by_test_id("next-event").click())
    tab.do(lambda page: expect(page.get_by_test_id("bar-voice")).to_contain_text("Pump: online"))
    assert asked(tab) == on
    tab.js(THEN, on)
    tab.do(lambda page: page.get_by_test_id("next-event").click())
    tab.do(lambda page: expect(page.get_by_test_id("bar-voice")).to_have_text("No later event"))
    for _ in range(2):
        tab.do(lambda page: page.get_by_test_id("previous-event").click())
        tab.do(lambda page: page.wait_for_timeout(300))
        tab.js(THEN, asked(tab))
    tab.do(lambda page: expect(page.get_by_test_id("bar-voice")).to_contain_text("Note: <b>long ago</b>"))
    assert asked(tab) == now - 3 * HOUR_MS


def wait_for_question(tab: Tab, played: PlayedEvents) -> None:
    for _ in range(200):
        if played.asked:
            return
        tab.do(lambda page: page.wait_for_timeout(50))
    raise AssertionError("nothing was asked")


def test_a_device_page_marks_what_happened_to_the_device(open_dashboard: OpenDashboard) -> None:
    played = PlayedEvents(now_ms())
    wait_for_question(open_bar(open_dashboard, played, "#/device/a"), played)
    assert all(query["device_id"] == ["a"] for query in played.asked)


def test_a_hidden_bar_and_a_bar_at_rest_ask_nothing(open_dashboard: OpenDashboard) -> None:
    played = PlayedEvents(now_ms())
    tab = open_bar(open_dashboard, played)
    wait_for_question(tab, played)
    tab.do(lambda page: page.wait_for_timeout(2_500))
    assert len(played.asked) == 1


def test_share_copies_a_link_to_the_moment_or_shows_it(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))
    click_track(tab, 0.5)
    tab.js(THEN)
    at = int(asked(tab))

    def share(page: Page) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_test_id("share").click()
        expect(page.get_by_test_id("share")).to_contain_text("Link copied")
        copied = page.evaluate("() => navigator.clipboard.readText()")
        assert copied == page.url
        assert copied.endswith(f"#/?at={at}")

    tab.do(share)
    tab.js("navigator.clipboard.writeText = async () => { throw new Error('not here'); };")

    def show(page: Page) -> None:
        page.get_by_test_id("share").click()
        expect(page.get_by_test_id("share-link")).to_be_visible()
        expect(page.get_by_test_id("share-link")).to_have_value(re.compile(rf"#/\?at={at}$"))

    tab.do(show)


def test_on_a_phone_there_are_few_things_and_big_ones(open_dashboard: OpenDashboard) -> None:
    tab = open_bar(open_dashboard, PlayedEvents(now_ms()))

    def look(page: Page) -> None:
        page.set_viewport_size({"width": 390, "height": 844})
        for name in ("play", "live", "playhead"):
            box = page.get_by_test_id(name).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 44, name
        expect(page.get_by_test_id("share")).to_be_hidden()
        expect(page.get_by_test_id("speed")).to_be_hidden()
        page.get_by_role("button", name="More controls").click()
        for name in ("share", "speed", "track-span", "next-event", "step-back"):
            box = page.get_by_test_id(name).bounding_box()
            assert box is not None
            assert box["height"] >= 44, name
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_test_id("share").click()
        expect(page.get_by_text("Link copied").first).to_be_visible()

    tab.do(look)
