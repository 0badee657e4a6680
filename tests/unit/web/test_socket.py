"""The WebSocket itself: how one gets in, what is answered, and who is closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.core.frame import decode_frame
from bridge.core.model import Readings
from bridge.live.messages import Packet, json_packet
from bridge.web import socket as socket_module
from bridge.web.access import MAX_FAILURES
from tests.unit.web.helpers import (
    BEARER,
    NOW_US,
    TOKEN,
    S,
    Site,
    close_code,
    eventually,
    masked,
    receive,
    running,
)

# ----- getting in -------------------------------------------------------------------------------------------


async def refused(site: Site, **kwargs: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with site.ws(**kwargs):
            pass
    return caught.value.status


async def test_by_bearer_token(site: Site) -> None:
    async with site.ws(headers=BEARER) as ws:
        assert (await receive(ws))["type"] == "welcome"


async def test_by_cookie_with_our_own_origin(site: Site) -> None:
    async with site.ws(headers={**site.cookie, **site.origin}) as ws:
        assert (await receive(ws))["type"] == "welcome"


@pytest.mark.parametrize("with_origin", [True, False])
async def test_by_the_first_message(site: Site, with_origin: bool) -> None:
    async with site.ws(headers=site.origin if with_origin else {}) as ws:
        assert await receive(ws) == {"type": "auth_required"}
        assert not site.hub.sessions  # nobody yet
        await ws.send_json({"type": "auth", "token": TOKEN})
        assert (await receive(ws))["type"] == "welcome"


async def test_without_authentication_by_nothing(dashboard: Path) -> None:
    async with running(dashboard, token=None, auth="none") as site, site.ws() as ws:
        assert (await receive(ws))["type"] == "welcome"


@pytest.mark.parametrize(
    "first",
    [
        '{"type": "auth", "token": "wrong"}',
        '{"type": "auth", "token": ""}',
        '{"type": "auth"}',
        '{"type": "ping"}',
        '{"type": "subscribe", "id": "1", "channel": "fleet"}',
        '{"type": "command", "id": "1", "device_id": "d", "name": "set", "args": {}}',
        "nonsense",
        "",
        b"\x00\x01",
        '{"type": "auth", "token": "%s"}' % TOKEN[:-1],  # noqa: UP031
        '{"type": "auth", "token": "%s"%s}' % (TOKEN, " " * 5_000),  # noqa: UP031  (too long to be read by a stranger)
    ],
)
async def test_any_other_first_message_is_the_last(site: Site, first: str | bytes) -> None:
    async with site.ws() as ws:
        await receive(ws)
        await (ws.send_str(first) if isinstance(first, str) else ws.send_bytes(first))
        error = await receive(ws)
        assert (error["type"], error["code"]) == ("error", "unauthorized")
        assert await close_code(ws) == 4500
    assert site.operations.asked == []
    assert not site.hub.sessions
    assert site.counters.refused == 1


async def test_who_guesses_too_often_is_told_to_wait_and_not_that_its_token_is_wrong(site: Site) -> None:
    for number in range(MAX_FAILURES + 1):
        async with site.ws() as ws:
            await receive(ws)
            is_last = number == MAX_FAILURES
            await ws.send_json({"type": "auth", "token": TOKEN if is_last else f"guess {number}"})
            assert (await receive(ws))["code"] == ("rate_limited" if is_last else "unauthorized")
            assert await close_code(ws) == (4013 if is_last else 4500)
    assert not site.hub.sessions


async def test_who_says_nothing_is_closed_in_time(dashboard: Path) -> None:
    async with running(dashboard, auth_timeout_s=0.05) as site, site.ws() as ws:
        started = time.monotonic()
        assert await close_code(ws) == 4502
        assert time.monotonic() - started < 2
        await eventually(lambda: not site.server.connections)


async def test_a_wrong_bearer_token_is_refused_before_the_upgrade(site: Site) -> None:
    assert await refused(site, headers={"Authorization": "Bearer wrong"}) == 401


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:PORT", "http://localhost:PORT"]
)
@pytest.mark.parametrize("credentials", ["none", "cookie", "bearer"])
async def test_a_foreign_origin_is_refused_before_the_upgrade(site: Site, origin: str, credentials: str) -> None:
    headers = {"none": {}, "cookie": site.cookie, "bearer": BEARER}[credentials]
    origin = origin.replace("PORT", str(site.port))
    assert await refused(site, headers={**headers, "Origin": origin}) == 403
    assert site.counters.refused == 1


async def test_a_foreign_origin_is_refused_without_authentication_too(dashboard: Path) -> None:
    async with running(dashboard, token=None, auth="none") as site:
        assert await refused(site, headers={"Origin": "http://evil.example"}) == 403


async def test_a_cookie_without_an_origin_is_refused(site: Site) -> None:
    assert await refused(site, headers=site.cookie) == 403


async def test_a_foreign_host_is_refused_before_the_upgrade(site: Site) -> None:
    assert await refused(site, headers={"Host": "evil.example", "Origin": "http://evil.example", **BEARER}) == 403


@pytest.mark.parametrize(
    ("offered", "chosen", "is_binary"),
    [
        ((), None, False),
        (("fleetwire.v1.json",), "fleetwire.v1.json", False),
        (("fleetwire.v1",), "fleetwire.v1", True),
        (("something", "fleetwire.v1"), "fleetwire.v1", True),
    ],
)
async def test_the_subprotocol_decides_on_binary_frames(
    site: Site, offered: tuple[str, ...], chosen: str | None, is_binary: bool
) -> None:
    async with site.logged_in(*offered) as ws:
        assert ws.protocol == chosen
        await ws.send_json({"type": "subscribe", "id": "1", "channel": "log"})
        assert (await receive(ws))["type"] == "snapshot"
        site.fleet.observe_readings("native", "mqtt", Readings("d", [("x", 1.5)]), NOW_US)
        batch = site.fleet.take_batch(NOW_US)
        assert batch is not None
        site.hub.publish_changes(site.fleet.take_changes(), NOW_US)
        site.hub.publish_readings(batch, NOW_US)
        assert [(await receive(ws))["type"] for _ in range(2)] == ["device", "series"]
        message = await ws.receive(timeout=5)
        if is_binary:
            assert decode_frame(message.data).values.tolist() == [1.5]
        else:
            assert json.loads(message.data)["rows"] == [[0, NOW_US // 1000, 1.5]]


# ----- talking ----------------------------------------------------------------------------------------------


async def test_broken_messages_are_answered_and_the_session_goes_on(site: Site) -> None:
    async with site.logged_in() as ws:
        for raw, code in (
            ("nonsense", "invalid_json"),
            ("[]", "invalid_json"),
            ("[" * 60_000, "invalid_json"),
            ('{"type": "fly", "id": "7"}', "unknown_type"),
            ('{"type": "subscribe"}', "invalid_message"),
            ('{"type": "auth", "token": "again"}', "invalid_message"),
            ('{"type": "subscribe", "id": "1", "channel": "device/none"}', "unknown_device"),
        ):
            await ws.send_str(raw)
            assert (await receive(ws))["code"] == code
        await ws.send_bytes(b"\x00")
        assert (await receive(ws))["code"] == "unsupported_binary"
        await ws.send_json({"type": "ping", "id": "alive"})
        assert (await receive(ws))["id"] == "alive"
    assert site.counters.frames_sent >= 10


async def test_a_message_that_is_too_big_closes(dashboard: Path) -> None:
    async with running(dashboard, max_message_bytes=1024) as site, site.logged_in() as ws:
        await ws.send_str(" " * 1000)
        assert (await receive(ws))["code"] == "invalid_json"
        await ws.send_str(" " * 2000)
        assert await close_code(ws) == 1009


async def test_messages_arrive_in_order_whatever_their_size(site: Site) -> None:
    random_sizes = random.Random(1)
    sizes = [0, 125, 126, 65_535, 65_536, *(random_sizes.randrange(100_000) for _ in range(40))]
    async with site.logged_in() as ws:
        for begin in range(0, len(sizes), 5):  # as many at once as fit into a client's buffer
            some = list(enumerate(sizes))[begin : begin + 5]
            for number, size in some:
                site.hub.broadcast(json_packet("note", number=number, text="x" * size))
            for number, size in some:
                note = await receive(ws)
                assert (note["number"], len(note["text"])) == (number, size)


async def test_who_hangs_up_leaves_the_hub(site: Site) -> None:
    async with site.logged_in() as ws:
        assert len(site.hub.sessions) == 1
        await ws.close()
    await eventually(lambda: not site.hub.sessions and not site.server.connections)
    _, writer = await site.raw_ws()
    await eventually(lambda: len(site.hub.sessions) == 1)
    writer.transport.abort()  # without a close frame
    await eventually(lambda: not site.hub.sessions and not site.server.connections)


# ----- silent and slow ones ---------------------------------------------------------------------------------


async def test_a_page_that_went_silent_is_asked_then_closed_and_counted_once(site: Site) -> None:
    async with site.logged_in() as ws:
        await ws.send_json({"type": "ping"})
        await receive(ws)
        site.server.tick(site.now_us + 25 * S)
        assert site.counters.frames_sent == 2  # welcome and pong: not asked yet
        site.server.tick(site.now_us + 25 * S + 1)
        assert (await receive(ws))["type"] == "ping"
        await asyncio.sleep(0.05)  # its WebSocket has answered; the page has not
        site.server.tick(site.now_us + 33 * S + 1)
        assert site.counters.closed_silent == 0
        for _ in range(5):
            site.server.tick(site.now_us + 33 * S + 2)
        assert await close_code(ws) == 4012
    assert site.counters.closed_silent == 1


async def test_a_page_that_answers_stays(site: Site) -> None:
    async with site.logged_in() as ws:
        await ws.send_json({"type": "pong"})
        await eventually(lambda: all(session.answers_pings for session in site.hub.sessions))
        for _ in range(3):
            site.now_us += 26 * S
            site.server.tick(site.now_us)
            assert (await receive(ws))["type"] == "ping"
            await ws.send_json({"type": "pong"})
            await asyncio.sleep(0.05)
            site.now_us += 9 * S
            site.server.tick(site.now_us)
        assert site.counters.closed_silent == 0


async def test_a_program_that_only_listens_is_asked_over_the_socket(site: Site) -> None:
    """Its WebSocket library answers; it need not know our messages."""
    async with site.logged_in() as ws:
        for _ in range(3):
            site.now_us += 26 * S
            site.server.tick(site.now_us)
            assert (await receive(ws))["type"] == "ping"
            await asyncio.sleep(0.05)
            site.now_us += 9 * S
            site.server.tick(site.now_us)
        assert site.counters.closed_silent == 0
    _, writer = await site.raw_ws()  # one whose socket does not answer either
    await eventually(lambda: len(site.hub.sessions) == 1)
    site.server.tick(site.now_us + 26 * S)
    site.server.tick(site.now_us + 35 * S)
    assert site.counters.closed_silent == 1
    await ended(writer)


@pytest.fixture
def _short_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real two seconds, for each test that closes somebody who does not read, would be long."""
    monkeypatch.setattr(socket_module, "CLOSE_TIMEOUT_S", 0.3)


async def fill(site: Site, waiting: int = 200_000) -> None:
    """Send until the kernel takes no more, and so much (200 kB: beyond asyncio's high-water mark) waits with us."""
    connection = next(iter(site.server.connections))
    packet = Packet(b'"' + b"x" * (waiting // 4) + b'"')
    while connection._transport is not None and connection._transport.get_write_buffer_size() < waiting:
        site.hub.broadcast(packet)
        await asyncio.sleep(0)


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.usefixtures("_short_close")
async def test_a_client_that_never_reads_but_keeps_talking_is_closed_and_cut(dashboard: Path) -> None:
    async with running(dashboard, write_timeout_s=1.0) as site:
        reader, writer = await site.raw_ws()
        await eventually(lambda: len(site.hub.sessions) == 1)
        await fill(site)
        site.server.tick(site.now_us)
        for _ in range(20):  # it talks all the time
            writer.write(masked(b'{"type": "note", "text": "x"}') + masked(b"", opcode=9))
            await writer.drain()
        await asyncio.sleep(0.05)
        site.server.tick(site.now_us + S)
        assert site.counters.closed_slow == 0
        site.server.tick(site.now_us + S + 1)
        site.server.tick(site.now_us + 100 * S)
        assert site.counters.closed_slow == 1
        await eventually(lambda: not site.server.connections and not site.hub.sessions)
        with contextlib.suppress(ConnectionError):
            while await asyncio.wait_for(reader.read(2**20), 5):
                pass  # what was on its way; then the end, cut
        await ended(writer)


@pytest.mark.usefixtures("_short_close")
async def test_a_client_whose_buffer_is_full_is_closed_at_once_and_memory_stays_bounded(dashboard: Path) -> None:
    async with running(dashboard, client_buffer_bytes=65_536) as site:
        _, writer = await site.raw_ws()
        await eventually(lambda: len(site.hub.sessions) == 1)
        connection = next(iter(site.server.connections))
        transport = connection._transport
        assert transport is not None
        packet = Packet(b'"' + b"x" * 10_000 + b'"')
        largest = 0
        for _ in range(5_000):
            site.hub.broadcast(packet)
            largest = max(largest, transport.get_write_buffer_size())
            if site.counters.closed_slow:
                break
        assert site.counters.closed_slow == 1
        assert largest <= 65_536 + 2 * len(packet.payload) + 100
        sent = site.counters.bytes_sent
        site.hub.broadcast(packet)
        assert site.counters.bytes_sent == sent  # nothing more for it
        await eventually(lambda: not site.server.connections)
        await ended(writer)


async def test_one_message_larger_than_the_buffer_is_still_delivered(dashboard: Path) -> None:
    async with running(dashboard, client_buffer_bytes=65_536) as site, site.logged_in() as ws:
        site.hub.broadcast(json_packet("note", text="x" * 3_000_000))
        assert len((await receive(ws))["text"]) == 3_000_000
        assert site.counters.closed_slow == 0


@pytest.mark.usefixtures("_short_close")
async def test_a_slow_reader_that_makes_progress_stays(dashboard: Path) -> None:
    async with running(dashboard, write_timeout_s=1.0) as site:
        reader, writer = await site.raw_ws()
        await eventually(lambda: len(site.hub.sessions) == 1)
        await fill(site)
        connection = next(iter(site.server.connections))
        transport = connection._transport
        assert transport is not None
        for number in range(10):
            site.server.tick(site.now_us + number * S)
            waiting = transport.get_write_buffer_size()
            while transport.get_write_buffer_size() >= waiting > 0:
                await reader.read(2**16)
            await fill(site)
        assert site.counters.closed_slow == 0
        await ended(writer)
        await eventually(lambda: not site.server.connections)


@pytest.mark.usefixtures("_short_close")
@pytest.mark.parametrize("how", ["shutdown", "silent"])
async def test_a_client_that_never_reads_does_not_hold_up_its_own_end(dashboard: Path, how: str) -> None:
    """Its close frame cannot be delivered; the server must not wait for that."""
    async with running(dashboard) as site:
        _, writer = await site.raw_ws()
        writer.write(masked(b'{"type": "ping"}'))
        await eventually(lambda: any(session.answers_pings for session in site.hub.sessions))
        await fill(site)
        started = time.monotonic()
        if how == "shutdown":
            await asyncio.wait_for(site.server.stop(), 6)
        else:
            site.server.tick(site.now_us + 26 * S)
            site.server.tick(site.now_us + 35 * S)
        await eventually(lambda: not site.server.connections)
        assert 0.2 < time.monotonic() - started < 3  # it did get its moment
        await ended(writer)


async def test_a_slow_client_that_reads_on_in_time_is_told_why(dashboard: Path) -> None:
    async with running(dashboard, client_buffer_bytes=65_536) as site:
        reader, writer = await site.raw_ws()
        await eventually(lambda: len(site.hub.sessions) == 1)
        while not site.counters.closed_slow:
            site.hub.broadcast(Packet(b'"' + b"x" * 10_000 + b'"'))
        await asyncio.sleep(0.05)
        last = b""
        while data := await asyncio.wait_for(reader.read(2**20), 5):
            last = (last + data)[-50:]
        assert last.endswith(b"\x88\x0a" + (4008).to_bytes(2, "big") + b"too slow")
        await ended(writer)


@pytest.mark.usefixtures("_short_close")
async def test_the_others_do_not_notice_a_client_that_does_not_read(dashboard: Path) -> None:
    async with running(dashboard, client_buffer_bytes=65_536) as site:
        _, writer = await site.raw_ws()
        await eventually(lambda: len(site.hub.sessions) == 1)
        async with site.logged_in() as ws:
            for number in range(200):
                site.hub.broadcast(json_packet("note", number=number, text="x" * 50_000))
                assert (await receive(ws))["number"] == number
        assert site.counters.closed_slow == 1
        await eventually(lambda: not site.server.connections)
        await ended(writer)


async def test_a_client_a_little_behind_at_shutdown_gets_everything_and_the_reason(
    dashboard: Path,
) -> None:
    async with running(dashboard) as site:
        reader, writer = await site.raw_ws()
        await eventually(lambda: len(site.hub.sessions) == 1)
        await fill(site, 30_000)  # less than what makes asyncio hold back the close frame
        stopping = asyncio.create_task(site.server.stop())
        await asyncio.sleep(0.05)
        last = b""
        while data := await asyncio.wait_for(reader.read(2**20), 5):
            last = (last + data)[-50:]
        assert last.endswith(b"\x88\x0f" + (4001).to_bytes(2, "big") + b"shutting down")
        await asyncio.wait_for(stopping, 5)
        await ended(writer)
