"""connection.js against a played server: authentication, resuming, silence, commands that nobody confirmed."""

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
const connection = new Connection(store, new ServerClock(), { random: () => 0, ...(arg ?? {}) });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const state = () => store.connection.state;
const close = (code, reason = '') => server.socket.onclose({ code, reason });
connection.follow('fleet');
connection.start();
"""


def run(tab: Tab, source: str, options: dict[str, Any] | None = None) -> Any:
    return tab.js(HEAD + source, options)


def test_it_speaks_the_subprotocol_beside_the_page(fresh_tab: Tab) -> None:
    url, protocols, origin = run(fresh_tab, "return [server.socket.url, server.socket.protocols, location.host];")
    assert url == f"ws://{origin}/ws"
    assert protocols == ["fleetwire.v1"]


def test_it_subscribes_when_welcome_and_is_live(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        const before = server.sent.length;
        server.welcome();
        return [before, state(), server.last('subscribe').channel, 'epoch' in server.last('subscribe')];
        """,
    ) == [0, "live", "fleet", False]


def test_it_comes_back_and_resumes(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.welcome();
        server.snapshot('fleet', [server.device('a')], [server.series(1, 'a', 'temp')], { offset: 5 });
        server.readings(6, [[1, Date.now(), 21]]);
        server.readings(7, [[1, Date.now() + 1, 22]]);
        close(1006);
        const lost = [state(), store.connection.retryAt - Date.now() > 400, store.series.get(1).value];
        await wait(700);
        const tries = server.sockets.length;
        server.welcome();
        const again = server.last('subscribe');
        server.say({ type: 'snapshot', id: again.id, channel: 'fleet', channel_no: 9, epoch: 'e1', offset: 7,
                     recovered: true });
        server.readings(8, [[1, Date.now() + 2, 23]], { channel_no: 9 });
        return [...lost, tries, again.epoch, again.offset, store.series.get(1).value, store.devices.size];
        """,
    ) == ["offline", True, 22, 2, "e1", 7, 23, 1]


def test_a_gap_is_filled_not_skipped(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.welcome();
        server.snapshot('fleet', [server.device('a')], [server.series(1, 'a', 'temp')]);
        const first = server.last('subscribe').id;
        server.readings(1, [[1, Date.now(), 10]]);
        server.readings(3, [[1, Date.now() + 5, 30]]);
        const again = server.last('subscribe');
        return [store.series.get(1).value, server.last('unsubscribe').id === first, again.id !== first, again.offset];
        """,
    ) == [10, True, True, 1]


def test_a_known_message_is_not_applied_twice(fresh_tab: Tab) -> None:
    assert (
        run(
            fresh_tab,
            """
            server.welcome();
            server.snapshot('fleet', [server.device('a')], [server.series(1, 'a', 'temp')], { offset: 5 });
            let heard = 0;
            store.on('readings', () => heard++);
            for (const offset of [6, 6, 5]) server.readings(offset, [[1, Date.now(), 10]]);
            return heard;
            """,
        )
        == 1
    )


def test_one_bad_message_does_not_cost_the_connection(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.welcome();
        server.say('{not json');
        server.frame(new ArrayBuffer(3));
        server.say({ type: 'from the future' });
        server.say({ type: 'presence', operators: 4 });
        return [state(), store.operators];
        """,
    ) == ["live", 4]
    assert len(fresh_tab.complaints) == 2
    fresh_tab.complaints.clear()


def test_a_token_is_asked_for_and_used(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.say({ type: 'auth_required' });
        const asked = [state(), server.sent.length];
        connection.authenticate('sesame');
        server.say({ type: 'auth_required' });
        const token = server.last('auth').token;
        close(4500);
        const refused = [state(), store.connection.reason.length > 0];
        await wait(700);
        const idle = server.sockets.length;
        connection.authenticate('open sesame');
        server.say({ type: 'auth_required' });
        server.welcome();
        return [...asked, token, ...refused, idle, server.last('auth').token, state()];
        """,
    ) == ["auth", 0, "sesame", "auth", True, 2, "open sesame", "live"]


@pytest.mark.parametrize("code", [4501, 4503, 4999])
def test_a_final_close_is_final_until_somebody_asks(fresh_tab: Tab, code: int) -> None:
    assert run(
        fresh_tab,
        f"""
        server.welcome();
        close({code}, 'why');
        window.dispatchEvent(new Event('online'));
        await wait(700);
        const idle = [state(), store.connection.retryAt, store.connection.reason.length > 0, server.sockets.length];
        connection.retry();
        server.welcome();
        return [...idle, state()];
        """,
    ) == ["offline", None, True, 1, "live"]


@pytest.mark.parametrize("code", [4001, 4008, 4012, 1006, 1009])
def test_other_closes_are_not(fresh_tab: Tab, code: int) -> None:
    assert run(fresh_tab, f"server.welcome(); close({code}); await wait(700); return server.sockets.length;") == 2


def test_silence_is_a_dead_line(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        const states = [];
        store.on('connection', () => states.push(state()));
        server.welcome();
        for (let i = 0; i < 100 && !states.includes('offline'); i++) await wait(50);
        const pings = server.sent.filter((message) => message.type === 'ping').length;
        return [pings > 1, server.sockets[0].readyState, states.includes('offline')];
        """,
        {"silenceMs": 400, "pingMs": 100},
    ) == [True, 3, True]


def test_a_network_that_is_back_is_tried_at_once(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        close(1006);
        const before = server.sockets.length;
        window.dispatchEvent(new Event('online'));
        return [before, server.sockets.length];
        """,
    ) == [1, 2]


def test_a_command_that_was_not_confirmed_is_sent_again_under_its_id(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.welcome();
        const confirmed = connection.sendCommand('a', 'go', {});
        server.say({ type: 'command', id: confirmed, device_id: 'a', name: 'go', state: 'accepted', times: {} });
        const open = connection.sendCommand('a', 'stop', {});
        close(1006);
        connection.retry();
        server.sent.length = 0;
        server.welcome();
        const again = server.sent.filter((message) => message.type === 'command').map((message) => message.id);
        return [again.length, again[0] === open, store.commands.get(open).state];
        """,
    ) == [1, True, "sending"]


def test_a_restarted_bridge_gets_no_command_twice(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.welcome();
        const id = connection.sendCommand('a', 'go', {});
        close(4001);
        connection.retry();
        server.sent.length = 0;
        server.welcome({ epoch: 'e2' });
        return [server.sent.some((message) => message.type === 'command'), store.commands.get(id).lost];
        """,
    ) == [False, True]


def test_a_refused_command_says_why(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab,
        """
        server.welcome();
        const id = connection.sendCommand('a', 'go', {});
        server.say({ type: 'error', code: 'device_offline', message: 'it is offline', ref: id });
        return store.commands.get(id).refused;
        """,
    ) == {"code": "device_offline", "message": "it is offline"}


def test_without_a_connection_nothing_is_queued(fresh_tab: Tab) -> None:
    assert run(
        fresh_tab, "return [connection.sendCommand('a', 'go', {}), connection.sendNote('x'), store.commands.size];"
    ) == [
        None,
        False,
        0,
    ]


def test_ids_are_random_also_where_crypto_is_not_secure(fresh_tab: Tab) -> None:
    ids = fresh_tab.js(
        """
        const { newId } = await load('connection');
        Object.defineProperty(crypto, 'randomUUID', { value: undefined });
        return [newId(), newId()];
        """
    )
    assert ids[0] != ids[1]
    assert all(len(id_) == 36 and id_[14] == "4" for id_ in ids)
