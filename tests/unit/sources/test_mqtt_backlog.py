"""What is dropped when messages come faster than they are taken: which, how many, and never anything else."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.sources.mqtt_backlog import CHUNK_BYTES, Backlog, MalformedPacket
from bridge.sources.mqtt_stream import READ_BYTES, SHED_PER_TURN, PacketStream
from simulators.mqtt_encode import MQTT5, encode_publish

PINGRESP = b"\xd0\x00"
LIMIT = 262_144  # the smallest that the settings allow


def plain(number: int, size: int = 100) -> bytes:
    return encode_publish("t", b"%d " % number + b"x" * size, 0, False, 0, MQTT5)


def retained(number: int, size: int = 100) -> bytes:
    return encode_publish("t", b"%d " % number + b"x" * size, 0, True, 0, MQTT5)


def certain(number: int, size: int = 100) -> bytes:
    return encode_publish("t", b"%d " % number + b"x" * size, 1, False, number % 65_535 + 1, MQTT5)


class Flooded:
    """A stream that reads and sheds while nobody takes. `numbers` and `others` are what was handed over at last."""

    def __init__(self, limit: int = LIMIT) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.stream = PacketStream(near, has_properties=True, backlog_bytes=limit)
        self.limit = limit
        self.shed = 0
        self.highest = 0  # bytes waiting in memory, at any time
        self.qos: dict[int, int] = {}
        self.others = 0

    def flood(self, data: bytes) -> None:
        """Everything arrives; whoever has to wait for room gives way to nobody."""
        for at in range(0, len(data), 50_000):
            self.far.sendall(data[at : at + 50_000])
            self.read_ahead()

    def read_ahead(self) -> None:
        self.shed += self.stream.read_ahead()
        self.highest = max(self.highest, self.stream.waiting)

    def take(self, limit: int = 1_000_000) -> bool:
        return self.stream.take_packets(limit, self._on_message, self._on_other)

    def take_all(self) -> list[int]:
        """Take and read until nothing is left; the numbers of all messages taken so far."""
        while self.take() or self._refill():
            pass
        return list(self.qos)

    def _refill(self) -> bool:
        before = self.stream.waiting
        self.stream.fill()
        return self.stream.waiting > before

    def _on_message(self, _topic: str, payload: bytes, qos: int, _retain: bool, _duplicate: bool, _mid: int) -> None:
        number = int(payload.split(b" ")[0])
        assert number not in self.qos
        self.qos[number] = qos

    def _on_other(self) -> None:
        assert self.stream.recv(10_000) == PINGRESP
        self.others += 1

    def close(self) -> None:
        self.stream.close()
        self.far.close()


@pytest.fixture
def flooded() -> Iterator[Flooded]:
    flooded = Flooded()
    yield flooded
    flooded.close()


def test_oldest_go_first_down_to_half_and_are_counted(flooded: Flooded) -> None:
    flooded.flood(b"".join(plain(n) for n in range(10_000)))
    assert flooded.highest <= LIMIT + READ_BYTES
    taken = flooded.take_all()
    assert taken == list(range(flooded.shed, 10_000))
    assert LIMIT // 2 // len(plain(0)) <= len(taken) <= LIMIT // len(plain(0)) + READ_BYTES // len(plain(0))


def test_nothing_is_dropped_below_the_limit(flooded: Flooded) -> None:
    flooded.flood(b"".join(plain(n) for n in range(2_000)))
    assert (flooded.shed, flooded.take_all()) == (0, list(range(2_000)))


def test_what_is_being_handled_is_the_oldest(flooded: Flooded) -> None:
    flooded.flood(b"".join(plain(n) for n in range(1_000)))
    flooded.take(10)
    flooded.flood(b"".join(plain(n) for n in range(1_000, 10_000)))
    assert flooded.shed > 0
    assert flooded.take_all() == [*range(10), *range(10 + flooded.shed, 10_000)]


def test_qos_1_retained_and_other_packets_stay_in_order(flooded: Flooded) -> None:
    kinds = [certain, retained] + [plain] * 48
    flooded.flood(b"".join(kinds[n % 50](n) + (PINGRESP if n % 100 == 0 else b"") for n in range(20_000)))
    taken = flooded.take_all()
    assert flooded.shed > 10_000
    assert len(taken) + flooded.shed == 20_000
    assert taken == sorted(taken)
    assert {n for n in range(20_000) if n % 50 < 2} <= set(taken)
    assert flooded.others == 200


def test_later_floods_are_shed_as_well(flooded: Flooded) -> None:
    """What was kept of the first is not looked at again, and stays in front of the second."""
    number = 0
    for _ in range(5):
        flooded.flood(b"".join((plain, certain)[n % 20 == 0](n) for n in range(number, number + 4_000)))
        number += 4_000
        flooded.take(30)
    taken = flooded.take_all()
    assert taken == sorted(taken)
    assert len(taken) + flooded.shed == number
    assert sum(flooded.qos.values()) == number // 20


def test_reading_waits_when_nothing_may_be_dropped(flooded: Flooded) -> None:
    """Memory stays bounded without losing a single one of them: the rest waits in the socket, and in the broker."""
    flooded.far.setblocking(False)
    data = b"".join((certain, retained)[n % 2](n) for n in range(20_000))
    sent = 0
    for _ in range(200):
        try:
            sent += flooded.far.send(data[sent : sent + 30_000])
        except BlockingIOError:
            flooded.read_ahead()
    assert sent < len(data)
    assert flooded.highest <= LIMIT + READ_BYTES
    while sent < len(data):
        flooded.take_all()
        sent += flooded.far.send(data[sent : sent + 30_000])
    assert flooded.take_all() == list(range(20_000))
    assert flooded.shed == 0


def test_packet_that_is_not_complete_stays_intact(flooded: Flooded) -> None:
    end = certain(99_999, size=3_000)
    flooded.flood(b"".join(plain(n) for n in range(3_000)) + end[:1_500])
    assert flooded.shed > 0
    flooded.take_all()
    flooded.flood(end[1_500:])
    assert flooded.take_all()[-1] == 99_999


def test_packet_larger_than_the_limit_comes_through(flooded: Flooded) -> None:
    big = certain(99_999, size=3 * LIMIT)
    flooded.flood(b"".join(plain(n) for n in range(1_500)))
    for at in range(0, len(big), 50_000):
        flooded.far.sendall(big[at : at + 50_000])
        flooded.read_ahead()
        flooded.take_all()
    assert flooded.qos[99_999] == 1
    assert len(flooded.qos) + flooded.shed == 1_501


def test_work_of_one_turn_is_bounded() -> None:
    flooded = Flooded(limit=4_000_000)
    tiny = plain(1, size=0)
    flooded.stream._backlog.add(tiny * 600_000)  # more than a socket pair can hold
    turns = 0
    while flooded.stream.waiting > flooded.limit // 2:
        shed = flooded.stream.read_ahead()
        assert shed <= SHED_PER_TURN
        turns += 1
    assert turns >= (len(tiny) * 600_000 - flooded.limit // 2) / len(tiny) / SHED_PER_TURN
    assert flooded.stream.read_ahead() == 0
    flooded.close()


def test_messages_lost_with_the_connection_are_counted(flooded: Flooded) -> None:
    flooded.flood(b"".join((plain, certain, retained)[n % 3](n) for n in range(3_000)) + plain(0)[:50])
    flooded.take(30)
    lost = flooded.stream.abandon()
    assert flooded.shed > 0
    assert flooded.shed + lost == 2_000 - list(flooded.qos.values()).count(0)
    assert flooded.stream.waiting == 0
    assert not flooded.take()


def test_what_is_not_mqtt_can_be_abandoned(flooded: Flooded) -> None:
    flooded.flood(plain(0) + plain(1) + b"\xff" * 100 + plain(2))
    with pytest.raises(MalformedPacket):
        flooded.take()
    assert list(flooded.qos) == [0, 1]
    assert flooded.stream.abandon() == 0
    assert flooded.stream.waiting == 0


def test_end_of_the_connection_is_told_after_what_came_before(flooded: Flooded) -> None:
    flooded.flood(plain(0) + plain(1))
    flooded.far.close()
    flooded.read_ahead()
    assert flooded.stream.ended
    assert flooded.stream.read_ahead() == 0
    flooded.take()
    assert list(flooded.qos) == [0, 1]


def test_length_without_end_is_refused() -> None:
    backlog = Backlog(10)
    backlog.add(b"\x30\xff\xff\xff\xff\x01" * 3)
    with pytest.raises(MalformedPacket):
        backlog.shed(100)


KINDS = (plain, retained, certain)
packets = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 20, 120, 130, 400, 3_000]), st.booleans()), max_size=120
)


@settings(deadline=None, max_examples=300)
@given(packets, st.lists(st.integers(1, 5_000), min_size=1), st.integers(100, 20_000), st.lists(st.integers(0, 30)))
def test_every_message_is_delivered_or_counted(
    sent: Sequence[tuple[int, int, bool]], pieces: Sequence[int], limit: int, takes: Sequence[int]
) -> None:
    flooded = Flooded(limit)
    data = b"".join(KINDS[kind](n, size) + PINGRESP * ping for n, (kind, size, ping) in enumerate(sent))
    at = index = 0
    while at < len(data):
        piece = pieces[index % len(pieces)] if index < 100 else 20_000
        flooded.far.sendall(data[at : at + piece])
        flooded.read_ahead()
        if takes:
            flooded.take(takes[index % len(takes)])
        at, index = at + piece, index + 1
    taken = flooded.take_all()
    flooded.close()
    assert taken == sorted(taken)
    assert len(taken) + flooded.shed == len(sent)
    assert {n for n, (kind, _, _) in enumerate(sent) if kind != 0} <= set(taken)
    assert flooded.others == sum(ping for _, _, ping in sent)
    assert flooded.highest <= limit + READ_BYTES + CHUNK_BYTES
