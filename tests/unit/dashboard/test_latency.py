"""latency.js with a clock of its own: legs, quantiles, the window, what is not measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HEAD = """
const { Latency, quantile } = await load('latency');
const latency = new Latency();
const T = 1_767_225_600_000;
const paint = (at) => latency.shown(latency.noted, at);
"""


def run(tab: Tab, source: str) -> Any:
    return tab.js(HEAD + source)


def test_each_leg_and_their_sum(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.note(T, T + 10, T + 13, true);
        const before = latency.behind(T + 20);
        paint(T + 30);
        const { toBridge, toPage, toScreen, total, frames } = latency.summary(T + 40);
        return [before, latency.behind(T + 40), [toBridge, toPage, toScreen, total].map((leg) => leg.p50), frames];
        """,
    ) == [{"ms": 3, "isWhole": False}, {"ms": 30, "isWhole": True}, [10, 3, 17, 30], 1]


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [([7], 7, 7), ([1, 2], 1, 2), ([1, 2, 3], 2, 3), (list(range(1, 101)), 50, 99), (list(range(1, 201)), 100, 198)],
)
def test_quantiles_are_values_that_were_measured(tab: Tab, values: list[int], p50: int, p99: int) -> None:
    found = tab.js(
        "const { quantile } = await load('latency'); return [quantile(arg, 0.5), quantile(arg, 0.99)];", values
    )
    assert found == [p50, p99]


def test_order_of_arrival_does_not_matter_and_numbers_sort_as_numbers(tab: Tab) -> None:
    assert run(
        tab,
        """
        for (const delay of [20, 1000, 9, 3, 100]) latency.note(NaN, T, T + delay, true);
        const leg = latency.summary(T + 1000).toPage;
        return [leg.p50, leg.p99, leg.count];
        """,
    ) == [20, 1000, 5]


def test_only_the_last_minute_counts(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.note(NaN, T, T + 500, true);
        latency.note(NaN, T + 50_000, T + 50_007, true);
        const both = latency.summary(T + 60_000).frames;
        const one = latency.summary(T + 61_000).toPage.p99;
        return [both, one, latency.summary(T + 200_000).toPage, latency.behind(T + 200_000)];
        """,
    ) == [2, 7, None, None]


def test_times_that_cannot_be_right_are_left_out_and_counted(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.note(T + 1, T, T + 4, true);                 // from the future
        latency.note(T - 3_600_001, T, T + 4, true);         // more than an hour old
        latency.note(-Infinity, T, T + 4, true);             // no device told a time
        latency.note(T - 3_600_000, T, T + 4, true);
        paint(T + 10);
        const { toBridge, toPage, total, impossible } = latency.summary(T + 10);
        return [toBridge.count, toPage.count, total.count, impossible];
        """,
    ) == [1, 4, 1, 2]


def test_an_error_of_the_clock_is_no_negative_delay(tab: Tab) -> None:
    assert run(tab, "latency.note(T, T + 5, T + 4, true); return latency.summary(T + 9).toPage.p50;") == 0


def test_a_hidden_page_measures_nothing(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.note(T, T + 1, T + 2, true);
        const upTo = latency.noted;
        latency.setSeen(false);                     // before it was painted
        latency.note(T, T + 1, T + 2, true);
        latency.shown(upTo, T + 900);               // the display comes back to it much later
        latency.setSeen(true);
        const hidden = [latency.isWaiting, latency.summary(T + 900).frames, latency.summary(T + 900).total];
        latency.note(T + 1000, T + 1001, T + 1002, true);
        paint(T + 1010);
        return [...hidden, latency.summary(T + 1010).total.p50];
        """,
    ) == [False, 1, None, 10]


def test_what_was_caught_up_on_is_not_live(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.begin(T);
        latency.note(T - 30_000, T - 29_999, T + 1, true);
        latency.note(T, T + 1, T + 3, true);
        return [latency.noted, latency.summary(T + 5).toPage.p99];
        """,
    ) == [1, 2]


def test_a_paint_counts_for_what_came_before_it_only(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.note(T, T, T, true);
        const upTo = latency.noted;
        latency.note(T + 5, T + 5, T + 5, true);   // between the painting and the display
        latency.shown(upTo, T + 16);
        const one = [latency.summary(T + 20).toScreen.count, latency.isWaiting];
        latency.shown(upTo, T + 32);                // the same once more changes nothing
        paint(T + 300);
        return [...one, latency.summary(T + 300).toScreen.p50, latency.summary(T + 300).toScreen.p99];
        """,
    ) == [1, True, 16, 295]


def test_what_the_open_page_does_not_draw_has_no_last_leg(tab: Tab) -> None:
    assert run(
        tab,
        """
        latency.note(T, T + 1, T + 2, false);
        paint(T + 20);
        const { toPage, toScreen, total } = latency.summary(T + 20);
        return [toPage.p50, toScreen, total];
        """,
    ) == [1, None, None]


def test_the_memory_is_bounded(tab: Tab) -> None:
    assert run(
        tab,
        """
        for (let i = 0; i < 10_000; i++) latency.note(T, T + 1, T + 2 + i / 1000, true);
        paint(T + 20);
        return [latency.summary(T + 20).frames, latency.total.length];
        """,
    ) == [4096, 4096]


STORE = """
const { Store } = await load('store');
const { server } = window;
const store = new Store();
const T = 1_767_225_600_000;
const frame = (rows, kind = 1) => ({
  kind, count: rows.length, baseTimeUs: T * 1000, serverTimeUs: (T + 500) * 1000,
  values: Float64Array.from(rows, () => 1), seriesIds: Uint32Array.from(rows, (row) => row[0]),
  deltasUs: Uint32Array.from(rows, (row) => Math.round(row[1] * 1000)),
});
store.snapshot({ channel: 'fleet', devices: [server.device('a'), server.device('b')],
                 series: [1, 2].map((id) => server.series(id, 'ab'[id - 1], 'x', { time_ms: null })) });
const leg = () => store.latency.summary(T + 600).toBridge?.p50 ?? null;
"""


def test_the_newest_reading_of_a_live_frame_is_measured(tab: Tab) -> None:
    assert tab.js(
        STORE
        + """
        store.readings('fleet', frame([[1, 480], [2, 400]], 2), T + 600);   // the recent past
        store.readings('fleet', frame([[1, 480], [2, 400]], 3), T + 600);   // merged
        const none = store.latency.noted;
        store.readings('fleet', frame([[1, 480], [2, 400]]), T + 600);
        return [none, leg(), store.latency.summary(T + 600).toPage.p50];
        """
    ) == [0, 20, 100]


def test_devices_without_a_clock_do_not_make_the_first_leg_look_short(tab: Tab) -> None:
    assert tab.js(
        STORE
        + """
        store.readings('fleet', frame([[1, 499.873], [2, 400]]), T + 600);  // the bridge's own stamp, then a device's
        const first = leg();
        store.readings('fleet', frame([[1, 499]]), T + 600);                // by chance a whole millisecond
        store.readings('fleet', frame([[2, 501], [2, 430]]), T + 600);      // one of the future
        return [first, store.latency.summary(T + 600).toBridge.count, store.devices.get('a').clock,
                store.devices.get('b').clock];
        """
    ) == [100, 2, "none", "ahead"]


def test_a_device_page_draws_its_own_channel(tab: Tab) -> None:
    assert (
        tab.js(
            STORE
            + """
        store.history.open('a');
        store.readings('fleet', frame([[1, 480]]), T + 600);
        store.readings('device/a', frame([[1, 490]]), T + 600);
        store.latency.shown(store.latency.noted, T + 610);
        return store.latency.summary(T + 610).toScreen.count;
        """
        )
        == 1
    )
