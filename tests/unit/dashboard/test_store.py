"""store.js: what messages do to what the page knows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HEAD = """
const { Store } = await load('store');
const { decode } = await load('model');
const { server } = window;
const store = new Store();
const T = 1_767_225_600_000;
const frame = (rows, { kind = 1 } = {}) => ({
  kind, count: rows.length, baseTimeUs: T * 1000, serverTimeUs: (T + 500) * 1000,
  values: Float64Array.from(rows.map((row) => row[2])), seriesIds: Uint32Array.from(rows.map((row) => row[0])),
  deltasUs: Uint32Array.from(rows.map((row) => row[1] * 1000)),
});
const fill = (devices, series) => store.snapshot({ channel: 'fleet', devices, series });
fill([server.device('a')], [server.series(1, 'a', 'temp', { value: 20, time_ms: T })]);
const temp = store.series.get(1);
"""


def run(tab: Tab, source: str) -> Any:
    return tab.js(HEAD + source)


def test_a_reading_becomes_the_latest_value(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.readings('fleet', frame([[1, 1000, 21.5]]), T + 600);
        return [temp.value, temp.timeMs - T, temp.receivedMs - T, temp.quality];
        """,
    ) == [21.5, 1000, 500, "good"]


def test_a_late_reading_is_kept_but_not_shown_as_the_latest(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.history.open('a');
        store.readings('device/a', frame([[1, 3000, 23], [1, 1000, 21]]), T);
        const ring = store.history.get(1);
        return [temp.value, ring.length, ring.value(0), ring.value(1)];
        """,
    ) == [23, 2, 21, 23]


def test_no_value_is_bad_and_not_zero(tab: Tab) -> None:
    assert run(tab, "store.readings('fleet', frame([[1, 1000, NaN]]), T); return [temp.value, temp.quality];") == [
        None,
        "bad",
    ]


def test_the_recent_past_fills_sparklines_but_no_latest_values(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.readings('fleet', frame([[1, 9000, 99]], { kind: 2 }), T);
        return [temp.value, Math.max(...temp.spark.highs)];
        """,
    ) == [20, 99]


def test_unknown_kinds_and_unknown_series_are_left_alone(tab: Tab) -> None:
    assert (
        run(
            tab,
            """
            store.readings('fleet', frame([[1, 9000, 99]], { kind: 9 }), T);
            store.readings('fleet', frame([[777, 9000, 99]]), T);
            return temp.value;
            """,
        )
        == 20
    )


def test_texts_grow_by_what_is_new(tab: Tab) -> None:
    assert run(
        tab,
        """
        const told = (texts, texts_from) => store.describeSeries({ series: [
          server.series(2, 'a', 'mode', { kind: 'text', texts, texts_from, value: texts.at(-1), time_ms: T })] });
        told(['auto', 'heat'], 0);
        told(['off'], 2);
        store.readings('fleet', frame([[2, 1000, 2]]), T);
        const mode = store.series.get(2);
        const far = decode(mode, 17);
        return [mode.texts, mode.value, far];
        """,
    ) == [["auto", "heat", "off"], "off", None]


def test_a_description_does_not_set_a_newer_value_back(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.readings('device/a', frame([[1, 2000, 25]]), T);
        store.describeSeries({ series: [server.series(1, 'a', 'temp', { unit: '°C', value: 20, time_ms: T })] });
        return [temp.unit, temp.value];
        """,
    ) == ["°C", 25]


def test_a_fleet_snapshot_replaces_what_was_known(tab: Tab) -> None:
    assert run(
        tab,
        """
        fill([server.device('b')], [server.series(1, 'b', 'level')]);
        const series = store.series.get(1);
        return [[...store.devices.keys()], series.deviceId, series.metric, store.series.size];
        """,
    ) == [["b"], "b", "level", 1]


def test_a_removed_device_takes_its_series_along(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.device({ device: { device_id: 'a', removed: true } });
        return [store.devices.size, store.series.size, store.sparks];
        """,
    ) == [0, 0, 0]


def test_commands_are_described_by_the_device_channel_and_stay(tab: Tab) -> None:
    assert run(
        tab,
        """
        const commands = JSON.parse('{"__proto__": {"title": "x"}, "go": {"title": "Go"}}');
        store.snapshot({ channel: 'device/a', devices: [server.device('a', { commands })], series: [] });
        store.device({ device: server.device('a', { commands: ['__proto__', 'go'] }) });
        return [[...store.devices.get('a').commands.keys()], ({}).title === undefined];
        """,
    ) == [["__proto__", "go"], True]


def test_histories_and_lists_have_ceilings(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.history.open('a');
        const rows = Array.from({ length: 5000 }, (_, i) => i);
        for (let k = 0; k < 10; k++) {
          store.readings('device/a', frame(rows.map((i) => [1, k * 5000 + i, i])), T);
        }
        for (let i = 0; i < 1000; i++) store.command({ id: `c${i}`, device_id: 'a', state: 'accepted', times: {} });
        for (let i = 0; i < 500; i++) store.note({ note_id: i, text: 'x' });
        return [store.history.get(1).length, store.commands.size, store.notes.length, store.commands.has('c999')];
        """,
    ) == [16_384, 500, 200, True]


def test_many_series_share_the_memory_of_one_page(tab: Tab) -> None:
    assert run(
        tab,
        """
        const many = Array.from({ length: 400 }, (_, i) => server.series(i + 10, 'a', `m${i}`));
        fill([server.device('a')], many);
        store.history.open('a');
        store.readings('device/a', frame([[10, 1, 1]]), T);
        return store.history.get(10).limit * 400 <= 400_000;
        """,
    )


def test_only_the_open_device_keeps_its_samples(tab: Tab) -> None:
    assert run(
        tab,
        """
        store.readings('device/a', frame([[1, 1, 1]]), T);
        const before = store.history.rings.size;
        store.history.open('a');
        store.readings('device/a', frame([[1, 2, 1]]), T);
        const during = store.history.rings.size;
        store.history.open(null);
        return [before, during, store.history.rings.size];
        """,
    ) == [0, 1, 0]


def test_a_snapshot_of_the_device_begins_its_history_anew(tab: Tab) -> None:
    assert (
        run(
            tab,
            """
            store.history.open('a');
            store.readings('device/a', frame([[1, 1, 1], [1, 2, 2]]), T);
            store.snapshot({ channel: 'device/a', devices: [server.device('a')], series: [] });
            return store.history.get(1).length;
            """,
        )
        == 0
    )


def test_a_restarted_bridge_leaves_running_commands_unknown(tab: Tab) -> None:
    assert run(
        tab,
        """
        const welcome = (epoch) => store.welcome({ epoch, session_id: 's', role: 'operator', commands: [] });
        welcome('e1');
        store.command({ id: 'c1', device_id: 'a', state: 'sent', times: {} });
        store.command({ id: 'c2', device_id: 'a', state: 'succeeded', times: {} });
        welcome('e1');
        const same = store.commands.get('c1').lost ?? false;
        welcome('e2');
        return [same, store.commands.get('c1').lost, store.commands.get('c2').lost ?? false];
        """,
    ) == [False, True, False]


def test_a_listener_that_left_hears_nothing(tab: Tab) -> None:
    assert (
        run(
            tab,
            """
            let heard = 0;
            const stop = store.on('presence', () => heard++);
            store.presence(2);
            stop();
            store.presence(3);
            return heard;
            """,
        )
        == 1
    )


def test_sparklines_share_a_span_that_grows_to_five_minutes(tab: Tab) -> None:
    assert run(
        tab,
        """
        const spans = [store.sparkSpan(T)];
        store.readings('fleet', frame([[1, 0, 1]], { kind: 2 }), T + 3_600_000);  // of a device long silent
        spans.push(store.sparkSpan(T + 3_600_000));
        store.readings('fleet', frame([[1, 0, 1]]), T);
        for (const age of [5, 90, 4000]) spans.push(store.sparkSpan(T + age * 1000));
        return spans;
        """,
    ) == [20_000, 20_000, 20_000, 90_000, 300_000]
