"""The packets of devices against paho's own, and the reader against pieces of any size and against rubbish."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators.mqtt_decode import (
    Connack,
    Disconnect,
    MalformedPacket,
    PacketReader,
    Pingresp,
    Puback,
    Publish,
    Suback,
)
from simulators.mqtt_encode import (
    MAX_FIELD,
    MQTT5,
    MQTT311,
    Will,
    encode_connect,
    encode_field,
    encode_length,
    encode_publish,
    encode_subscribe,
)

TOPICS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="+#\x00"), min_size=1, max_size=60)


class PahoWire:
    """What paho would write, taken from a socket pair."""

    def __init__(self, version: int) -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="sim-1", protocol=MQTTProtocolVersion(version))
        self.near, self.far = socket.socketpair()
        self.far.settimeout(5)
        self.client._sock = self.near

    def take(self) -> bytes:
        while self.client.want_write():
            self.client.loop_write()
        return self.far.recv(1 << 20)

    def close(self) -> None:
        self.client._sock = None
        self.near.close()
        self.far.close()


@pytest.fixture(scope="module", params=[MQTT311, MQTT5])
def paho(request: pytest.FixtureRequest) -> Iterator[tuple[int, PahoWire]]:
    wire = PahoWire(request.param)
    yield request.param, wire
    wire.close()


@given(topic=TOPICS, payload=st.binary(max_size=300), qos=st.integers(0, 1), retain=st.booleans())
def test_publish_is_what_paho_writes(
    paho: tuple[int, PahoWire], topic: str, payload: bytes, qos: int, retain: bool
) -> None:
    version, wire = paho
    wire.client._send_publish(42, topic.encode(), payload, qos, retain, info=MQTTMessageInfo(42))
    assert wire.take() == encode_publish(topic, payload, qos, retain, 42, version)


@pytest.mark.parametrize("version", [MQTT311, MQTT5])
@pytest.mark.parametrize("will", [None, Will("devices/a/status", b"offline", 1, True), Will("w", b"", 0, False)])
@pytest.mark.parametrize(("user", "password"), [(None, None), ("u", None), ("ü", "p")])
def test_connect_is_what_paho_writes(version: int, will: Will | None, user: str | None, password: str | None) -> None:
    wire = PahoWire(version)
    try:
        if will is not None:
            wire.client.will_set(will.topic, will.payload, will.qos, will.retain)
        if user is not None:
            wire.client.username_pw_set(user, password)
        wire.client._send_connect(60)
        assert wire.take() == encode_connect("sim-1", version, 60, will, user, password)
    finally:
        wire.close()


def test_subscribe_by_hand() -> None:
    assert encode_subscribe(7, ["a/b", "c"], 1, MQTT311) == b"\x82\x0c\x00\x07\x00\x03a/b\x01\x00\x01c\x01"
    assert encode_subscribe(7, ["a"], 1, MQTT5) == b"\x82\x07\x00\x07\x00\x00\x01a\x21", "no retained messages"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="field"):
        encode_field(b"x" * (MAX_FIELD + 1))
    with pytest.raises(ValueError, match="topic"):
        encode_publish("x" * (MAX_FIELD + 1), b"", 0, False, 0, MQTT5)
    with pytest.raises(ValueError, match="packet"):
        encode_length(268_435_456)


@given(
    messages=st.lists(st.tuples(TOPICS, st.binary(max_size=300), st.integers(0, 1), st.booleans()), max_size=6),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=50),
    version=st.sampled_from([MQTT311, MQTT5]),
)
def test_packets_survive_being_cut_anywhere(
    messages: list[tuple[str, bytes, int, bool]], cuts: list[int], version: int
) -> None:
    stream = b"".join(encode_publish(*message, 5, version) for message in messages)
    reader, packets, at, turn = PacketReader(version), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        packets += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert packets == [Publish(*message, 5 if message[2] else 0) for message in messages]


@pytest.mark.parametrize(
    ("data", "version", "packet"),
    [
        (b"\x20\x02\x00\x00", MQTT311, Connack(0)),
        (b"\x20\x02\x00\x05", MQTT311, Connack(5)),
        (b"\x20\x02\x00\x01", MQTT5, Connack(1)),  # a 3.1.1 server answers a version 5 client
        (b"\x20\x09\x00\x00\x06\x21\x00\x14\x13\x00\x1e", MQTT5, Connack(0, 20, 30)),
        (b"\x20\x0d\x00\x00\x0a\x26\x00\x01a\x00\x01b\x21\x00\x05"[:15], MQTT5, Connack(0, 5)),
        (b"\x40\x02\x00\x09", MQTT5, Puback(9, 0)),
        (b"\x40\x04\x00\x09\x97\x00", MQTT5, Puback(9, 0x97)),
        (b"\x90\x03\x00\x01\x01", MQTT311, Suback(1, b"\x01")),
        (b"\x90\x04\x00\x01\x00\x80", MQTT5, Suback(1, b"\x80")),
        (b"\xd0\x00", MQTT5, Pingresp()),
        (b"\xe0\x02\x8e\x00", MQTT5, Disconnect(0x8E)),
        (b"\xe0\x00", MQTT5, Disconnect(0)),
    ],
)
def test_packets_by_hand(data: bytes, version: int, packet: object) -> None:
    assert PacketReader(version).feed(data) == [packet]


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x30\xff\xff\xff\x7f",  # larger than anything we take
        b"\x30\x03\x00\x09a",  # the topic is longer than the packet
        b"\x30\x04\x00\x01\xff\x00",  # not UTF-8
        b"\x10\x00",  # CONNECT, from a broker
        b"\x20\x00",
        b"\x20\x05\x00\x00\x02\x7e\x00",  # a property that does not exist
        b"\x32\x03\x00\x01a",  # QoS 1 without an id
    ],
)
def test_rubbish_is_told_apart(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        PacketReader(MQTT5).feed(data)


@given(data=st.binary(max_size=100), version=st.sampled_from([MQTT311, MQTT5]))
def test_no_bytes_do_harm(data: bytes, version: int) -> None:
    with contextlib.suppress(MalformedPacket):
        PacketReader(version).feed(data)
