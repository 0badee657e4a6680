"""Cutting a stream of bytes into packets, over a real socket pair, in pieces of any size."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.sources.mqtt_stream import WRITE_LIMIT_BYTES, MalformedPacket, PacketStream

PINGRESP = b"\xd0\x00"


class Wire:
    """A stream and its far end. `messages` and `others` are what the stream handed over."""

    def __init__(self, *, has_properties: bool = True, backlog_bytes: int = 8_000_000) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.stream = PacketStream(near, has_properties=has_properties, backlog_bytes=backlog_bytes)
        self.messages: list[tuple[str, bytes, int, bool, bool, int]] = []
        self.others: list[bytes] = []

    def take(self, limit: int = 200) -> bool:
        return self.stream.take_packets(limit, lambda *message: self.messages.append(message), self._read_other)

    def _read_other(self) -> None:
        """Read a packet the way paho does: one byte, the length byte by byte, the rest."""
        packet = self.stream.recv(1)
        length = shift = 0
        while True:
            byte = self.stream.recv(1)
            packet += byte
            length |= (byte[0] & 127) << shift
            shift += 7
            if byte[0] < 128:
                break
        packet += self.stream.recv(length) if length else b""
        with pytest.raises(BlockingIOError):
            self.stream.recv(1)  # never beyond the packet
        self.others.append(packet)

    def feed(self, data: bytes) -> None:
        self.far.sendall(data)
        self.stream.fill()
        while self.take():
            pass

    def close(self) -> None:
        self.stream.close()
        self.far.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def encode_length(value: int) -> bytes:
    encoded = b""
    while True:
        value, byte = value >> 7, value & 127
        encoded += bytes([byte | (0x80 if value else 0)])
        if not value:
            return encoded


def make_publish(
    topic: bytes, payload: bytes, *, qos: int = 0, mid: int = 0, flags: int = 0, properties: bytes | None = b"\0"
) -> bytes:
    body = struct.pack("!H", len(topic)) + topic
    body += struct.pack("!H", mid) if qos else b""
    body += (properties or b"") + payload
    return bytes([0x30 | qos << 1 | flags]) + encode_length(len(body)) + body


def test_message_is_decoded(wire: Wire) -> None:
    wire.feed(make_publish("größe".encode(), b"21.5", qos=1, mid=65_535, flags=0x09))
    wire.feed(make_publish(b"", b""))
    assert wire.messages == [("größe", b"21.5", 1, True, True, 65_535), ("", b"", 0, False, False, 0)]


def test_message_without_properties_is_decoded() -> None:
    wire = Wire(has_properties=False)
    wire.feed(make_publish(b"a", b"\x05payload", properties=None))
    wire.feed(make_publish(b"a", b"", qos=1, mid=7, properties=None))
    assert wire.messages == [("a", b"\x05payload", 0, False, False, 0), ("a", b"", 1, False, False, 7)]
    wire.close()


def test_properties_are_skipped(wire: Wire) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = 10
    properties.UserProperty = [("key", "v" * 200)]  # more than 127 bytes: a length of two bytes
    wire.feed(make_publish(b"a", b"x", qos=1, mid=3, properties=properties.pack()))  # type: ignore[no-untyped-call]
    assert wire.messages == [("a", b"x", 1, False, False, 3)]


def test_topic_that_is_not_utf_8_costs_nothing(wire: Wire) -> None:
    wire.feed(make_publish(b"a/\xff", b"x", qos=1, mid=1))
    assert wire.messages == [("a/\ufffd", b"x", 1, False, False, 1)]


def test_other_packets_go_to_paho_whole_and_in_order(wire: Wire) -> None:
    suback = b"\x90" + encode_length(200) + bytes(200)
    wire.feed(PINGRESP + make_publish(b"a", b"1") + suback[:150])
    assert (wire.others, len(wire.messages)) == ([PINGRESP], 1)
    wire.feed(suback[150:] + make_publish(b"a", b"2"))
    assert (wire.others, len(wire.messages)) == ([PINGRESP, suback], 2)


def test_qos_2_is_left_to_paho(wire: Wire) -> None:
    packet = make_publish(b"a", b"1", qos=2, mid=1)
    wire.feed(packet)
    assert wire.others == [packet]


def test_limit_is_kept_and_the_rest_is_not_forgotten(wire: Wire) -> None:
    wire.far.sendall(b"".join(make_publish(b"a", b"%d" % n) for n in range(10)))
    wire.stream.fill()
    assert wire.take(4)
    assert len(wire.messages) == 4
    wire.far.sendall(make_publish(b"a", b"10"))
    wire.stream.fill()  # more arrives while there is a backlog
    while wire.take(4):
        pass
    assert [message[1] for message in wire.messages] == [b"%d" % n for n in range(11)]


sizes = st.one_of(st.integers(0, 300), st.sampled_from([16_383, 16_384, 70_000]))


@settings(deadline=None)
@given(st.lists(st.tuples(sizes, st.integers(0, 1)), max_size=8), st.lists(st.integers(1, 5_000), min_size=1))
def test_pieces_of_any_size_make_the_same_packets(packets: list[tuple[int, int]], pieces: list[int]) -> None:
    wire = Wire()
    expected = [("t/é", bytes([n]) * size, qos, False, False, n * qos) for n, (size, qos) in enumerate(packets)]
    data = b"".join(
        make_publish("t/é".encode(), payload, qos=qos, mid=mid) + PINGRESP for _, payload, qos, _, _, mid in expected
    )
    at = index = 0
    while at < len(data):
        # After some hundred small pieces the rest at once, or single bytes would take all day.
        piece = pieces[index % len(pieces)] if index < 300 else 50_000
        wire.feed(data[at : at + piece])
        at, index = at + piece, index + 1
    wire.close()
    assert wire.messages == expected
    assert wire.others == [PINGRESP] * len(packets)


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_being_malformed(data: bytes) -> None:
    wire = Wire()
    wire.far.sendall(data)
    wire.far.close()
    try:
        wire.stream.fill()
        while wire.stream.take_packets(10, lambda *_message: None, lambda: None):
            pass
    except MalformedPacket:
        pass
    finally:
        wire.close()


@pytest.mark.parametrize(
    "packet",
    [
        b"\x30\x00",  # no topic length
        b"\x30\x01\x00",  # half a topic length
        b"\x30\x03\x00\x05a",  # topic longer than the packet
        b"\x32\x04\x00\x01a\x00",  # half a message id
        b"\x30\x04\x00\x01a\x05",  # properties longer than the packet
        b"\x30\x05\x00\x01a\xff\xff",  # length of the properties without end
        b"\x30\xff\xff\xff\xff\x01",  # length field of five bytes
        b"\xff\xff\xff\xff\xff",
    ],
)
def test_malformed_packet_is_refused(wire: Wire, packet: bytes) -> None:
    with pytest.raises(MalformedPacket):
        wire.feed(packet)


def test_writing_is_collected_until_the_flush(wire: Wire) -> None:
    assert wire.stream.send(b"one") == 3
    wire.stream.queue(b"two")
    wire.far.setblocking(False)
    with pytest.raises(BlockingIOError):
        wire.far.recv(10)
    assert wire.stream.flush()
    assert wire.far.recv(10) == b"onetwo"


def test_writer_is_held_back_when_nobody_reads(wire: Wire) -> None:
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            wire.stream.send(b"x" * 10_000)
            wire.stream.flush()
    assert not wire.stream.flush()
    wire.stream.queue(b"acknowledgements are never refused")
    assert WRITE_LIMIT_BYTES < 2_000_000


def test_end_of_the_other_side_is_seen(wire: Wire) -> None:
    wire.far.sendall(make_publish(b"a", b"last"))
    wire.far.close()
    wire.stream.fill()
    wire.take()
    assert not wire.stream.ended
    wire.stream.fill()
    ended: bool = wire.stream.ended
    assert ended
    assert [message[1] for message in wire.messages] == [b"last"]
