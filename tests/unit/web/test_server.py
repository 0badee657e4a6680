"""The server's life: it binds, it limits, it sends everybody home."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from bridge.errors import ConfigError
from tests.unit.web.helpers import BEARER, Site, close_code, receive, running


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
        assert caught.value.headers["Retry-After"] == "5"
        assert site.counters.refused == 1
        await second.close()
        async with site.logged_in():
            pass


async def test_whoever_has_not_said_its_token_counts_too(dashboard: Path) -> None:
    async with running(dashboard, max_connections=1) as site, site.ws():
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with site.ws(headers=BEARER):
                pass


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
