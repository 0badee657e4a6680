"""MQTT packets that a broker sends to a device, from bytes: versions 3.1.1 and 5. No I/O.

`PacketReader` takes what the socket gives, in pieces of any size, and returns whole packets.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from simulators.mqtt_encode import MQTT5

# A device listens to commands only; whoever sends it more than this is not a broker that we know.
MAX_PACKET_BYTES = 1_048_576
# MQTT 5, 3.2.2.3: the properties of CONNACK that matter to us, and how long the others are.
_RECEIVE_MAXIMUM = 0x21
_SERVER_KEEPALIVE = 0x13
_WIDTHS = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
_TEXTS = frozenset({0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_USER_PROPERTY = 0x26
DEFAULT_RECEIVE_MAXIMUM = 65_535


class MalformedPacket(Exception):
    """What came is not MQTT, or not what a broker sends; the connection is of no further use."""


class Connack(NamedTuple):
    code: int  # 0: welcome
    receive_maximum: int = DEFAULT_RECEIVE_MAXIMUM  # how many QoS 1 messages may wait for their PUBACK
    keepalive_s: int | None = None  # the broker wants another one than we asked for


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int  # 0 with QoS 0


class Puback(NamedTuple):
    packet_id: int
    code: int  # 0x80 and above: the broker did not take the message


class Suback(NamedTuple):
    packet_id: int
    codes: bytes  # one for each filter; 0x80 and above: refused


class Disconnect(NamedTuple):
    code: int


class Pingresp(NamedTuple):
    pass


Packet: TypeAlias = Connack | Publish | Puback | Suback | Disconnect | Pingresp


class PacketReader:
    """Turns a stream into packets. Holds only the beginning of a packet that is not complete yet."""

    __slots__ = ("_rest", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self._rest = b""

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are complete now. Raises `MalformedPacket`; do not feed it again after that."""
        if self._rest:
            data = self._rest + data
        packets: list[Packet] = []
        at, size = 0, len(data)
        while size - at >= 2:
            length, body = _read_length(data, at + 1)
            if body < 0:
                break
            if length > MAX_PACKET_BYTES:
                raise MalformedPacket(f"a packet of {length} bytes")
            if size - body < length:
                break
            packets.append(_decode(data[at], data[body : body + length], self.version))
            at = body + length
        self._rest = data[at:]
        return packets


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, and where what follows begins; (0, -1) while it is not complete."""
    value = 0
    for shift in (0, 7, 14, 21):
        if at >= len(data):
            return 0, -1
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise MalformedPacket("a length of more than four bytes")


def _decode(first: int, body: bytes, version: int) -> Packet:
    kind = first >> 4
    try:
        if kind == 3:
            return _publish(first, body, version)
        if kind == 4:
            return Puback(_u16(body, 0), body[2] if len(body) > 2 else 0)
        if kind == 13:
            return Pingresp()
        if kind == 2:
            return _connack(body, version)
        if kind == 9:
            return Suback(_u16(body, 0), body[_skip_properties(body, 2, version) :])
        if kind == 14 and version == MQTT5:
            return Disconnect(body[0] if body else 0)
    except (IndexError, UnicodeDecodeError) as problem:
        raise MalformedPacket(f"packet type {kind}: {problem}") from None
    raise MalformedPacket(f"packet type {kind}, which no broker sends us")


def _publish(first: int, body: bytes, version: int) -> Publish:
    at = 2 + _u16(body, 0)
    if at > len(body):
        raise MalformedPacket("a topic that is longer than its packet")
    topic = body[2:at].decode()
    qos, packet_id = first >> 1 & 3, 0
    if qos:
        packet_id = _u16(body, at)
        at += 2
    at = _skip_properties(body, at, version)
    return Publish(topic, body[at:], qos, bool(first & 1), packet_id)


def _connack(body: bytes, version: int) -> Connack:
    code = body[1]
    if version != MQTT5 or len(body) < 3:
        return Connack(code)
    receive_maximum, keepalive_s = DEFAULT_RECEIVE_MAXIMUM, None
    length, at = _read_length(body, 2)
    end = at + length
    while 0 <= at < end:
        name, at = body[at], at + 1
        if name == _RECEIVE_MAXIMUM:
            receive_maximum = _u16(body, at)
        elif name == _SERVER_KEEPALIVE:
            keepalive_s = _u16(body, at)
        at = _skip_property(name, body, at)
    return Connack(code, receive_maximum, keepalive_s)


def _skip_property(name: int, body: bytes, at: int) -> int:
    if name in _WIDTHS:
        return at + _WIDTHS[name]
    if name in _TEXTS:
        return at + 2 + _u16(body, at)
    if name == _USER_PROPERTY:
        at += 2 + _u16(body, at)
        return at + 2 + _u16(body, at)
    raise MalformedPacket(f"property 0x{name:02x} in CONNACK")


def _skip_properties(body: bytes, at: int, version: int) -> int:
    if version != MQTT5:
        return at
    length, begin = _read_length(body, at)
    if begin < 0 or begin + length > len(body):
        raise MalformedPacket("properties that are longer than their packet")
    return begin + length


def _u16(body: bytes, at: int) -> int:
    return body[at] << 8 | body[at + 1]
