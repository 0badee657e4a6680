"""A real bridge on a real broker: how late it is, and that one dashboard never costs the others anything."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from bridge.core.frame import KIND_MERGED, KIND_READINGS, KIND_RECENT, decode_frame
from tests.integration.test_overload import begin, flood, result
from tests.support.bridge import Bridge, Dashboard
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.broker, pytest.mark.alone]

# Small, so that who reads slowly is soon noticed; and memory that is full before anything is measured.
SMALL = {
    "FLEETWIRE_WEB__LAG_BYTES": "16384",
    "FLEETWIRE_WEB__CLIENT_BUFFER_BYTES": "65536",
    "FLEETWIRE_WEB__WRITE_TIMEOUT_S": "2",
    "FLEETWIRE_LIVE__RECENT_BYTES": "1000000",
    "FLEETWIRE_LIVE__RING_BYTES": "1000000",
    "FLEETWIRE_HISTORY__ENABLED": "false",
}
METRICS = 20
WIDE = json.dumps({f"m{number}": "%d" for number in range(METRICS)}).replace('"%d"', "%d")  # many readings a message
DEVICES = 10
RATE = 1_000  # with so many readings each: 600 kB a second as JSON, more than a kernel's buffer holds for long


class Raw:
    """A WebSocket by hand with next to no buffer, so that what is not read soon waits with the bridge."""

    def __init__(self, port: int, token: str, protocol: str = "fleetwire.v1.json") -> None:
        self.messages: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.ended = False
        self._port, self._token, self._protocol = port, token, protocol
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.setblocking(False)
        self._data = bytearray()

    async def __aenter__(self) -> Raw:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {self._protocol}\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n"
        )
        await loop.sock_sendall(self._socket, request.encode())
        while b"\r\n\r\n" not in self._data:
            self._data += await loop.sock_recv(self._socket, 1_024)
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        self._data = bytearray(rest)
        self._parse()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def say(self, type_: str, **fields: Any) -> None:
        payload = json.dumps({"type": type_, **fields}).encode()
        length = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._socket, b"\x81" + length + bytes(4) + payload)

    async def read(self, at_most: int = 65_536) -> int:
        """Some bytes, if there are any within a quarter of a second."""
        try:
            async with asyncio.timeout(0.25):
                data = await asyncio.get_running_loop().sock_recv(self._socket, at_most)
        except TimeoutError:
            return 0
        except ConnectionError:
            data = b""
        self.ended = self.ended or not data
        self._data += data
        self._parse()
        return len(data)

    async def until(self, test: Callable[[dict[str, Any]], bool], timeout_s: float = 10.0) -> dict[str, Any]:
        """The first message from now on that passes the test."""
        at = len(self.messages)
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.messages[at:]:
                    if test(message):
                        return message
                at = len(self.messages)
                assert not self.ended, f"closed with {self.close_code}"
                await self.read()

    async def until_end(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not self.ended:
                await self.read()

    def _parse(self) -> None:
        data = self._data
        while len(data) >= 2:
            length, at = data[1] & 0x7F, 2
            if length > 125:
                size = 2 if length == 126 else 8
                if len(data) < 2 + size:
                    return
                length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
            if len(data) < at + length:
                return
            payload = bytes(data[at : at + length])
            if data[0] == 0x81:
                self.messages.append(json.loads(payload))
            elif data[0] == 0x82:
                frame = decode_frame(payload)
                if frame.kind != KIND_RECENT:
                    is_merged = {"merged": True} if frame.kind == KIND_MERGED else {}
                    self.messages.append({"type": "readings", "offset": frame.offset, **is_merged})
            elif data[0] == 0x88:
                self.close_code = int.from_bytes(payload[:2], "big")
            del data[: at + length]


def contiguous(messages: list[dict[str, Any]], offset: int) -> int:
    """Every message continues where the one before ended, a lag with its merged frame included; where it ends."""
    after = None
    for message in messages:
        if message["type"] == "snapshot":
            assert message["recovered"] or message["offset"] >= offset
            assert not message["recovered"] or message["offset"] == offset
            offset = message["offset"]
        elif message["type"] == "lag":
            assert message["after"] == offset
            after = message["offset"]
        elif message.get("merged"):
            assert message["offset"] == after
            offset, after = message["offset"], None
        elif message["type"] in ("readings", "series", "device"):
            assert after is None
            assert message["offset"] == offset + 1
            offset += 1
    return offset


@asynccontextmanager
async def bridge_on(mosquitto: Mosquitto, folder: Path, env: dict[str, str]) -> AsyncIterator[Bridge]:
    bridge = Bridge(folder / "data", mqtt_url=mosquitto.url, env=env)
    await bridge.start()
    try:
        yield bridge
    finally:
        assert await bridge.stop() == 0
    assert "Traceback" not in bridge.log


async def counters(bridge: Bridge) -> dict[str, Any]:
    """As they are at this moment: the snapshot of `stats`."""
    async with bridge.dashboard() as dashboard:
        told: dict[str, Any] = (await dashboard.subscribe("stats"))["counters"]
        return told


async def until_counted(bridge: Bridge, test: Callable[[dict[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
    async with asyncio.timeout(timeout_s):
        while not test(told := await counters(bridge)):
            await asyncio.sleep(0.2)
    return told


def wide_flood(port: int, seconds: float) -> Any:
    return flood(
        port, topic="devices/f%d/telemetry", topics=DEVICES, payload=WIDE, rate=RATE, count=int(RATE * seconds)
    )


class Fast:
    """A dashboard that follows `log` in binary frames and keeps up."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.readings = 0
        self.offset: int | None = None
        self.late_s: list[float] = []  # from the bridge's clock to ours, the same machine's
        self._socket = socket

    async def run(self) -> None:
        await self._socket.send_json({"type": "subscribe", "id": 1, "channel": "log"})
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                frame = decode_frame(message.data)
                assert (frame.kind, frame.offset) == (KIND_READINGS, (self.offset or 0) + 1)
                self.offset = frame.offset
                self.readings += len(frame.values)
                self.late_s.append(time.time() - frame.server_time_us / 1e6)
            else:
                told = json.loads(message.data)
                assert told["type"] != "lag"
                if told["type"] == "snapshot":
                    self.offset = told["offset"]
                elif "offset" in told:
                    assert told["offset"] == (self.offset or 0) + 1
                    self.offset = told["offset"]


@asynccontextmanager
async def fast_dashboard(bridge: Bridge) -> AsyncIterator[Fast]:
    async with (
        aiohttp.ClientSession(headers=bridge.headers) as http,
        http.ws_connect(f"{bridge.url}/ws", protocols=("fleetwire.v1",), max_msg_size=0) as ws,
    ):
        fast = Fast(ws)
        task = asyncio.create_task(fast.run())
        async with asyncio.timeout(5):
            while fast.offset is None:
                await asyncio.sleep(0.01)
        yield fast
        assert not task.done() or task.exception() is None
        await ws.close()
        await task


def p99(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=100)[98] if len(samples) > 1 else 0.0


# ----- how late, and whether all arrives --------------------------------------------------------------------


async def test_quick_when_idle_and_under_load_and_nothing_is_unaccounted_for(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    payload = {"topic": "devices/f%d/telemetry", "payload": '{"n": %d, "m": 1}'}
    async with bridge_on(mosquitto, tmp_path, {}) as bridge, fast_dashboard(bridge) as fast:
        async with bridge.dashboard() as watcher:
            snapshot = await watcher.subscribe("stats")
            assert snapshot["counters"]["delay_p50_ms"] is None
            async with flood(mosquitto.port, rate=20, count=40, **payload) as quiet:
                begin(quiet)
                await result(quiet)
            idle = await until_counted(bridge, lambda c: c["received"] == 40, 5)
            async with flood(mosquitto.port, rate=2_000, count=6_000, **payload) as busy:
                begin(busy)
                assert (await result(busy))["sent"] == 6_000
            async with MqttPeer(mosquitto.port) as peer:
                for _ in range(3):
                    await peer.publish("devices/f0/telemetry", "not JSON")
                    await peer.publish("devices/f0/commands", '{"id": "1", "name": "x"}')
            await until_counted(bridge, lambda c: c["received"] == 6_046, 5)
            loaded = await until_counted(bridge, lambda c: c["readings"] == 2 * 6_040, 2)  # the last batch is out, too
            told = [await watcher.until("stats") for _ in range(3)]
        print(f"idle: p50 {idle['delay_p50_ms']} ms, p99 {idle['delay_p99_ms']} ms")  # figures for whoever wonders
        print(f"load: p50 {loaded['delay_p50_ms']} ms, p99 {loaded['delay_p99_ms']} ms, {loaded['batches']} batches")
        # The rules are 5 and 60 ms, and are measured by `make bench`: here somebody else may have the machine. But half
        # of what comes when all is quiet does not wait for the interval.
        assert 0 < idle["delay_p50_ms"] < 45
        assert loaded["delay_p99_ms"] > 0
        assert idle["batches"] == 40  # each message by itself, at once
        assert loaded["batches"] < 40 + 600  # many together
        # Everything received is somewhere: 6,040 messages with two values each, three of each other kind.
        assert loaded["received"] == 6_046
        assert sum(loaded["rejected"].values()) == 3
        assert loaded["ignored"] == 3
        assert loaded["shed"] == loaded["source_errors"] == 0
        async with asyncio.timeout(5):
            while fast.readings < loaded["readings"]:
                await asyncio.sleep(0.01)
        assert fast.readings == loaded["readings"]
        assert (loaded["lagged"], loaded["dropped"]) == (0, 0)
        # All that the channel said since its snapshot, in order.
        stats = [m for m in watcher.heard if m["type"] == "stats"]
        assert [m["offset"] for m in stats] == [snapshot["offset"] + number for number in range(1, len(stats) + 1)]
        gaps = [(after["time_ms"] - before["time_ms"]) / 1000 for before, after in itertools.pairwise(told)]
        assert all(1.5 < gap < 4 for gap in gaps)
        for before, after in itertools.pairwise(stats):
            assert all(
                after["counters"][name] >= value
                for name, value in before["counters"].items()
                if name not in ("rejected", "delay_p50_ms", "delay_p99_ms", "operators", "broker_dropped")
            )


# ----- dashboards that do not keep up -----------------------------------------------------------------------


async def test_who_reads_next_to_nothing_costs_the_others_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """One takes 1 kB a second, one nothing at all though it talks."""
    async with bridge_on(mosquitto, tmp_path, SMALL) as bridge:
        memory = psutil.Process(bridge.pid)
        async with wide_flood(mosquitto.port, 9) as publisher, fast_dashboard(bridge) as fast:
            begin(publisher)
            before = 0
            for _ in range(12):  # until all memory that fills up is full; asked as often as later
                await counters(bridge)
                await asyncio.sleep(0.2)
                before = max(before, memory.memory_info().rss)
            alone = fast.late_s[:]
            # In binary frames: their text form would be kept for as long as the frames are, by the channel.
            protocol = "fleetwire.v1"
            async with (
                Raw(bridge.port, bridge.token, protocol) as slow,
                Raw(bridge.port, bridge.token, protocol) as deaf,
            ):
                for raw in (slow, deaf):
                    await raw.say("subscribe", id=1, channel="log")
                highest, began, at = before, time.monotonic(), len(fast.late_s)
                ended_s = None
                while ended_s is None and time.monotonic() - began < 6:
                    await deaf.say("ping")
                    if not slow.ended:
                        await slow.read(100)
                    await asyncio.sleep(0.1)  # so that it takes 1 kB a second
                    highest = max(highest, memory.memory_info().rss)
                    if (await counters(bridge))["closed_slow"] >= 2:
                        ended_s = time.monotonic() - began
                together = fast.late_s[at:]
                print(f"both closed after {ended_s} s; {(highest - before) / 1e6:.1f} MB more for the two")
                print(f"others' p99 alone {p99(alone) * 1e3:.1f} ms, together {p99(together) * 1e3:.1f} ms")
                assert ended_s is not None, "not closed in time"
                assert highest - before < 2 * 2_000_000
                assert p99(together) < max(1.0, 5 * p99(alone))
                await slow.until_end(5)
                offset = contiguous(slow.messages, 0)
                epoch = next((m["epoch"] for m in slow.messages if m["type"] == "snapshot"), None)
            async with Raw(bridge.port, bridge.token, protocol) as back:
                await back.say("subscribe", id=1, channel="log", epoch=epoch, offset=offset)
                snapshot = await back.until(lambda m: m["type"] == "snapshot")
                assert snapshot["recovered"] is False or snapshot["offset"] == offset
                for _ in range(200):
                    await back.read()
                assert contiguous(back.messages, offset) > offset
            told = await counters(bridge)
            assert told["closed_slow"] == 2
            assert fast.readings > 0


async def test_who_is_cut_off_without_a_word_is_noticed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A half-open connection, as a laptop leaves it that is closed."""
    env = {"FLEETWIRE_WEB__PING_INTERVAL_S": "1", "FLEETWIRE_WEB__PONG_TIMEOUT_S": "1"}
    async with bridge_on(mosquitto, tmp_path, env) as bridge, Proxy(bridge.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/ws"
        headers = {**bridge.headers, "Host": f"127.0.0.1:{bridge.port}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=0.2)) as ws,
        ):
            dashboard = Dashboard(ws)
            await dashboard.until("welcome")
            assert (await counters(bridge))["operators"] == 2  # it, and who asks
            await dashboard.say("ping")
            await dashboard.until("pong")
            proxy.silent = True
            began = time.monotonic()
            told = await until_counted(bridge, lambda c: c["closed_silent"] == 1, 8)
            gone = await until_counted(bridge, lambda c: c["operators"] == 1, 8)
            print(f"closed after {time.monotonic() - began:.1f} s")
            assert told["closed_slow"] == gone["closed_slow"] == 0
