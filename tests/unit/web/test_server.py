"""The server's life: it binds, it limits, it sends everybody home."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.errors import ConfigError
from tests.unit.web.helpers import BEARER, S, Site, close_code, eventually, receive, running

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_port_0_takes_a_free_one(site: Site) -> None:
    assert site.port > 0
    assert site.server.guard.port == site.port


async def test_a_port_that_is_taken_is_a_setting_that_is_wrong(site: Site, dashboard: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.port: cannot listen on 127\.0\.0\.1"):
        async with running(dashboard, port=site.port):
            pass


async def test_one_connection_too_many_is_told_to_come_back(dashboard: Path) -> None:
    async with running(dashboard, max_connections=2) as site, site.logged_in(), site.logged_in() as second:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with site.ws(headers=BEARER):
                pass
        assert caught.value.status == 503
        assert caught.value.headers is not None
        assert 1 <= int(caught.value.headers["Retry-After"]) <= 5
        assert caught.value.headers["Connection"] == "close"
        assert (site.counters.turned_away, site.counters.refused) == (1, 0)
        await second.close()
        async with site.logged_in():
            pass


async def test_whoever_has_not_said_its_token_counts_too(dashboard: Path) -> None:
    async with running(dashboard, max_connections=1) as site, site.ws():
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with site.ws(headers=BEARER):
                pass


async def test_a_name_with_two_addresses_is_served_on_both(dashboard: Path) -> None:
    # Each takes a free port of its own when none is named, so name one.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = await asyncio.get_running_loop().getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    async with running(dashboard, host="localhost", port=port) as site:
        for _, _, _, _, (host, *_) in found:
            name = f"[{host}]" if ":" in str(host) else host
            async with site.http.get(f"http://{name}:{port}/healthz") as response:
                assert response.status == 200


async def test_a_host_that_cannot_be_found_is_a_setting_that_is_wrong(dashboard: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.port: cannot listen on nowhere\.invalid"):
        async with running(dashboard, host="nowhere.invalid"):
            pass


async def test_a_limit_on_files_below_the_limit_on_connections_is_said(
    dashboard: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(dashboard, max_connections=10**9):
        pass
    assert "ulimit -n" in caplog.text
    caplog.clear()
    async with running(dashboard, max_connections=10):
        pass
    assert "ulimit" not in caplog.text


async def refusal(site: Site, **kwargs: Any) -> aiohttp.WSServerHandshakeError:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with site.ws(**kwargs):
            pass
    return caught.value


async def test_too_many_from_one_address_do_not_keep_others_out(dashboard: Path) -> None:
    async with running(dashboard, max_connections_per_address=1) as site, site.logged_in():
        error = await refusal(site, headers=BEARER)
        assert (error.status, site.counters.turned_away) == (503, 1)
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.ws_connect(f"{site.url}/ws", headers=BEARER) as ws,
        ):
            assert (await receive(ws))["type"] == "welcome"


async def test_so_many_in_a_second_and_then_the_next_ones(dashboard: Path) -> None:
    async with running(dashboard, max_new_connections_per_s=2) as site, site.logged_in(), site.logged_in():
        assert (await refusal(site, headers=BEARER)).status == 503
        site.now_us += S // 2
        async with site.logged_in():
            assert (await refusal(site, headers=BEARER)).status == 503


async def test_a_refusal_has_the_one_shape_of_errors(dashboard: Path) -> None:
    async with running(dashboard, max_connections=1) as site, site.logged_in():
        answer = await site.raw(UPGRADE)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Content-Security-Policy" in head
        assert body == b'{"error":{"code":"busy","message":"too many dashboards are connected"}}'


@pytest.mark.parametrize(
    "how", ["wrong token", "no upgrade", "wrong first message", "gone at once", "gone before the answer"]
)
async def test_a_place_is_given_back_however_it_ends(dashboard: Path, how: str) -> None:
    async with running(dashboard) as site:
        if how == "wrong token":
            assert (await refusal(site, headers={"Authorization": "Bearer wrong"})).status == 401
        elif how == "no upgrade":
            assert (await site.get_raw("/ws"))[0] == 400
        elif how == "wrong first message":
            async with site.ws() as ws:
                await receive(ws)
                await ws.send_str("nonsense")
                assert await close_code(ws) == 4500
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(UPGRADE.encode())
            if how == "gone at once":
                await reader.readuntil(b"\r\n\r\n")
                await eventually(lambda: site.server.admission.places.taken == 1)
            writer.transport.abort()
            await asyncio.sleep(0.05)
        await eventually(lambda: site.server.admission.places.taken == site.server.admission.places.addresses == 0)
        async with site.logged_in():
            assert site.server.admission.places.taken == 1


async def test_many_at_the_same_moment_do_not_overshoot(dashboard: Path) -> None:
    async with running(dashboard, max_connections=20, max_new_connections_per_s=1000) as site:
        most = 0

        async def try_one() -> int:
            nonlocal most
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(UPGRADE.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            most = max(most, len(site.server.connections), site.server.admission.places.taken)
            await asyncio.sleep(0.2)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            return int(head.split()[1])

        statuses = await asyncio.gather(*(try_one() for _ in range(100)))
        assert (statuses.count(101), statuses.count(503), most) == (20, 80, 20)
        assert site.counters.turned_away == 80


async def test_stop_sends_everybody_away_with_come_back(dashboard: Path) -> None:
    async with running(dashboard) as site, site.ws() as waiting:
        assert (await receive(waiting))["type"] == "auth_required"
        async with site.logged_in() as ws:
            stopping = asyncio.create_task(site.server.stop())
            assert await close_code(ws) == 4001
            assert await close_code(waiting) == 4001
            await asyncio.wait_for(stopping, 5)
        assert not site.server.connections
        assert not site.hub.sessions
        with pytest.raises(aiohttp.ClientConnectionError):
            async with site.http.get(site.url):
                pass


async def test_stop_twice_is_fine(site: Site) -> None:
    await site.server.stop()
    await site.server.stop()


async def test_the_welcome_tells_the_limits(site: Site) -> None:
    async with site.ws(headers=BEARER) as ws:
        welcome = await receive(ws)
        assert welcome["role"] == "operator"
        assert welcome["epoch"] == "epoch"
        assert welcome["limits"] == {"max_subscriptions": 64, "max_message_bytes": 65_536, "max_note_length": 500}
        assert welcome["session_id"] == next(iter(site.hub.sessions)).session_id
