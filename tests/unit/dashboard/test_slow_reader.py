"""What a page does that reads too slowly: `lag`, the merged frame, snapshots in between, closes, pings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HEAD = """
const { Store } = await load('store');
const { ServerClock } = await load('clock');
const { Connection } = await load('connection');
const { server } = window;
const store = new Store();
const connection = new Connection(store, new ServerClock(), { random: () => 0 });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const T = Date.now() - 10_000;
connection.follow('fleet');
connection.follow('stats');
connection.start();
server.welcome();
server.snapshot('fleet', [server.device('a'), server.device('b')],
                [server.series(1, 'a', 'temp', { value: 20, time_ms: T })], { offset: 10 });
server.statsSnapshot({ shed: 0 }, { offset: 3 });
const fleet = connection.channels.byName.get('fleet');
const temp = store.series.get(1);
const lag = (after, offset, extra = {}) => server.say({ type: 'lag', channel: 'fleet', after, offset,
  messages: offset - after, conflated: 40, devices: [], series: [], ...extra });
const merged = (offset, rows) => server.readings(offset, rows, { kind: 3 });
const asked = () => server.sent.filter((message) => message.type === 'subscribe' && message.channel === 'fleet');
"""


def run(tab: Tab, source: str, arg: Any = None) -> Any:
    return tab.js(HEAD + source, arg)


def test_lag_brings_what_changed_and_the_merged_frame_takes_us_there(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        lag(10, 25, { devices: [server.device('a', { name: 'A' }), { device_id: 'b', removed: true }],
                      series: [server.series(2, 'a', 'mode', { time_ms: T })] });
        const between = [fleet.offset, store.devices.get('a').info.name, store.devices.has('b'), store.series.has(2)];
        merged(25, [[1, T + 100, 5], [1, T + 200, 90], [1, T + 300, 21], [2, T + 300, 7]]);
        const after = [fleet.offset, temp.value, store.series.get(2).value, Math.max(...temp.spark.highs)];
        server.readings(26, [[1, T + 400, 22]]);
        return [...between, ...after, temp.value, store.health.own.merged, store.health.own.lagged, asked().length];
        """,
    ) == [10, "A", False, True, 25, 21, 7, 90, 22, 40, 1, 1]


@pytest.mark.parametrize("after", [9, 11])
def test_a_lag_that_does_not_begin_where_we_are_is_a_gap(fresh_tab: Tab, after: int) -> None:
    assert run(
        fresh_tab,
        """
        lag(arg, 25, { devices: [server.device('a', { name: 'A' })] });
        merged(25, [[1, T + 300, 99]]);
        const again = asked().at(-1);
        return [temp.value, store.devices.get('a').info.name, asked().length, again.offset,
                server.last('unsubscribe').id, store.health.own.lagged];
        """,
        after,
    ) == [20, "a", 2, 10, "s1", 0]


@pytest.mark.parametrize("offset", [24, 26])
def test_a_merged_frame_that_was_not_announced_is_a_gap(fresh_tab: Tab, offset: int) -> None:
    assert run(
        fresh_tab,
        "lag(10, 25); merged(arg, [[1, T + 300, 99]]); return [temp.value, asked().length, asked().at(-1).offset];",
        offset,
    ) == [20, 2, 10]


def test_a_merged_frame_alone_is_a_gap_and_an_old_one_is_nothing(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        merged(10, [[1, T + 300, 99]]);
        lag(5, 10, { devices: [server.device('a', { name: 'A' })] });
        const old = [temp.value, store.devices.get('a').info.name, asked().length];
        merged(12, [[1, T + 300, 99]]);
        return [...old, temp.value, asked().length];
        """,
    ) == [20, "a", 1, 20, 2]


def test_a_message_between_lag_and_frame_breaks_the_promise(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        lag(10, 25);
        server.readings(11, [[1, T + 100, 21]]);
        merged(25, [[1, T + 300, 99]]);
        return [temp.value, fleet.offset, asked().length, asked().at(-1).offset];
        """,
    ) == [21, 11, 2, 11]


def test_a_line_that_breaks_between_the_two_resumes_after_what_we_have(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        lag(10, 25);
        server.socket.onclose({ code: 1006, reason: '' });
        connection.retry();
        server.welcome();
        const { offset, id } = asked().at(-1);
        server.say({ type: 'snapshot', id, channel: 'fleet', channel_no: 1, epoch: 'e1', offset: 10, recovered: true });
        merged(25, [[1, T + 300, 99]]);
        return [offset, temp.value, store.health.own.resumed];
        """,
    ) == [10, 20, 1]


def test_a_snapshot_in_place_of_what_was_missed_replaces_everything(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        lag(10, 25);
        server.snapshot('fleet', [server.device('c')], [server.series(9, 'c', 'level')], { offset: 90, channel_no: 4 });
        const state = [[...store.devices.keys()], store.series.has(1), fleet.offset, asked().length];
        merged(25, [[9, T + 300, 99]]);
        server.readings(91, [[9, Date.now() + 50, 99]]);                      // by its old number: nobody's
        server.readings(91, [[9, Date.now() + 50, 42]], { channel_no: 4 });
        const { own } = store.health;
        return [...state, store.series.get(9).value, own.overrun, own.resumed, own.restarted];
        """,
    ) == [["c"], False, 90, 1, 42, 1, 0, 0]


def test_lag_of_a_device_that_is_open_keeps_its_past_and_draws_no_hole(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        const { decimate, gapLimit, typicalInterval } = await load('decimate');
        store.history.open('a');
        connection.follow('device/a');
        server.snapshot('device/a', [server.device('a')], [server.series(1, 'a', 'temp', { time_ms: T })]);
        const frames = (await load('frames')).decodeFrame;
        const at = (offset, rows, kind, ms) => {
          server.frame = (buffer) => {
            new DataView(buffer).setBigInt64(24, BigInt(ms * 1000), true);
            server.socket.onmessage({ data: buffer });
          };
          server.readings(offset, rows, { channel_no: 2, kind });
        };
        for (let i = 1; i <= 9; i++) at(i, [[1, T + i * 1000, i]], 1, T + i * 1000);
        server.say({ type: 'lag', channel: 'device/a', after: 9, offset: 49, messages: 40, conflated: 37, devices: [],
                     series: [] });
        at(49, [[1, T + 20_000, -50], [1, T + 30_000, 80], [1, T + 49_000, 9]], 3, T + 49_000);
        at(50, [[1, T + 50_000, 9]], 1, T + 50_000);
        at(51, [[1, T + 80_000, 9]], 1, T + 80_000);                          // a real hole
        const ring = store.history.get(1);
        const gap = gapLimit(typicalInterval(ring));
        const line = (mergedMs) => decimate(ring, T, T + 90_000, 900, gap, mergedMs).y;
        const breaks = (mergedMs) => [...line(mergedMs)].filter(Number.isNaN).length;
        const mergedMs = (from, to) => store.history.mergedMs(from, to);
        return [ring.length, temp.intervalMs < 5_000, breaks(undefined), breaks(mergedMs)];
        """,
    ) == [14, True, 4, 1]


def test_stats_are_a_channel_that_counts_and_resumes(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        const shed = () => store.health.latest.counters.shed;
        const seen = [shed()];
        server.stats(4, { shed: 1 });
        server.stats(4, { shed: 99 });
        server.say({ type: 'stats', time_ms: Date.now(), shed: 98, counters: { shed: 98 } });   // of no channel
        seen.push(shed());
        server.stats(6, { shed: 97 });
        const again = server.last('subscribe');
        seen.push(shed(), again.channel, again.offset);
        server.say({ type: 'snapshot', id: again.id, channel: 'stats', channel_no: 3, epoch: 'e1', offset: 4,
                     recovered: true });
        server.stats(5, { shed: 2 });
        server.stats(6, { shed: 3 });
        return [...seen, shed(), store.devices.size];
        """,
    ) == [0, 1, 1, "stats", 4, 3, 2]


def test_another_bridge_has_counted_nothing_yet(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.stats(4, { shed: 7 });
        server.socket.onclose({ code: 4001, reason: '' });
        connection.retry();
        server.welcome({ epoch: 'e2' });
        const between = store.health.latest;
        server.statsSnapshot({ shed: 1 }, { epoch: 'e2' });
        const { lostOf } = await load('health');
        return [between, store.health.total(lostOf), store.health.recent(lostOf)];
        """,
    ) == [None, 1, 0]


def test_a_ping_of_the_server_is_answered(fresh_tab: Tab) -> None:
    assert run(fresh_tab, "server.say({ type: 'ping' }); return server.sent.at(-1);") == {"type": "pong"}


@pytest.mark.parametrize("event", ["visibilitychange", "resume"])
def test_a_tab_that_was_asleep_and_closed_comes_back_by_itself(fresh_tab: Tab, event: str) -> None:
    tries, offset = run(
        fresh_tab,
        """
        server.readings(11, [[1, T + 100, 21]]);
        server.socket.onclose({ code: 4008, reason: 'too slow' });
        document.dispatchEvent(new Event(arg));           // it need not wait until it may try again
        const tries = server.sockets.length;
        server.welcome();
        return [tries, asked().at(-1).offset];
        """,
        event,
    )
    assert (tries, offset) == (2, 11)


def test_nonsense_about_lag_costs_nothing(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.say({ type: 'lag', channel: 'no such channel', after: 10, offset: 25 });
        server.say({ type: 'lag', channel: 'fleet', after: 10, offset: 25, conflated: 'many' });
        merged(25, []);
        return [fleet.offset, store.health.own.merged, store.connection.state, asked().length];
        """,
    ) == [25, 0, "live", 1]
