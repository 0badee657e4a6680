"""Journal blobs to columns, against the frame decoder of the core."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import make_batch
from bridge.core.frame import decode_frame, encode_frame
from bridge.history.arrivals import decode_arrivals, sort_by_series, split_frames
from bridge.history.faults import Damaged

rows = st.tuples(st.integers(0, 2**32 - 1), st.integers(-(2**40), 2**31), st.floats(width=64))
frames = st.lists(st.lists(rows, max_size=5), max_size=6).map(
    lambda batches: [
        encode_frame(
            make_batch([r[0] for r in some], [r[1] % 2**32 for r in some], [r[2] for r in some], 7 + number),
            offset=number + 1,
            channel_no=1,
        )
        for number, some in enumerate(batches)
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(frames, max_size=3))
def test_all_frames_of_all_blobs_are_read_as_the_core_reads_one(commits: list[list[bytes]]) -> None:
    arrivals = decode_arrivals(b"".join(some) for some in commits)

    singly = [decode_frame(frame) for some in commits for frame in some]
    assert arrivals.series_ids.tolist() == [i for one in singly for i in one.series_ids.tolist()]
    assert arrivals.times_us.tolist() == [t for one in singly for t in one.times_us.tolist()]
    assert arrivals.values.tobytes() == b"".join(one.values.tobytes() for one in singly)
    assert arrivals.received_us.tolist() == [one.server_time_us for one in singly for _ in one.values]


@settings(max_examples=40, deadline=None)
@given(frames)
def test_frames_are_split_where_they_were_joined(some: list[bytes]) -> None:
    assert list(split_frames(b"".join(some))) == [(number + 1, frame) for number, frame in enumerate(some)]


def test_a_blob_that_was_cut_is_damage() -> None:
    frame = encode_frame(make_batch([1, 2], [5, 6], [1.0, 2.0], 7), offset=1, channel_no=1)

    for length in range(1, len(frame)):
        with pytest.raises(Damaged):
            decode_arrivals([frame[:length]])
        with pytest.raises(Damaged):
            list(split_frames(frame[:length]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 65_536, 65_537, 2**32 - 1]), st.integers(-3, 3)), max_size=40))
def test_the_order_is_by_series_then_time_then_arrival(some: list[tuple[int, int]]) -> None:
    ids, times = np.array([r[0] for r in some], np.uint32), np.array([r[1] for r in some], np.int64)

    order, sorted_ids, sorted_times = sort_by_series(ids, times)

    expected = sorted(range(len(some)), key=lambda at: some[at])
    assert order.tolist() == expected
    assert list(zip(sorted_ids.tolist(), sorted_times.tolist(), strict=True)) == sorted(some)
