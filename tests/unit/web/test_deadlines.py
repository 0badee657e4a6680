"""Connections that bring no request in time, real ones; the clock is ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.settings import WebSettings
from bridge.web import deadlines, server
from bridge.web.deadlines import (
    RESERVED_DESCRIPTORS,
    SPARE_CONNECTIONS,
    SPARE_PER_ADDRESS,
    UNREAD_TIMEOUT_S,
    connection_places,
)
from tests.unit.web.helpers import BEARER, TOKEN, S, Site, eventually, receive, running

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
COMMAND = b"POST /api/v1/devices/d/commands HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN.encode()


class Wire:
    """The far side of a bare TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
            return int(head.split()[1]), await self.reader.readexactly(int(length.split(b":")[1]))

    async def is_cut(self, timeout_s: float = 5.0) -> bool:
        """Whether it ends in this time, without another word."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


@asynccontextmanager
async def wire(site: Site, local: str = "127.0.0.1") -> AsyncIterator[Wire]:
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind((local, 0))
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", site.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def taken(site: Site, count: int) -> None:
    """Until the server has noticed so many connections."""
    await eventually(lambda: site.server.deadlines.places.taken == count)


def unread(site: Site) -> int:
    """Bytes of answers that the server could not hand to the kernel yet."""
    return sum(gate.unread() for gate in site.server.deadlines._gates.values())


def wait(site: Site, seconds: float) -> None:
    """The clock runs on, with the ticks that `app` makes."""
    for _ in range(4):
        site.now_us += int(seconds * S / 4)
        site.server.tick(site.now_us)


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], b"\r\n" * 10])
async def test_a_request_that_does_not_come_is_cut_in_time_and_not_before(site: Site, sent: bytes) -> None:
    async with wire(site) as slow:
        slow.send(sent)
        await taken(site, 1)
        wait(site, 9.9)
        assert not await slow.is_cut(0.05)
        assert site.counters.closed_headers == 0
        wait(site, 0.2)
        assert await slow.is_cut()
        assert site.counters.closed_headers == 1
    await taken(site, 0)


async def test_dripping_does_not_prolong_it(site: Site) -> None:
    async with wire(site) as slow, site.logged_in() as ws:
        await taken(site, 2)
        for byte in GET[:10]:
            slow.send(bytes([byte]))
            await asyncio.sleep(0.005)
            wait(site, 1)
        assert await slow.is_cut()
        await ws.send_json({"type": "ping"})
        assert (await receive(ws))["type"] == "pong"  # nobody else is affected
        assert site.counters.closed_headers == 1


async def test_a_request_in_time_stops_the_clock(site: Site) -> None:
    async with wire(site) as client:
        await taken(site, 1)
        client.send(GET[:20])
        wait(site, 9)
        client.send(GET[20:])
        assert (await client.answer())[0] == 200
        wait(site, 60)
        assert not await client.is_cut(0.05)  # being quiet after an answer is aiohttp's business
        assert site.counters.closed_headers == 0


async def test_a_later_request_on_the_same_connection_has_the_same_time(site: Site) -> None:
    async with wire(site) as client:
        for _ in range(3):
            client.send(GET[:5])
            await asyncio.sleep(0.02)
            wait(site, 9)
            client.send(GET[5:])
            assert (await client.answer())[0] == 200
            wait(site, 5)
        for byte in GET[:10]:
            assert site.counters.closed_headers == 0
            client.send(bytes([byte]))
            await asyncio.sleep(0.01)
            wait(site, 1.01)
        assert await client.is_cut()
        assert site.counters.closed_headers == 1


async def test_two_requests_at_once_are_two_in_time(site: Site) -> None:
    async with wire(site) as client:
        client.send(GET + GET)
        assert [(await client.answer())[0] for _ in range(2)] == [200, 200]
        client.send(GET + GET[:10])
        assert (await client.answer())[0] == 200
        client.send(GET[10:11])
        await asyncio.sleep(0.02)
        wait(site, 11)
        assert await client.is_cut()


@pytest.mark.parametrize("drips", [False, True])
async def test_a_quiet_connection_is_ended_by_aiohttp(
    dashboard: Path, monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    monkeypatch.setattr(server, "KEEPALIVE_S", 0.2)
    async with running(dashboard) as site, wire(site) as client:
        client.send(GET)
        assert (await client.answer())[0] == 200
        if drips:
            client.send(GET[:3])
        assert await client.is_cut(2)
        await taken(site, 0)


async def test_a_websocket_has_no_such_deadline(site: Site) -> None:
    async with site.logged_in() as ws:
        wait(site, 20)
        await ws.send_json({"type": "ping"})
        assert (await receive(ws))["type"] == "pong"
    await taken(site, 0)


async def test_a_command_that_waits_long_is_not_late(site: Site) -> None:
    ended = asyncio.Event()

    async def wait_for_command(command_id: str, timeout_s: float) -> dict[str, str]:
        await ended.wait()
        return {"id": command_id, "state": "succeeded"}

    site.operations.wait_for_command = wait_for_command  # type: ignore[method-assign]
    url = f"{site.url}/api/v1/devices/d/commands?wait=60"
    asking = asyncio.create_task(site.http.post(url, headers=BEARER, json={"name": "set"}))
    await eventually(lambda: site.operations.asked)
    wait(site, 60)
    ended.set()
    async with await asking as response:
        assert response.status == 200


async def test_a_clock_that_is_set_back_gives_nobody_an_hour(site: Site) -> None:
    async with wire(site) as slow:
        await taken(site, 1)
        site.now_us -= 3600 * S
        wait(site, 9)
        assert not await slow.is_cut(0.05)
        wait(site, 4)
        assert await slow.is_cut()


# ----- bodies and answers -----------------------------------------------------------------------------------


async def test_a_body_that_does_not_come_is_answered_408(dashboard: Path) -> None:
    async with running(dashboard, header_timeout_s=0.2) as site, wire(site) as client:
        client.send(COMMAND + b'\r\nContent-Length: 50\r\n\r\n{"name"')
        status, body = await client.answer()
        assert status == 408
        assert json.loads(body)["error"]["code"] == "invalid_message"
        assert await client.is_cut()
        assert site.operations.asked == []


async def test_a_body_that_drips_is_no_better(dashboard: Path) -> None:
    async with running(dashboard, header_timeout_s=0.3) as site, wire(site) as client:
        client.send(COMMAND + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = asyncio.create_task(client.answer())
        while not answer.done():
            client.send(b"1\r\n{\r\n")
            await asyncio.sleep(0.02)
        assert (await answer)[0] == 408


async def test_an_answer_that_nobody_reads_is_cut_and_one_that_is_read_slowly_is_not(dashboard: Path) -> None:
    (dashboard / "js" / "large.js").write_bytes(b"x" * 16_000_000)
    async with running(dashboard) as site, wire(site) as client:
        client.send(b"GET /static/js/large.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(lambda: unread(site))
        for _ in range(3):
            wait(site, 0)
            wait(site, UNREAD_TIMEOUT_S - 1)
            before = unread(site)
            async with asyncio.timeout(5):
                while unread(site) == before:
                    await client.reader.read(65_536)
        assert site.counters.closed_slow == 0
        await asyncio.sleep(0.1)  # what is on its way arrives, and then it stands still
        wait(site, 0)
        wait(site, UNREAD_TIMEOUT_S + 1)
        await taken(site, 0)
        assert (site.counters.closed_slow, site.counters.closed_headers) == (1, 0)


# ----- how many ---------------------------------------------------------------------------------------------


async def test_connections_beyond_the_limit_are_closed_at_once(
    dashboard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SPARE_CONNECTIONS", 3)
    monkeypatch.setattr(deadlines, "SPARE_PER_ADDRESS", 1)
    async with (
        running(dashboard, max_connections=1, max_connections_per_address=1) as site,
        wire(site) as first,
        wire(site),
        wire(site) as third,
        wire(site, "127.0.0.2") as other,
    ):
        assert await third.is_cut(1)
        assert site.counters.turned_away == 1
        other.send(GET)  # another address has room
        assert (await other.answer())[0] == 200
        async with wire(site, "127.0.0.3"), wire(site, "127.0.0.4") as fifth:
            assert await fifth.is_cut(1)
            assert site.counters.turned_away == 2
        await taken(site, 3)
        first.writer.transport.abort()
        await taken(site, 2)
        async with wire(site) as again:
            again.send(GET)
            assert (await again.answer())[0] == 200


@pytest.mark.parametrize(
    ("descriptors", "total", "per_address"),
    [
        (None, 1_000 + SPARE_CONNECTIONS, 500 + SPARE_PER_ADDRESS),
        (10**6, 1_000 + SPARE_CONNECTIONS, 500 + SPARE_PER_ADDRESS),
        (1_024, 1_024 - RESERVED_DESCRIPTORS, 1_024 - RESERVED_DESCRIPTORS),
        (64, 1, 1),
    ],
)
def test_connections_leave_descriptors_for_the_rest(descriptors: int | None, total: int, per_address: int) -> None:
    places = connection_places(WebSettings(), descriptors)
    assert (places.total, places.per_address) == (total, per_address)
