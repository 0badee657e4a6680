"""The file format of recordings: what goes in comes out; what is cut or damaged gives its whole blocks and says so."""

from __future__ import annotations

import io
import json
import zlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulators.capture import (
    BLOCK_CHECKED,
    BLOCK_HEAD,
    MAGIC,
    MESSAGES,
    Captured,
    Columns,
    Header,
    NotACapture,
)
from simulators.capture_reader import CaptureReader
from simulators.capture_writer import CaptureWriter

START_US = 1_750_000_000_000_000
times = st.integers(0, 2**62)
topics = st.text(max_size=30) | st.sampled_from(["a/b", "a/c", "$SYS/x", "bad\udcff"])
messages = st.builds(Captured, times, topics, st.binary(max_size=200), st.integers(0, 2), st.booleans(), st.booleans())


class File(io.BytesIO):
    """Stays readable after it was written, and takes what a disk would: sometimes only a part."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return super().write(bytes(data)[:1000])


def written(recorded: list[Captured], *, flush_every: int = 0, end: bool = True, **options: int) -> bytes:
    file = File()
    writer = CaptureWriter(file, Header(started_us=START_US), **options)
    for number, message in enumerate(recorded, 1):
        writer.add(message)
        if flush_every and number % flush_every == 0:
            writer.flush()
    if end:
        writer.end(START_US + 7, [(1, 2)])
    data = file.getvalue()
    assert writer.file_bytes == len(data)
    return data


def read(data: bytes) -> tuple[list[Captured], CaptureReader]:
    reader = CaptureReader(io.BytesIO(data))
    return list(reader.messages()), reader


def example_messages(count: int = 12) -> list[Captured]:
    return [
        Captured(START_US + n * 1000, f"devices/d{n % 3}/telemetry", b'{"n":%d}' % n, n % 3, n % 4 == 0, n < 2)
        for n in range(count)
    ]


@given(st.lists(messages, max_size=40), st.integers(0, 7), st.integers(1, 400), st.integers(1, 5))
@example([Captured(5, "a", b""), Captured(3, "a", b"x", 2, True, True)], 1, 1, 1)
def test_what_goes_in_comes_out(recorded: list[Captured], flush_every: int, block_bytes: int, max_topics: int) -> None:
    data = written(recorded, flush_every=flush_every, block_bytes=block_bytes, max_topics=max_topics)
    found, reader = read(data)
    assert found == recorded
    assert reader.damage is None
    assert reader.end is not None
    assert (reader.end.messages, reader.end.ended_us, reader.end.gaps_us) == (len(recorded), START_US + 7, [(1, 2)])


def test_the_header_comes_back() -> None:
    header = Header(START_US, broker="mqtt://h:1883", filters=["a/#", "ü"], protocol="MQTT 5", redacted=True)
    file = File()
    CaptureWriter(file, header)
    assert read(file.getvalue())[1].header == header


def test_a_large_payload_is_one_message() -> None:
    recorded = [Captured(1, "big", bytes(range(256)) * 4096), Captured(2, "big", b"")]
    assert read(written(recorded))[0] == recorded


def block_ends(data: bytes) -> list[int]:
    """Where the blocks of an undamaged file end."""
    ends, at = [], len(MAGIC)
    while at < len(data):
        at += BLOCK_HEAD.size + BLOCK_HEAD.unpack_from(data, at)[1]
        ends.append(at)
    return ends


def test_a_file_cut_anywhere_gives_its_whole_blocks_and_says_so() -> None:
    recorded = example_messages()
    data = written(recorded, flush_every=4)
    header_end, *ends = block_ends(data)
    assert len(ends) == 4  # three of messages, and the end
    for length in range(len(data)):
        if length < header_end:
            with pytest.raises(NotACapture):
                read(data[:length])
            continue
        found, reader = read(data[:length])
        whole = sum(end <= length for end in ends)
        assert found == recorded[: 4 * whole], length
        assert reader.end is None
        assert reader.damage is not None
        assert f"{[header_end, *ends][whole]:,}" in reader.damage


def test_a_changed_byte_is_noticed_wherever_it_is() -> None:
    recorded = example_messages()
    data = written(recorded, flush_every=4)
    header_end, *ends = block_ends(data)
    for at in range(len(data)):
        for flipped in (0x01, 0x80):
            damaged = bytearray(data)
            damaged[at] ^= flipped
            if at < header_end:
                with pytest.raises(NotACapture):
                    read(bytes(damaged))
                continue
            found, reader = read(bytes(damaged))
            assert found == recorded[: 4 * sum(end <= at for end in ends)], at
            assert reader.damage is not None, at


@given(st.binary(max_size=300))
def test_noise_is_never_more_than_not_a_capture(noise: bytes) -> None:
    with pytest.raises(NotACapture):
        read(noise)
    found, reader = read(written(example_messages(), end=False) + noise)
    assert found[: len(example_messages())] == []
    assert reader.end is None


def forged(columns: bytes, raw_length: int | None = None) -> bytes:
    """A file with one block whose checksum is right and whose content may not be."""
    compressor = zlib.compressobj()
    content = compressor.compress(columns) + compressor.flush(zlib.Z_SYNC_FLUSH)
    raw_length = len(columns) if raw_length is None else raw_length
    checksum = zlib.crc32(content, zlib.crc32(BLOCK_CHECKED.pack(MESSAGES, len(content), raw_length)))
    return written([], end=False) + BLOCK_HEAD.pack(MESSAGES, len(content), raw_length, checksum) + content


@pytest.mark.parametrize(
    "columns",
    [
        Columns(False, [], [0], [1], b"\0", [0], b""),  # a topic that does not exist
        Columns(False, [b"t"], [-1], [1], b"\0", [0], b""),
        Columns(False, [b"t"], [0], [1], b"\0\0", [0], b""),  # columns of different length
        Columns(False, [b"t"], [0], [1], b"\0", [5], b"abc"),  # payload too short
        Columns(False, [b"t"], [0, 0], [1, 1], b"\0\0", [5, -2], b"abc"),
    ],
)
def test_forged_blocks_are_refused(columns: Columns) -> None:
    found, reader = read(forged(msgspec.msgpack.encode(columns)))
    assert found == []
    assert reader.damage is not None


def test_a_block_never_unpacks_to_more_than_it_declares() -> None:
    found, reader = read(forged(b"\0" * 50_000_000, raw_length=100))
    assert found == []
    assert reader.damage is not None
    assert "another length" in reader.damage
    assert read(forged(b"no messagepack"))[1].damage is not None


def test_a_newer_format_is_named() -> None:
    file = File()
    CaptureWriter(file, Header(START_US, version=2))
    with pytest.raises(NotACapture, match="format 2"):
        read(file.getvalue())
    with pytest.raises(NotACapture, match="not a recording"):
        read(b"GIF89a" * 10)


def test_bytes_after_the_end_are_mentioned() -> None:
    found, reader = read(written(example_messages()) + b"x")
    assert len(found) == 12
    assert reader.end is not None
    assert "after its end" in str(reader.damage)


def test_similar_messages_cost_little() -> None:
    recorded = [
        Captured(
            START_US + n * 20_000, f"devices/device-{n % 50:02d}/telemetry", json.dumps({"time": n, "v": 21.5}).encode()
        )
        for n in range(5_000)
    ]
    data = written(recorded, flush_every=50)
    assert len(data) / len(recorded) < 10


def test_times_that_do_not_fit_are_refused() -> None:
    writer = CaptureWriter(File(), Header(0))
    with pytest.raises(ValueError, match="does not fit"):
        writer.add(Captured(2**63, "t", b""))
    assert writer.pending == 0
