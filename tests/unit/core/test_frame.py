"""The binary frame, against golden vectors and against everything hypothesis can think of."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.core.batch import Batch, make_batch
from bridge.core.frame import (
    BYTES_PER_READING,
    HEADER_BYTES,
    KIND_READINGS,
    KIND_RECENT,
    MAX_SPAN_US,
    FrameError,
    decode_frame,
    encode_frame,
    split_by_span,
)

VECTORS = json.loads(Path("tests/contract/frames.json").read_text(encoding="utf-8"))["vectors"]
NOW_US = 1_767_225_600_000_000

series_ids = st.integers(0, 2**32 - 1)
values = st.floats(width=64)
server_times = st.integers(-(2**63), 2**63 - 1)


@st.composite
def batches(draw: st.DrawFn, max_spread: int = MAX_SPAN_US) -> Batch:
    base = draw(st.integers(-(2**62), 2**62))
    rows = draw(st.lists(st.tuples(series_ids, st.integers(0, max_spread), values), max_size=30))
    return make_batch(
        [row[0] for row in rows], [base + row[1] for row in rows], [row[2] for row in rows], draw(server_times)
    )


def as_bytes(batch: Batch) -> tuple[bytes, bytes, bytes]:
    """The columns bit by bit: NaN equals itself here, and -0.0 is not 0.0."""
    return batch.series_ids.tobytes(), batch.times_us.tobytes(), batch.values.tobytes()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_golden_vectors_decode_to_what_they_say_and_encode_to_the_same_bytes(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])

    frame = decode_frame(data)

    assert (frame.kind, frame.offset, frame.channel_no) == (vector["kind"], vector["offset"], vector["channel_no"])
    assert frame.server_time_us == vector["server_time_us"]
    assert frame.series_ids.tolist() == vector["series_ids"]
    assert frame.times_us.tolist() == vector["times_us"]
    assert [None if value != value else value for value in frame.values.tolist()] == vector["values"]
    batch = Batch(frame.series_ids, frame.times_us, frame.values, frame.server_time_us)
    again = encode_frame(batch, offset=frame.offset, channel_no=frame.channel_no, kind=frame.kind)
    if is_canonical(vector):
        assert again == data
    else:  # a frame may have any base time, ours have the earliest: same meaning, other bytes
        assert again != data
        assert as_bytes(Batch(*decode_frame(again)[4:], 0)) == as_bytes(batch)


def is_canonical(vector: dict[str, Any]) -> bool:
    return vector["base_time_us"] == min(vector["times_us"], default=0)


def test_the_golden_vectors_cover_both_kinds_the_empty_frame_and_foreign_base_times() -> None:
    assert {vector["kind"] for vector in VECTORS} == {KIND_READINGS, KIND_RECENT}
    assert any(not vector["values"] for vector in VECTORS)
    assert sum(map(is_canonical, VECTORS)) >= 5
    assert not all(map(is_canonical, VECTORS))


@given(batches(), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
@settings(max_examples=50, deadline=None)
def test_any_batch_survives_the_round_trip(batch: Batch, offset: int, channel_no: int, kind: int) -> None:
    data = encode_frame(batch, offset=offset, channel_no=channel_no, kind=kind)

    frame = decode_frame(data)

    assert len(data) == HEADER_BYTES + len(batch) * BYTES_PER_READING
    assert (frame.kind, frame.offset, frame.channel_no) == (kind, offset, channel_no)
    assert frame.server_time_us == batch.server_time_us
    assert as_bytes(Batch(frame.series_ids, frame.times_us, frame.values, 0)) == as_bytes(batch)


@pytest.mark.parametrize(
    "times_us",
    [[0, MAX_SPAN_US + 1], [-(2**63), 2**63 - 1], [2**63 - 1, 0], [NOW_US, NOW_US - 2 * MAX_SPAN_US, NOW_US]],
)
def test_times_too_far_apart_are_refused(times_us: list[int]) -> None:
    batch = make_batch([1] * len(times_us), times_us, [0.0] * len(times_us), NOW_US)
    with pytest.raises(FrameError, match="71 minutes"):
        encode_frame(batch, offset=1, channel_no=1)


@given(batches(max_spread=4 * MAX_SPAN_US))
@settings(max_examples=50, deadline=None)
def test_splitting_loses_nothing_keeps_the_order_and_ends_with_the_newest(batch: Batch) -> None:
    where = np.arange(len(batch), dtype=np.float64)  # each reading's value tells where it stood
    numbered = Batch(batch.series_ids, batch.times_us, where, batch.server_time_us)

    parts = list(split_by_span(numbered))

    for part in parts:
        assert len(part) > 0
        assert part.server_time_us == batch.server_time_us
        positions = part.values.astype(int)
        assert (np.diff(positions) > 0).all()  # the order of arrival
        assert (part.times_us == batch.times_us[positions]).all()
        assert (part.series_ids == batch.series_ids[positions]).all()
        decode_frame(encode_frame(part, offset=1, channel_no=1))
    assert sorted(np.concatenate([part.values for part in parts]).tolist() if parts else []) == list(range(len(batch)))
    for older, newer in itertools.pairwise(parts):
        assert older.times_us.max() < newer.times_us.min()


def test_what_fits_into_one_frame_is_not_split() -> None:
    batch = make_batch([1, 2], [NOW_US + MAX_SPAN_US, NOW_US], [1.0, 2.0], NOW_US)
    assert [as_bytes(part) for part in split_by_span(batch)] == [as_bytes(batch)]


@given(st.binary(max_size=200))
@example(b"")
@example(struct.pack("<BBHIQqqII", 1, 1, 0, 2**32 - 1, 0, 0, 0, 0, 0))
@example(struct.pack("<BBHIQqqII", 1, 1, 0, 1, 0, 2**63 - 1, 0, 0, 0) + b"\xff" * 16)
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_a_frame_or_a_frame_error(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except FrameError:
        return
    assert len(data) == HEADER_BYTES + BYTES_PER_READING * len(frame.values)


@given(st.sampled_from(VECTORS), st.data())
@settings(max_examples=30, deadline=None)
def test_a_frame_that_is_cut_or_has_a_tail_is_refused(vector: dict[str, Any], data: st.DataObject) -> None:
    whole = bytes.fromhex(vector["hex"])
    size = data.draw(st.integers(0, len(whole) - 1))
    tail = data.draw(st.binary(min_size=1, max_size=40))
    with pytest.raises(FrameError):
        decode_frame(whole[:size])
    with pytest.raises(FrameError):
        decode_frame(whole + tail)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version: int) -> None:
    data = bytearray.fromhex(VECTORS[1]["hex"])
    data[1] = version
    with pytest.raises(FrameError, match=str(version)):
        decode_frame(bytes(data))


def test_unknown_flags_are_ignored() -> None:
    data = bytearray.fromhex(VECTORS[1]["hex"])
    data[2:4] = b"\xff\xff"
    assert decode_frame(bytes(data)).values.tolist() == VECTORS[1]["values"]
