"""track_window.js and happenings.js: which time the track covers, its ticks, and where marks of events lie."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

NOW = 1_795_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def window(tab: Tab, source: str) -> Any:
    head = f"""
    const {{ TrackWindow }} = await load('track_window');
    const NOW = {NOW}, HOUR = {HOUR}, DAY = {DAY};
    const window_ = new TrackWindow();
    const range = (now = NOW) => Object.values(window_.range(now)).map((ms) => ms - NOW);
    """
    return tab.js(head + source)


def test_it_ends_now_and_moves_along(tab: Tab) -> None:
    assert window(tab, "return [range(), range(NOW + 500)];") == [[-HOUR, 0], [500 - HOUR, 500]]


def test_what_was_panned_stays_and_now_is_where_it_ends(tab: Tab) -> None:
    assert window(
        tab,
        """
        window_.pan(-2 * HOUR, NOW);
        const back = [range(), range(NOW + 500)];
        window_.pan(99 * HOUR, NOW);
        return [...back, range(NOW + 500)];
        """,
    ) == [[-3 * HOUR, -2 * HOUR], [-3 * HOUR, -2 * HOUR], [500 - HOUR, 500]]


def test_zooming_keeps_what_is_under_the_pointer(tab: Tab) -> None:
    assert window(
        tab,
        "window_.pan(-9 * HOUR, NOW); window_.zoom(4, NOW - 9.25 * HOUR, NOW); return range();",
    ) == [-12.25 * HOUR, -8.25 * HOUR]


def test_zooming_has_ends(tab: Tab) -> None:
    assert window(
        tab,
        """
        window_.firstMs = NOW - 3 * DAY;
        window_.zoom(1e-9, NOW, NOW);
        const least = range();
        window_.zoom(1e9, NOW, NOW);
        return [least, range()];
        """,
    ) == [[-60_000, 0], [-3 * DAY, 0]]


def test_a_moment_far_away_is_brought_into_view_and_a_near_one_moves_nothing(tab: Tab) -> None:
    assert window(
        tab,
        """
        const near = window_.reveal(NOW - HOUR / 2, NOW);
        const far = window_.reveal(NOW - 5 * DAY, NOW);
        const there = range();
        window_.choose(Infinity, NOW - 5 * DAY, NOW);
        window_.firstMs = NOW - 9 * DAY;
        return [near, far, there, range()];
        """,
    ) == [False, True, [-5 * DAY - HOUR / 2, -5 * DAY + HOUR / 2], [-9 * DAY, 0]]


def test_nobody_is_left_before_the_beginning(tab: Tab) -> None:
    assert window(tab, "window_.firstMs = NOW - 5 * HOUR; window_.pan(-99 * HOUR, NOW); return range();") == [
        -5.5 * HOUR,
        -4.5 * HOUR,
    ]


@pytest.mark.parametrize(
    "span", [60_000, 7 * 60_000, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 400 * DAY, 4_000 * DAY, 40_000 * DAY]
)
@pytest.mark.parametrize("most", [3, 15])
def test_ticks_are_few_round_and_in_order(tab: Tab, span: int, most: int) -> None:
    ticks = tab.js(
        """
        const { ticks } = await load('track_window');
        return ticks(...arg).map(({ ms, unit }) => {
          const date = new Date(ms);
          const time = [date.getHours(), date.getMinutes(), date.getSeconds()];
          return [ms, unit, [date.getMonth(), date.getDate() - 1, ...time]];
        });
        """,
        [NOW - span, NOW, most],
    )
    times = [tick[0] for tick in ticks]
    assert times == sorted(set(times))
    assert 1 <= len(times) <= most + 2
    assert all(NOW - span <= time <= NOW for time in times)
    steps = {"second": 5, "minute": 4, "day": 2, "month": 1, "year": 0}
    assert all(not any(parts[steps[unit] :]) for _, unit, parts in ticks)


def test_marks_that_would_lie_upon_each_other_are_one_and_the_worst_is_seen(tab: Tab) -> None:
    assert tab.js(
        """
        const { place } = await load('happenings');
        const at = (timeMs, kind, data) => ({ timeMs, kind, deviceId: 'a', data });
        return place([at(100, 'availability', { availability: 'online' }), at(104, 'note', { text: 'x' }),
          at(105, 'availability', { availability: 'offline' }), at(300, 'command', { state: 'accepted' }),
          at(400, 'command', { state: 'failed' })], 0, 1, 12).map(({ x, look, events }) => [x, look, events.length]);
        """
    ) == [[100, "offline", 3], [300, "command", 1], [400, "failed", 1]]


def test_a_command_on_its_way_is_no_event_of_its_own(tab: Tab) -> None:
    assert tab.js(
        """
        const { isTelling } = await load('happenings');
        return ['accepted', 'sent', 'delivered', 'succeeded', 'failed', 'timed_out'].map((state) =>
          isTelling({ kind: 'command', data: { state } }));
        """
    ) == [True, False, False, False, True, True]


def test_too_many_marks_become_a_picture_of_how_much_happened(tab: Tab) -> None:
    assert tab.js(
        """
        const { place, crowd } = await load('happenings');
        const at = (timeMs, availability) => ({ timeMs, kind: 'availability', deviceId: 'a', data: { availability } });
        const marks = place([at(0, 'online'), at(1, 'offline'), at(2, 'online'), at(3, 'online'), at(50, 'offline'),
          at(51, 'online')], 0, 1, 12);
        return [crowd(marks, 5), crowd(marks, 4)];
        """
    ) == [None, [{"x": 0, "share": 1, "bad": 0.25}, {"x": 50, "share": 0.5, "bad": 0.5}]]
