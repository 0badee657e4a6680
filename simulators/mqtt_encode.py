"""MQTT packets that a device sends, as bytes: versions 3.1.1 (4) and 5.

Only what a publishing device needs, and no I/O. paho's client connects in a blocking call and writes message by
message, and the maintained sans-I/O package speaks version 5 only; see docs/simulate.md, "Scale".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MQTT311 = 4
MQTT5 = 5
PINGREQ = b"\xc0\x00"
# The largest "remaining length" that four bytes of seven bits can say.
MAX_REMAINING = 268_435_455
# A text or a piece of data in MQTT has a length of two bytes.
MAX_FIELD = 65_535
# MQTT 5: retained messages are not sent for this subscription.
RETAIN_DO_NOT_SEND = 0x20


class Will(NamedTuple):
    """What the broker publishes when the connection ends without a goodbye."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


def encode_length(length: int) -> bytes:
    """A "variable byte integer" (MQTT 5, 1.5.5)."""
    if length < 128:
        return bytes((length,))
    if length > MAX_REMAINING:
        raise ValueError(f"{length} bytes are more than an MQTT packet can hold")
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        if not length:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def encode_field(data: bytes) -> bytes:
    """Data with its length in front; also a text, once it is UTF-8."""
    if len(data) > MAX_FIELD:
        raise ValueError(f"{len(data)} bytes are more than an MQTT field can hold")
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_length(len(body)) + body


def encode_connect(
    client_id: str,
    version: int,
    keepalive_s: int,
    will: Will | None = None,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """CONNECT with a clean session: a simulated device keeps nothing at the broker."""
    flags = 0x02
    properties = b"\x00" if version == MQTT5 else b""
    payload = [encode_field(client_id.encode())]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
        payload += [properties, encode_field(will.topic.encode()), encode_field(will.payload)]
    if username is not None:
        flags |= 0x80
        payload.append(encode_field(username.encode()))
    if password is not None:
        flags |= 0x40
        payload.append(encode_field(password.encode()))
    header = encode_field(b"MQTT") + bytes((version, flags)) + keepalive_s.to_bytes(2, "big") + properties
    return _packet(0x10, header + b"".join(payload))


def encode_publish(topic: str, payload: bytes, qos: int, retain: bool, packet_id: int, version: int) -> bytes:
    """PUBLISH. `packet_id` counts only with QoS 1. This is the one function that runs for every message."""
    name = topic.encode()
    length = len(name)
    if length > MAX_FIELD:
        raise ValueError(f"a topic of {length} bytes is more than MQTT can hold")
    if qos:
        tail = packet_id.to_bytes(2, "big") + (b"\x00" if version == MQTT5 else b"")
    else:
        tail = b"\x00" if version == MQTT5 else b""
    remaining = encode_length(2 + length + len(tail) + len(payload))
    first = 0x30 | qos << 1 | (1 if retain else 0)
    return b"".join((bytes((first,)), remaining, length.to_bytes(2, "big"), name, tail, payload))


def encode_subscribe(packet_id: int, filters: Sequence[str], qos: int, version: int) -> bytes:
    """SUBSCRIBE; in MQTT 5 without the retained messages, in 3.1.1 they come and carry their flag."""
    options = bytes((qos | RETAIN_DO_NOT_SEND if version == MQTT5 else qos,))
    properties = b"\x00" if version == MQTT5 else b""
    entries = b"".join(encode_field(text.encode()) + options for text in filters)
    return _packet(0x82, packet_id.to_bytes(2, "big") + properties + entries)


def encode_puback(packet_id: int) -> bytes:
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def encode_disconnect() -> bytes:
    """A goodbye: the broker forgets the last will. The short form is the same in both versions."""
    return b"\xe0\x00"
