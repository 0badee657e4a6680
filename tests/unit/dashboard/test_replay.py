"""replay.js with store and connection: a moment asked for, shown and played, against a played server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HEAD = """
const { Store } = await load('store');
const { ServerClock } = await load('clock');
const { Connection } = await load('connection');
const { Replay } = await load('replay');
const { server } = window;
const store = new Store();
const connection = new Connection(store, new ServerClock(), { random: () => 0 });
const past = new Replay(connection, store);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const NOW = Date.now();
const T = NOW - 3_600_000;
connection.follow('fleet');
connection.start();
server.welcome({ recording: server.recording() });
server.snapshot('fleet', [server.device('a'), server.device('b')], [server.series(1, 'a', 'temp', { value: 20 })]);
const old = (value = 5, at = T) => [[server.device('a', { last_seen_ms: at })],
  [server.series(1, 'a', 'temp', { value, time_ms: at - 1_000, received_ms: at - 1_000 })]];
const jumps = () => server.sent.filter((message) => message.type === 'replay');
"""


def run(tab: Tab, source: str, arg: Any = None) -> Any:
    return tab.js(HEAD + source, arg)


def test_a_moment_is_asked_for_and_fills_a_store_of_its_own(fresh_tab: Tab) -> None:
    asked, then, now = run(
        fresh_tab,
        """
        past.enter(T, null);
        const { type, channel, at_ms, speed, paused, devices, epoch } = server.asked;
        const waiting = past.isWaiting;
        server.moment(T, ...old());
        return [[type, channel, at_ms - T, speed, paused, devices === undefined, epoch === undefined, waiting],
          [past.isWaiting, past.store.series.get(1).value, past.store.devices.size, past.clock.now() - T],
          [store.series.get(1).value, store.devices.size]];
        """,
    )
    assert asked == ["subscribe", "replay", 0, 1, True, True, True, True]
    assert then == [False, 5, 1, 0]
    assert now == [20, 2]


def test_now_and_then_do_not_mix(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        server.moment(T, ...old());
        server.readings(1, [[1, NOW + 9_000, 99]]);                                    // of now
        server.readings(1, [[1, T + 500, 6]], { channel_no: 7 });               // of then
        server.say({ type: 'note', channel: 'replay/7', note_id: 'n', text: 'old', time_ms: T });
        server.say({ type: 'command', channel: 'replay/7', id: 'c', device_id: 'a', state: 'sent', times: {} });
        server.say({ type: 'note', note_id: 'm', text: 'new', time_ms: NOW });
        const renamed = server.device('a', { name: 'Old', last_seen_ms: T });
        server.say({ type: 'device', channel: 'replay/7', offset: 2, device: renamed });
        const texts = (of) => of.notes.map((note) => note.text).join();
        return [store.series.get(1).value, past.store.series.get(1).value, texts(store), texts(past.store),
          store.commands.size, past.store.commands.size, store.devices.get('a').info.name,
          past.store.devices.get('a').info.name, past.store.devices.get('a').lastSeenMs - T];
        """,
    ) == [99, 6, "new", "old", 0, 1, "a", "Old", 500]


def test_a_jump_back_leaves_nothing_of_what_came_later(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.store.history.open('a');
        past.enter(T, null);
        server.moment(T, ...old(), { notes: [{ note_id: 'n', text: 'x', time_ms: T }] });
        server.readings(1, [[1, T + 500, 60], [1, T + 900, 70]], { channel_no: 7 });
        past.seek(T - 60_000);
        server.moment(T - 60_000, ...old(4, T - 60_000), { offset: 1 });
        const { spark, value, timeMs } = past.store.series.get(1);
        return [value, timeMs - T, past.store.devices.get('a').lastSeenMs - T, past.store.notes.length,
          Math.max(...spark.stamps), past.store.history.get(1)?.length ?? 0, past.clock.now() - T];
        """,
    ) == [4, -61_000, -60_000, 0, -1, 0, -60_000]


def test_a_drag_asks_one_question_at_a_time_and_ends_where_it_ends(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        for (let i = 1; i <= 50; i++) past.seek(T - i);
        const before = [jumps().length, past.momentMs - T];
        server.moment(T, ...old());
        const first = jumps().map((jump) => jump.at_ms - T);
        const waits = past.isWaiting;
        past.seek(T - 60);
        server.moment(T - 50, ...old());
        await wait(250);
        const second = jumps().map((jump) => jump.at_ms - T);
        server.moment(T - 60, ...old());
        return [...before, first, waits, second, past.isWaiting, past.clock.now() - T];
        """,
    ) == [0, -50, [-50], True, [-50, -60], False, -60]


def test_what_was_on_its_way_before_a_jump_is_not_shown_as_of_then(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        server.moment(T, ...old());
        past.seek(T - 60_000);
        server.readings(1, [[1, T + 500, 60]], { channel_no: 7 });
        server.replay(T + 500);
        const still = [past.store.series.get(1).value, past.momentMs - T];
        server.moment(T - 60_000, ...old(4, T - 60_000), { offset: 1 });
        server.readings(2, [[1, T - 59_000, 7]], { channel_no: 7 });
        return [...still, past.store.series.get(1).value];
        """,
    ) == [5, -60_000, 7]


def test_it_plays_with_the_servers_clock_and_stands_when_the_server_is_silent(fresh_tab: Tab) -> None:
    paused, sent, moved, held, stopped = run(
        fresh_tab,
        """
        past.enter(T, null);
        server.moment(T, ...old());
        await wait(60);
        const paused = past.clock.now() - T;
        past.setSpeed(60);
        past.setPaused(false);
        const sent = jumps().map(({ speed, paused }) => [speed ?? null, paused ?? null]);
        server.replay(T + 600, { speed: 60 });
        await wait(100);
        const moved = past.clock.now() - T;
        await wait(1_500);
        const held = past.clock.now() - T;
        past.setPaused(true);
        server.replay(T + 2_000, { speed: 60, paused: false });                 // was on its way
        await wait(50);
        return [paused, sent, moved, held, past.clock.now() - T];
        """,
    )
    assert paused == 0
    assert sent == [[60, None], [None, False]]
    assert 600 + 60 * 90 <= moved <= 600 + 60 * 600
    assert held == 60_600
    assert 2_000 <= stopped <= 60_600


def test_at_the_present_it_pauses(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        server.moment(T, ...old());
        past.setPaused(false);
        server.replay(NOW, { paused: true, at_end: true });
        return [past.isPaused, past.atEnd, past.clock.now() - NOW];
        """,
    ) == [True, True, 0]


def test_a_lost_line_comes_back_to_the_same_moment(fresh_tab: Tab) -> None:
    first, again, shown = run(
        fresh_tab,
        """
        past.enter(T, 'a');
        server.moment(T, ...old());
        past.setPaused(false);
        past.setSpeed(10);
        server.replay(T + 5_000, { speed: 10 });
        const first = server.asked.id;
        server.socket.onclose({ code: 1006, reason: '' });
        const at = past.momentMs - T;
        await wait(150);
        const still = past.momentMs - T === at;
        connection.retry();
        server.welcome({ recording: server.recording() });
        const { id, at_ms, paused, speed, devices } = server.asked;
        server.moment(at_ms, ...old());
        return [first, [id !== first, at_ms - T - at, still, at >= 5_000, paused, speed, devices],
          [past.isWaiting, past.store.devices.size]];
        """,
    )
    assert first is not None
    assert again == [True, 0, True, True, False, 10, ["a"]]
    assert shown == [False, 1]


def test_another_device_is_another_replay(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        server.moment(T, ...old());
        const { id } = server.asked;
        past.narrow('b');
        const left = server.last('unsubscribe').id === id;
        const asked = [server.asked.devices, server.asked.at_ms - T, past.store.devices.size, past.store.fleetKnown];
        past.leave();
        return [left, ...asked, server.last('unsubscribe').id === server.asked.id, past.isOn,
          connection.channels.byName.has('replay')];
        """,
    ) == [True, ["b"], 0, 0, False, True, False, False]


def test_a_gap_is_filled_by_asking_for_the_moment_again(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        server.moment(T, ...old());
        server.readings(2, [[1, T + 500, 60]], { channel_no: 7 });
        return [past.store.series.get(1).value, server.sent.filter((m) => m.channel === 'replay').length,
          server.asked.at_ms - T, 'offset' in server.asked];
        """,
    ) == [5, 2, 0, False]


def test_a_refusal_is_told_and_the_next_moment_asks_anew(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        past.enter(T, null);
        server.say({ type: 'error', code: 'no_history', message: 'no history is kept', ref: server.asked.id });
        const told = [past.problem, past.isOn];
        past.seek(T + 5);
        server.moment(T + 5, ...old());
        return [...told, past.problem, past.store.series.get(1).value];
        """,
    ) == ["no history is kept", True, "", 5]


def test_recording_is_kept_as_told(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        const before = store.recording.state;
        server.say({ type: 'recording', state: 'failing', since_ms: 1, reason: 'disk is full', waiting: 3, lost: 0 });
        const during = store.recording;
        server.welcome();
        return [before, during, store.recording.state];
        """,
    ) == [
        "recording",
        {"state": "failing", "since_ms": 1, "reason": "disk is full", "waiting": 3, "lost": 0, "notice": ""},
        "off",
    ]
