"""The MQTT packets of recording and replaying, in pieces of any size; filters and topics."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from simulators.mqtt_decode import MalformedPacket
from simulators.mqtt_encode import encode_publish
from simulators.mqtt_packets import PacketBuffer, Publish, parse_publish, subscribe_packet
from simulators.topics import can_publish, filter_problem, topic_matches

levels = st.sampled_from(["a", "b", "$SYS", ""])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)


@given(
    st.lists(st.tuples(topics, st.binary(max_size=300), st.integers(0, 2), st.booleans()), max_size=8),
    st.sampled_from([4, 5]),
    st.integers(1, 50),
)
def test_packets_survive_any_cut(sent: list[tuple[str, bytes, int, bool]], version: int, piece: int) -> None:
    stream = b"".join(
        encode_publish(topic, payload, qos, retain, 7, version) + b"\xd0\x00" for topic, payload, qos, retain in sent
    )
    buffer = PacketBuffer()
    packets = [packet for at in range(0, len(stream), piece) for packet in buffer.feed(stream[at : at + piece])]
    assert [body for first, body in packets if first == 0xD0] == [b""] * len(sent)
    assert [parse_publish(version, first, body) for first, body in packets if first != 0xD0] == [
        Publish(topic.encode(), payload, qos, retain, 7 if qos else 0, ()) for topic, payload, qos, retain in sent
    ]


def test_subscription_identifiers_are_found_among_other_properties() -> None:
    body = b"\0\1t" + b"\x02\x0b\x05" + b"x"
    assert parse_publish(5, 0x30, body).subscription_ids == (5,)
    # Content type, expiry, a user property and two identifiers, one of two bytes.
    properties = b"\x03\0\1c" + b"\x02\0\0\0\1" + b"\x26\0\1k\0\1v" + b"\x0b\x80\x01" + b"\x0b\x02"
    body = b"\0\1t" + bytes((len(properties),)) + properties + b"x"
    assert parse_publish(5, 0x30, body) == Publish(b"t", b"x", 0, False, 0, [128, 2])


@given(st.integers(0x30, 0x3F), st.binary(max_size=40), st.sampled_from([4, 5]))
def test_nonsense_is_malformed_and_nothing_else(first: int, body: bytes, version: int) -> None:
    with suppress(MalformedPacket):
        parse_publish(version, first, body)


def test_an_endless_length_is_malformed() -> None:
    with pytest.raises(MalformedPacket):
        list(PacketBuffer().feed(b"\x30\xff\xff\xff\xff\xff"))


def test_subscribe_bytes() -> None:
    assert subscribe_packet(1, "a", 2, 4) == b"\x82\x06\0\1\0\1a\x02"
    assert subscribe_packet(1, "a", 0x2A, 5, 3) == b"\x82\x09\0\1\x02\x0b\x03\0\1a\x2a"


@given(st.lists(st.sampled_from(["a", "b", "$SYS", "", "+"]), min_size=1, max_size=4), st.booleans(), topics)
def test_filters_match_as_others_understand_them(parts: list[str], rest: bool, topic: str) -> None:
    text = "/".join([*parts, "#"] if rest else parts)
    if text and not topic.startswith("/"):
        assert topic_matches(text, topic) == topic_matches_sub(text, topic)


def test_wildcards_do_not_reach_what_belongs_to_the_broker() -> None:
    assert not topic_matches("#", "$SYS/uptime")
    assert not topic_matches("+/uptime", "$SYS/uptime")
    assert topic_matches("$SYS/#", "$SYS/uptime")
    assert topic_matches("a/#", "a")
    assert topic_matches("$share/group/a/+", "a/b")


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "a+/b", "a\0"])
def test_bad_filters(text: str) -> None:
    assert filter_problem(text) is not None


@pytest.mark.parametrize("text", ["#", "+", "a/+/b/#", "/", "$SYS/#", "ä"])
def test_good_filters(text: str) -> None:
    assert filter_problem(text) is None


def test_topics_that_can_be_published_to() -> None:
    assert can_publish("a/b")
    assert not any(map(can_publish, ["", "$SYS/x", "a/+", "#", "a\0", "\udcff", "x" * 65_536]))
