"""MQTT packets that only recording and replaying need, beside those of the devices in `mqtt_encode`. No I/O.

A recorder cannot use paho: that spends several system calls on every message, a broker throws messages away for a
subscriber that is too slow, and a recording with holes that nobody told is worse than none. Unlike a device, a recorder
takes packets of any size and QoS, and wants to know through which subscription they came. Section numbers are those of
the OASIS standard for MQTT 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from simulators.mqtt_decode import MalformedPacket
from simulators.mqtt_encode import MQTT5, encode_field, encode_length

KEEPALIVE_S = 60

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 5, 6, 7, 9, 13, 14
# Table 2-4: how long a property's value is; None: two bytes of length come first.
_PROPERTY_SIZE = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
    **dict.fromkeys((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F)),
}
SUBSCRIPTION_ID, USER_PROPERTY, SUBSCRIPTION_IDS_AVAILABLE = 0x0B, 0x26, 0x29
RECEIVE_MAXIMUM, MAXIMUM_QOS, RETAIN_AVAILABLE, MAXIMUM_PACKET = 0x21, 0x24, 0x25, 0x27
# Options of a subscription (3.8.3.1).
QOS_2, RETAIN_AS_PUBLISHED, NO_STORED = 0x02, 0x08, 0x20


class Publish(NamedTuple):
    """A received PUBLISH."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    packet_id: int  # 0 for QoS 0
    subscription_ids: Sequence[int]  # through which of our subscriptions it came; empty in MQTT 3.1.1


class PacketBuffer:
    """Cuts a stream of bytes into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The packets that are complete now: first byte and body. Must be exhausted. Raises `MalformedPacket`."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 2:
            length, body = buffer[at + 1], at + 2
            if length & 0x80:
                try:
                    length, body = read_varint(buffer, at + 1)
                except IndexError:
                    break
            if body + length > end:
                break
            yield buffer[at], bytes(buffer[body : body + length])
            at = body + length
        del buffer[:at]


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5) and the place after it. `IndexError`: not all of it is there."""
    value = shift = 0
    while shift < 28:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise MalformedPacket("a length of more than four bytes")


def subscribe_packet(packet_id: int, topic_filter: str, options: int, version: int, subscription_id: int = 0) -> bytes:
    """SUBSCRIBE (3.8) for one filter. In MQTT 3.1.1, `options` is the QoS alone."""
    body = packet_id.to_bytes(2, "big")
    if version == MQTT5:
        identifier = bytes((SUBSCRIPTION_ID,)) + encode_length(subscription_id) if subscription_id else b""
        body += encode_length(len(identifier)) + identifier
    body += encode_field(topic_filter.encode()) + bytes((options,))
    return b"\x82" + encode_length(len(body)) + body


def answer_packet(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP: success."""
    return struct.pack(">BBH", kind << 4 | (0x02 if kind == PUBREL else 0), 2, packet_id)


def parse_publish(version: int, first: int, body: bytes) -> Publish:
    """Raises `MalformedPacket`."""
    try:
        at = 2 + (body[0] << 8 | body[1])
        topic, qos, packet_id = body[2:at], first >> 1 & 0x03, 0
        if qos:
            packet_id = body[at] << 8 | body[at + 1]
            at += 2
        ids: Sequence[int] = ()
        if version == MQTT5:
            size = body[at]
            if size == 2 and body[at + 1] == SUBSCRIPTION_ID:  # by far the usual case
                ids, at = (body[at + 2],), at + 3
            elif size:
                properties, at = parse_properties(body, at)
                ids = properties.get(SUBSCRIPTION_ID, ())
            else:
                at += 1
    except IndexError:
        raise MalformedPacket("a PUBLISH that is too short") from None
    if qos == 3:
        raise MalformedPacket("a PUBLISH with QoS 3")
    return Publish(topic, body[at:], qos, bool(first & 1), packet_id, ids)


def parse_properties(body: bytes, at: int) -> tuple[dict[int, list[int]], int]:
    """The numeric properties (2.2.2) by identifier, and the place after all of them. Texts are stepped over.

    Raises `MalformedPacket`.
    """
    found: dict[int, list[int]] = {}
    try:
        length, at = read_varint(body, at)
        end = at + length
        while at < end:
            identifier = body[at]
            at += 1
            if identifier == SUBSCRIPTION_ID:
                value, at = read_varint(body, at)
                found.setdefault(identifier, []).append(value)
                continue
            size = _PROPERTY_SIZE.get(identifier)
            if size is not None:
                found.setdefault(identifier, []).append(int.from_bytes(body[at : at + size]))
                at += size
                continue
            if identifier not in _PROPERTY_SIZE and identifier != USER_PROPERTY:
                raise MalformedPacket(f"an unknown property {identifier:#04x}")
            for _ in range(2 if identifier == USER_PROPERTY else 1):
                at += 2 + (body[at] << 8 | body[at + 1])
    except IndexError:
        raise MalformedPacket("properties that are too short") from None
    if at != end or end > len(body):
        raise MalformedPacket("properties of another length than declared")
    return found, at
