"""A real server on a free port, with a recording fake behind it instead of a bridge."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.recent import RecentLog
from bridge.history.archive import Archive
from bridge.live.hub import Hub, LiveLimits
from bridge.live.session import OpensReplays
from bridge.settings import WebSettings
from bridge.web.access import Access
from bridge.web.server import Server

TOKEN = "correct-horse-battery-staple-and-more"
NOW_US = 1_767_225_600_000_000
S = 1_000_000
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class RecordingOperations:
    """The far side of the web layer: notes what it is asked, and answers something recognisable."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.asked: list[tuple[str, Any]] = []
        self.raises: Exception | None = None
        self.trouble: list[str] = []
        self.unready: list[str] = []
        self.state = "accepted"
        self.replays: OpensReplays | None = None
        self.archive: Archive | None = None

    def _note(self, question: str, about: Any = None) -> None:
        self.asked.append((question, about))
        if self.raises is not None:
            raise self.raises

    def run_command(
        self, device_id: str, command_id: str, name: str, args: dict[str, Any], *, ttl_ms: int | None, sent_by: str
    ) -> tuple[dict[str, Any], bool]:
        self._note("run_command", (device_id, command_id, name, args, ttl_ms, sent_by))
        return {"id": command_id, "device_id": device_id, "state": self.state}, True

    def welcome(self) -> dict[str, Any]:
        return {
            "epoch": self.hub.epoch,
            "server_time_ms": 1,
            "operators": 1,
            "sources": [],
            "commands": [],
            "notes": [],
        }

    def devices(self) -> list[dict[str, Any]]:
        self._note("devices")
        return [{"device_id": "d"}]

    def device(self, device_id: str) -> dict[str, Any]:
        self._note("device", device_id)
        return {"device_id": device_id}

    def series(self, device_id: str | None) -> list[dict[str, Any]]:
        self._note("series", device_id)
        return []

    def rejections(self) -> list[dict[str, Any]]:
        self._note("rejections")
        return []

    def recent_commands(self, device_id: str | None) -> list[dict[str, Any]]:
        self._note("recent_commands", device_id)
        return []

    def find_command(self, command_id: str) -> dict[str, Any]:
        self._note("find_command", command_id)
        return {"id": command_id}

    async def wait_for_command(self, command_id: str, timeout_s: float) -> dict[str, Any]:
        self._note("wait_for_command", (command_id, timeout_s))
        return {"id": command_id, "state": "succeeded"}

    def stats(self) -> dict[str, Any]:
        return {**Counters().as_dict(), "rejected": {"binary": 3}, "devices": 1, "series": 2, "operators": 0}

    def sources_as_dicts(self) -> list[dict[str, Any]]:
        return [{"name": "mqtt", "state": "connected"}, {"name": 'odd "name"\n', "state": "disconnected"}]

    def problems(self) -> list[str]:
        return self.trouble

    def notices(self) -> list[str]:
        return []

    def not_ready(self) -> list[str]:
        return self.unready


class Site:
    """A running server and what stands around it."""

    def __init__(self, dashboard: Path, settings: WebSettings, token: str | None, plotly: Path | None) -> None:
        self.now_us = NOW_US
        self.counters = Counters()
        self.fleet = Fleet(FleetLimits(), self.counters)
        self.hub = Hub("epoch", self.fleet, RecentLog(10**6, 900), self.counters, LiveLimits())
        self.operations = RecordingOperations(self.hub)
        self.access = Access(token, settings.host, settings.allowed_hosts, settings.allowed_origins)
        self.server = Server(
            settings, self.access, self.hub, self.operations, self.counters, lambda: self.now_us, dashboard, plotly
        )
        self.http: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def origin(self) -> dict[str, str]:
        return {"Origin": self.url}

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"fleetwire_{self.port}={self.access.cookie}"}

    def ws(self, path: str = "/ws", **kwargs: Any) -> Any:
        return self.http.ws_connect(self.url + path, **kwargs)

    @asynccontextmanager
    async def logged_in(self, *protocols: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An authenticated WebSocket that has read its welcome."""
        async with self.ws(headers=BEARER, protocols=protocols) as ws:
            assert (await receive(ws))["type"] == "welcome"
            yield ws

    async def raw(self, request: str) -> bytes:
        """What the server answers to these very bytes, on a connection of their own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request.encode("latin-1"))
        async with asyncio.timeout(5):
            answer = await reader.read(65_536)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer

    async def get_raw(self, target: str) -> tuple[int, bytes]:
        """Status and whole answer of `GET target`, with no client to tidy the path up."""
        host = f"Host: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n"
        answer = await self.raw(f"GET {target} HTTP/1.1\r\n{host}")
        return int(answer.split(b" ", 2)[1]), answer

    async def raw_ws(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A WebSocket by hand, authenticated, of which nothing but the handshake has been read."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**10)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        return reader, writer


@asynccontextmanager
async def running(
    dashboard: Path, *, token: str | None = TOKEN, plotly: Path | None = None, **settings: Any
) -> AsyncIterator[Site]:
    site = Site(dashboard, WebSettings(**{"port": 0, **settings}), token, plotly)
    await site.server.start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as site.http:
        try:
            yield site
        finally:
            await site.server.stop()


async def receive(ws: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next JSON message."""
    message: dict[str, Any] = await ws.receive_json(timeout=5)
    return message


async def close_code(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the server closes, whatever it says before."""
    while True:
        message = await ws.receive(timeout=5)
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            return ws.close_code


async def eventually(condition: Any, timeout_s: float = 5.0) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """One client frame, masked with zeros, as RFC 6455 allows."""
    assert len(payload) < 126
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload
