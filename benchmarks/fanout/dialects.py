"""How to join each server as a dashboard, and where its frames hold the message."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable

import numpy as np

from benchmarks.fanout.frames import BINARY, PING, PONG, TEXT, client_frame, next_frame, upgrade_request
from benchmarks.fanout.messages import TIME_ZERO, VALUES, Messages, device_of, hundredths, read_text
from simulators.mqtt_encode import MQTT311, encode_connect, encode_puback, encode_subscribe

HEADER = struct.Struct("<BBHIQqqII")  # docs/protocol.md, "Binary frames"
JOIN_TIMEOUT_S = 20.0
TELEMETRY = "devices/+/telemetry"


class Wire:
    """A blocking WebSocket, for the conversation before the measurement."""

    def __init__(self, port: int, path: str, protocol: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=JOIN_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(upgrade_request(port, path, protocol))
        self.buffer = b""
        self.passed = b""  # the frames before the one that `until` waited for
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(f"no WebSocket: {head[:200]!r}")

    def say(self, opcode: int, payload: bytes) -> None:
        self.socket.sendall(client_frame(opcode, payload))

    def hear(self) -> tuple[int, bytes]:
        """The next frame."""
        while (found := next_frame(self.buffer, 0)) is None:
            self._more()
        self._raw, self.buffer = self.buffer[: found.end], self.buffer[found.end :]
        return found.opcode, self._raw[found.body :]

    def until(self, test: Callable[[bytes], bool]) -> bytes:
        """The next frame that passes the test."""
        self.passed = b""
        while True:
            _, payload = self.hear()
            if test(payload):
                return payload
            self.passed += self._raw

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError(f"closed after {self.buffer[:200]!r}")
        self.buffer += data


class PlainWebSocket:
    """Servers that send JSON texts to whoever connects: ws, Node-RED, aiohttp."""

    path = "/"
    protocol = ""

    def __init__(self, path: str = "/") -> None:
        self.path = path

    def join(self, port: int) -> Wire:
        """Connect and subscribe; whatever follows in `buffer` belongs to the stream."""
        return Wire(port, self.path, self.protocol)

    def decode(self, opcode: int, body: bytes) -> Messages | None:
        return read_text(body) if opcode in (TEXT, BINARY) else None

    def answer(self, opcode: int, body: bytes) -> bytes:
        """What to say to a frame that is no telemetry; empty for nothing."""
        return client_frame(PONG, body) if opcode == PING else b""


class SocketIO(PlainWebSocket):
    """Engine.IO 4 and Socket.IO 5 over WebSocket, without the polling that browsers begin with."""

    def __init__(self) -> None:
        super().__init__("/socket.io/?EIO=4&transport=websocket")

    def join(self, port: int, auth: bytes = b"") -> Wire:
        wire = super().join(port)
        wire.until(lambda text: text.startswith(b"0"))
        wire.say(TEXT, b"40" + auth)
        self.session = json.loads(wire.until(lambda text: text.startswith(b"40"))[2:])
        # What a recovered session has missed comes before this answer; the client of Socket.IO keeps it until then.
        wire.buffer = wire.passed + wire.buffer
        return wire

    def answer(self, opcode: int, body: bytes) -> bytes:
        return client_frame(TEXT, b"3") if body == b"2" else super().answer(opcode, body)


class MqttOverWebSocket(PlainWebSocket):
    """An MQTT 3.1.1 client of mosquitto's WebSocket listener."""

    protocol = "mqtt"

    def __init__(self, qos: int = 0, clean: bool = True) -> None:
        super().__init__("/mqtt")
        self._qos = qos
        self._clean = clean

    def join(self, port: int, client_id: str = "") -> Wire:
        wire = super().join(port)
        connect = bytearray(encode_connect(client_id, MQTT311, 600))
        if not self._clean:
            connect[connect.index(b"MQTT") + 5] &= ~0x02
        wire.say(BINARY, bytes(connect))
        if wire.hear()[1][:1] != b"\x20":
            raise ConnectionError("no CONNACK")
        wire.say(BINARY, encode_subscribe(1, [TELEMETRY], self._qos, MQTT311))
        if self._clean:  # else what waited in the session may come before the SUBACK
            wire.until(lambda packet: packet[:1] == b"\x90")
        return wire

    def answer(self, opcode: int, body: bytes) -> bytes:
        if opcode == BINARY and body[0] & 0xF6 == 0x32:  # PUBLISH with QoS 1
            topic = int.from_bytes(body[2:4], "big")
            return client_frame(BINARY, encode_puback(int.from_bytes(body[4 + topic : 6 + topic], "big")))
        return super().answer(opcode, body)


class Fleetwire(PlainWebSocket):
    """Our own protocol, read as its documentation says and not with our own code."""

    protocol = "fleetwire.v1"

    def __init__(self) -> None:
        super().__init__("/ws")
        self._series: dict[str, tuple[int, ...]] = {}

    def join(self, port: int, channel: str = "log", **resume: object) -> Wire:
        wire = super().join(port)
        wire.until(lambda text: b'"welcome"' in text[:40])
        wire.say(TEXT, json.dumps({"type": "subscribe", "id": "1", "channel": channel, **resume}).encode())
        self.snapshot = json.loads(wire.until(lambda text: b'"snapshot"' in text[:40]))
        return wire

    def decode(self, opcode: int, body: bytes) -> Messages | None:
        if opcode != BINARY:
            return None
        kind, version, _, count, *_ = HEADER.unpack_from(body)
        if kind == 2:  # the recent past for a chart: shown before, not a delivery
            return None
        if version != 1 or kind != 1 or count % VALUES or len(body) != HEADER.size + 16 * count:
            raise ValueError(f"a frame of kind {kind} with {count} readings is not of whole messages")
        rows = np.frombuffer(body, "<f8", count, HEADER.size).reshape(-1, VALUES)
        series = np.frombuffer(body, "<u4", count, HEADER.size + 8 * count).reshape(-1, VALUES)
        numbers = rows[:, 0].astype(np.int64)
        wanted = np.array(hundredths(numbers)).T / 100  # type: ignore[arg-type]  # the same arithmetic for a column
        intact = bool(np.array_equal(numbers, rows[:, 0]) and np.allclose(rows[:, 2:], wanted, rtol=0, atol=1e-9))
        for number, ids in zip(numbers.tolist(), series.tolist(), strict=True):
            known = self._series.setdefault(device_of(number), tuple(ids))
            intact = intact and known == tuple(ids)
        return Messages(numbers.tolist(), (rows[:, 1] - TIME_ZERO).tolist(), intact)

    def answer(self, opcode: int, body: bytes) -> bytes:
        if opcode == TEXT and body.startswith(b'{"type":"ping"'):
            return client_frame(TEXT, b'{"type":"pong"}')
        if opcode == TEXT and body.startswith((b'{"type":"lag"', b'{"type":"error"')):
            raise ValueError(f"the bridge says {body[:200]!r}")
        return super().answer(opcode, body)
