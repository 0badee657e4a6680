"""The ring: what it keeps, what it forgets, and that it never tells a part."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.live.channel import Channel, Entry
from bridge.live.messages import Packet

S = 1_000_000


def publish(channel: Channel, size: int, at_us: int = 0) -> None:
    channel.publish_event(lambda offset: Packet(b"x" * size), at_us)


def test_offsets_count_from_one_without_gaps() -> None:
    channel = Channel("c", 1, "e", 1_000, S)
    offsets: list[int] = []
    for _ in range(3):
        channel.publish_event(lambda offset: offsets.append(offset) or Packet(b"x"), 0)
        channel.publish_frame(lambda offset: offsets.append(offset) or b"y", lambda offset: Packet(b"z"), 0)
    assert offsets == [1, 2, 3, 4, 5, 6]
    assert channel.offset == 6


def test_a_channel_opened_again_counts_on_and_has_nothing_to_tell() -> None:
    channel = Channel("c", 1, "e", 1_000, S, offset=51)
    for offset in range(51):
        assert channel.missed("e", offset) is None
    assert channel.missed("e", 51) == []
    publish(channel, 1)
    assert [entry.offset for entry in channel.missed("e", 51) or []] == [52]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=60),
    st.integers(1, 150),
    st.integers(1, 30),
    st.data(),
)
@settings(max_examples=80, deadline=None)
def test_missed_is_everything_or_none_and_the_ring_is_bounded(
    published: list[tuple[int, int]], ring_bytes: int, ring_us: int, data: st.DataObject
) -> None:
    channel = Channel("c", 1, "e", ring_bytes, ring_us)
    kept: list[tuple[int, int, int]] = []  # offset, size, time: the naive ring
    now_us = 0
    for number, (size, later_us) in enumerate(published, 1):
        now_us += later_us
        publish(channel, size, now_us)
        kept.append((number, size, now_us))
        while kept and (sum(entry[1] for entry in kept) > ring_bytes or kept[0][2] < now_us - ring_us):
            kept.pop(0)

    asked = data.draw(st.integers(0, len(published) + 2))
    missed = channel.missed("e", asked)

    assert [entry.offset for entry in channel._ring] == [entry[0] for entry in kept]
    assert channel._bytes == sum(entry[1] for entry in kept) <= ring_bytes
    if asked > len(published) or (asked < len(published) and (not kept or kept[0][0] > asked + 1)):
        assert missed is None
    else:
        assert missed is not None
        assert [entry.offset for entry in missed] == list(range(asked + 1, len(published) + 1))


def test_another_epoch_or_no_offset_is_none() -> None:
    channel = Channel("c", 1, "e", 1_000, S)
    publish(channel, 1)
    assert channel.missed("e", 1) == []
    assert channel.missed("other", 1) is None
    assert channel.missed(None, 1) is None
    assert channel.missed("e", None) is None
    assert channel.missed(None, None) is None


def test_the_text_form_of_a_frame_is_made_once_and_only_when_needed() -> None:
    made: list[int] = []

    def make_text() -> Packet:
        made.append(1)
        return Packet(b"text")

    entry = Entry(1, 0, binary=Packet(b"binary", is_text=False), make_text=make_text)
    assert entry.packet(binary=True).payload == b"binary"
    assert made == []
    assert entry.packet(binary=False) is entry.packet(binary=False)
    assert made == [1]
    assert entry.size == len(b"binary")


def test_an_event_has_one_form_for_all() -> None:
    entry = Entry(1, 0, text=Packet(b"{}"))
    assert entry.packet(binary=True) is entry.packet(binary=False)
