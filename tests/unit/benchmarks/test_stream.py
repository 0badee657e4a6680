"""The verifier finds every message that is lost, doubled, moved or changed, however the bytes are cut."""

from __future__ import annotations

import random

import pytest

from benchmarks.fanout.dialects import PlainWebSocket
from benchmarks.fanout.messages import FIRST, payload
from benchmarks.fanout.stream import ClientStream, Reference, Tally
from bridge.web.wire import frame

COUNT = 50
FRAMES = [frame(payload(FIRST + i, i / 1000), is_text=True) for i in range(COUNT)]
WHOLE = b"".join(FRAMES)
PING = b"\x89\x02hi"


class Listeners:
    """Some clients of one server."""

    def __init__(self, count: int = 2) -> None:
        self.others: list[tuple[int, bytes]] = []
        self.reference = Reference(PlainWebSocket().decode)
        self.clients = [ClientStream(self.reference, lambda *frame: self.others.append(frame)) for _ in range(count)]


def feed(client: ClientStream, data: bytes, size: int = 10_000) -> None:
    for at in range(0, len(data), size):
        client.take(data[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 64, 100, 10_000])
def test_all_get_all(size: int) -> None:
    room = Listeners(3)
    for client in room.clients:
        feed(client, WHOLE, size)
        client.finish()
    assert [client.messages for client in room.clients] == [COUNT] * 3
    assert [client.faults for client in room.clients] == [0] * 3
    assert room.reference.tally.unique == COUNT
    assert room.reference.times[:2] == pytest.approx([0.0, 0.001], abs=2e-5)


def test_any_client_may_be_ahead() -> None:
    room, choose = Listeners(5), random.Random(1)
    at = [0] * 5
    while min(at) < len(WHOLE):
        index = choose.randrange(5)
        size = choose.randrange(1, 300)
        room.clients[index].take(WHOLE[at[index] : at[index] + size])
        at[index] = min(len(WHOLE), at[index] + size)
    assert [(client.messages, client.faults) for client in room.clients] == [(COUNT, 0)] * 5
    assert room.reference.data == WHOLE


@pytest.mark.parametrize("size", [1, 33, 10_000])
@pytest.mark.parametrize(
    ("order", "fault", "messages"),
    [
        ([*range(10), *range(11, COUNT)], {"missing": 1}, COUNT - 1),
        ([*range(10), 9, *range(10, COUNT)], {"duplicates": 1}, COUNT),
        ([*range(10), 11, 10, *range(12, COUNT)], {"reordered": 1}, COUNT),
        ([*range(COUNT - 3)], {"missing": 3}, COUNT - 3),
        ([*range(3, COUNT)], {"missing": 3}, COUNT - 3),
    ],
)
def test_faults_of_one_client(order: list[int], fault: dict[str, int], messages: int, size: int) -> None:
    room = Listeners()
    first, second = room.clients
    feed(first, WHOLE)
    feed(second, b"".join(FRAMES[i] for i in order), size)
    second.finish()
    names = ("missing", "duplicates", "reordered", "corrupt", "strays")
    assert {name: getattr(second, name) for name in names if getattr(second, name)} == fault
    assert second.messages == messages
    assert first.faults == 0


@pytest.mark.parametrize("size", [1, 33, 10_000])
def test_a_changed_byte_in_one_client(size: int) -> None:
    room = Listeners()
    feed(room.clients[0], WHOLE)
    changed = bytearray(WHOLE)
    at = len(FRAMES[0]) * 20 + FRAMES[20].index(b'"a":') + 4
    changed[at] ^= 1
    feed(room.clients[1], bytes(changed), size)
    assert room.clients[1].corrupt == 1


def test_faults_that_all_clients_share() -> None:
    room = Listeners()
    at = FRAMES[5].index(b'"b":') + 5
    wrong = FRAMES[5][:at] + (b"1" if FRAMES[5][at : at + 1] != b"1" else b"2") + FRAMES[5][at + 1 :]
    data = b"".join([*FRAMES[:5], wrong, FRAMES[7], FRAMES[6], FRAMES[8], FRAMES[8], *FRAMES[10:]])
    for client in room.clients:
        feed(client, data)
    assert room.reference.corrupt == 1
    assert room.reference.tally.reordered == 1
    assert [client.duplicates for client in room.clients] == [1, 1]
    assert room.reference.tally.unique == COUNT - 1


@pytest.mark.parametrize("size", [1, 33, 10_000])
def test_frames_of_another_kind_are_handed_on_and_disturb_nothing(size: int) -> None:
    room = Listeners()
    with_ping = b"".join([*FRAMES[:10], PING, *FRAMES[10:20], PING, *FRAMES[20:]])
    feed(room.clients[0], with_ping, size)
    feed(room.clients[1], WHOLE, size)
    feed(room.clients[0], PING, size)
    assert [client.messages for client in room.clients] == [COUNT, COUNT]
    assert [client.faults for client in room.clients] == [0, 0]
    assert room.others == [(9, b"hi")] * 3


def test_a_message_that_only_a_later_client_got_is_a_stray() -> None:
    room = Listeners()
    feed(room.clients[0], b"".join([*FRAMES[:5], *FRAMES[6:]]))
    feed(room.clients[1], WHOLE)
    assert room.clients[1].strays == 1
    assert room.reference.tally.unique == COUNT - 1


def test_tally() -> None:
    tally = Tally()
    tally.take([FIRST + 2, FIRST, FIRST + 3, FIRST + 3])
    assert (tally.unique, tally.reordered, tally.duplicates) == (3, 1, 1)
