"""A dashboard by hand that reads only when it is told to, and checks what the protocol promises about offsets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.support.bridge import Bridge

CHUNK = 65_536
PING, PONG, CLOSE, TEXT, BINARY = 9, 10, 8, 1, 2
HEADER = struct.Struct("<BBHIQqqII")  # docs/protocol.md, "Binary frames"; written anew so that a slip in ours shows


class Readings(NamedTuple):
    """A binary frame."""

    kind: int
    offset: int
    channel_no: int
    server_time_us: int
    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    raw: bytes
    arrived: float  # monotonic clock


def read_frame(raw: bytes, arrived: float) -> Readings:
    kind, version, _, count, offset, base_us, server_us, channel_no, _ = HEADER.unpack_from(raw)
    assert version == 1
    assert len(raw) == 40 + 16 * count
    return Readings(
        kind,
        offset,
        channel_no,
        server_us,
        np.frombuffer(raw, "<u4", count, 40 + 8 * count),
        np.frombuffer(raw, "<u4", count, 40 + 12 * count).astype(np.int64) + base_us,
        np.frombuffer(raw, "<f8", count, 40),
        raw,
        arrived,
    )


Message = dict[str, Any] | Readings


class LiveClient:
    """One WebSocket on a plain socket. `messages` holds all that it has read, in order."""

    def __init__(self, sock: socket.socket) -> None:
        self.messages: list[Message] = []
        self.close_code: int | None = None
        self.ended = False  # the connection, with or without a close frame
        self.read_bytes = 0
        self.unanswered: list[bytes] = []  # pings; who lives for longer than half a minute answers them
        self._sock = sock
        self._buffer = bytearray()
        self._seen = 0
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def connect(
        cls, bridge: Bridge, *, port: int = 0, protocol: str = "fleetwire.v1", window: int = 0
    ) -> LiveClient:
        """`window`: so little may wait in the kernel on our side, so that the bridge soon notices who does not read."""
        sock = socket.socket()
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        client = cls(sock)
        try:
            await client._begin(bridge, port, protocol)
        except BaseException:
            client.leave()
            raise
        return client

    async def _begin(self, bridge: Bridge, port: int, protocol: str) -> None:
        await self._loop.sock_connect(self._sock, ("127.0.0.1", port or bridge.port))
        key = base64.b64encode(os.urandom(16)).decode()
        await self._loop.sock_sendall(
            self._sock,
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {bridge.token}\r\n\r\n".encode(),
        )
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            byte = await self._loop.sock_recv(self._sock, 1)
            assert byte, head
            head += byte
        assert head.startswith(b"HTTP/1.1 101 "), head
        await self.until(lambda m: isinstance(m, dict) and m["type"] == "welcome")

    def widen(self) -> None:
        """From here on as much room in the kernel as any client has: who goes on reading is not slow any more."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)

    async def send(self, payload: bytes, opcode: int = TEXT) -> None:
        assert len(payload) < 65_536
        size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
        # Masked with zeros, as RFC 6455 allows.
        await self._loop.sock_sendall(self._sock, bytes((0x80 | opcode,)) + size + bytes(4) + payload)

    async def say(self, type_: str, **fields: Any) -> None:
        await self.send(json.dumps({"type": type_, **fields}).encode())

    async def subscribe(self, channel: str, **fields: Any) -> dict[str, Any]:
        """The snapshot."""
        await self.say("subscribe", id=channel, channel=channel, **fields)
        return await self.next_text("snapshot", lambda m: m["id"] == channel)

    async def read(self, most: int = CHUNK, timeout_s: float = 5.0) -> bool:
        """Read once, at most so many bytes; False when nothing came in time, or the connection has ended."""
        if self.ended or not await self._readable(timeout_s):
            return False
        # Not `loop.sock_recv`: bytes that arrive in the moment of its time-out would be lost.
        try:
            data = self._sock.recv(most)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.read_bytes += len(data)
        self._buffer += data
        for opcode, payload in self._frames():
            if opcode == PING:
                self.unanswered.append(payload)
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2])
            elif opcode == TEXT:
                self.messages.append(json.loads(payload))
            elif opcode == BINARY:
                self.messages.append(read_frame(payload, time.monotonic()))
        return True

    async def _readable(self, timeout_s: float) -> bool:
        ready = asyncio.Event()
        self._loop.add_reader(self._sock, ready.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ready.wait()
        except TimeoutError:
            return ready.is_set()
        finally:
            self._loop.remove_reader(self._sock)
        return True

    async def until(self, test: Callable[[Message], bool], timeout_s: float = 10.0) -> Message:
        """Read on until a message passes the test; those before it stay in `messages`, and are not looked at again."""
        deadline = time.monotonic() + timeout_s
        while True:
            while self._seen < len(self.messages):
                message = self.messages[self._seen]
                self._seen += 1
                if test(message):
                    return message
            left = deadline - time.monotonic()
            assert left > 0, f"not in {timeout_s} s; last: {str(self.messages[-3:])[:600]}"
            assert await self.read(timeout_s=left) or not self.ended, f"closed with {self.close_code}"

    async def next_text(
        self, type_: str, test: Callable[[dict[str, Any]], bool] = lambda _: True, timeout_s: float = 10.0
    ) -> dict[str, Any]:
        found = await self.until(lambda m: isinstance(m, dict) and m["type"] == type_ and test(m), timeout_s)
        assert isinstance(found, dict)
        return found

    async def read_for(self, seconds: float) -> None:
        """Read as fast as it comes."""
        deadline = time.monotonic() + seconds
        while not self.ended and (left := deadline - time.monotonic()) > 0:
            await self.read(timeout_s=left)

    async def drip(self, seconds: float, bytes_per_s: int) -> None:
        """Read, but slowly."""
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            await self.read(bytes_per_s // 10, timeout_s=0.1)
            await asyncio.sleep(0.1)

    def leave(self) -> None:
        """Gone without goodbye."""
        self._sock.close()

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer
        while len(buffer) >= 2:
            assert not buffer[1] & 0x80, "a server does not mask"
            size, at = buffer[1], 2
            if size == 126:
                size, at = int.from_bytes(buffer[2:4]), 4
            elif size == 127:
                size, at = int.from_bytes(buffer[2:10]), 10
            if len(buffer) < at + size or (buffer[1] >= 126 and len(buffer) < at):
                return
            opcode, payload = buffer[0] & 0x0F, bytes(buffer[at : at + size])
            del buffer[: at + size]
            yield opcode, payload


class Walk:
    """Goes through the messages of one channel, and fails at the first that breaks the promise about offsets.

    A channel counts on by one; `lag` and its merged frame take a client from its own offset to a later one in one
    step; a snapshot of the whole state begins anew.
    """

    def __init__(self, channel: str) -> None:
        self.offset = -1  # the last that the client has in full
        self.epoch = ""
        self.frames: list[Readings] = []  # of kind 1
        self.merged: list[tuple[dict[str, Any], Readings]] = []
        self.merged_rows: list[tuple[dict[str, Any], list[list[Any]]]] = []  # in the JSON subprotocol
        self.snapshots: list[dict[str, Any]] = []
        self.names: dict[tuple[str, str], int] = {}
        self._channel = channel
        self._number = -1
        self._lag: dict[str, Any] | None = None

    def follow(self, messages: list[Message]) -> Walk:
        for message in messages:
            if isinstance(message, Readings):
                if message.channel_no == self._number and message.kind != 2:
                    self._take_frame(message)
            elif message.get("channel") == self._channel:
                self._take_text(message)
        return self

    def _take_frame(self, frame: Readings) -> None:
        if frame.kind == 3:
            assert self._lag is not None, "a merged frame without a word before it"
            assert frame.offset == self._lag["offset"]
            self.merged.append((self._lag, frame))
            self._lag = None
        else:
            assert self._lag is None, "between `lag` and its merged frame came another"
            assert frame.offset == self.offset + 1, f"{frame.offset} after {self.offset}"
            self.frames.append(frame)
        self.offset = frame.offset

    def _take_text(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        for series in message.get("series", ()):
            self.names[series["device_id"], series["metric"]] = series["series_id"]
        if kind == "readings" and message.get("merged"):
            assert self._lag is not None, "merged readings without a word before them"
            assert message["offset"] == self._lag["offset"]
            self.merged_rows.append((self._lag, message["rows"]))
            self._lag, self.offset = None, message["offset"]
            return
        assert self._lag is None, f"between `lag` and its merged readings came {kind!r}"
        if kind == "snapshot":
            if message["recovered"] and self.offset >= 0:
                assert (message["offset"], message["epoch"]) == (self.offset, self.epoch)
            self.offset, self.epoch, self._number = message["offset"], message["epoch"], message["channel_no"]
            self.snapshots.append(message)
        elif kind == "lag":
            assert message["after"] == self.offset
            assert message["offset"] - message["after"] == message["messages"] > 0
            self._lag = message
        elif "offset" in message:
            assert message["offset"] == self.offset + 1, f"{message['offset']} after {self.offset}"
            self.offset = message["offset"]


@asynccontextmanager
async def witness(bridge: Bridge, channel: str, **how: float) -> AsyncIterator[LiveClient]:
    """A dashboard that reads whatever comes, in the background; it must never be closed."""
    client = await LiveClient.connect(bridge)
    await client.subscribe(channel, **how)

    async def read_on() -> None:
        while await client.read(timeout_s=60):
            while client.unanswered:
                await client.send(client.unanswered.pop(0), PONG)

    task = asyncio.create_task(read_on())
    try:
        yield client
        assert not task.done(), f"the witness was closed with {client.close_code}"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        client.leave()
