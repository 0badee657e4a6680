"""Few readings take a plain loop, many take numpy; both must come to the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import frame, series
from bridge.core.batch import FEW, make_batch
from bridge.core.series import Latest

ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 20), st.one_of(st.floats(allow_nan=False), st.just(math.nan))),
    min_size=1,
    max_size=FEW,
)


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_the_latest_values_are_the_same(batches: list[list[tuple[int, int, float]]]) -> None:
    few, many = Latest(), Latest()
    for number, rows in enumerate(batches):
        ids, times, values = (list(column) for column in zip(*rows, strict=True))
        batch = make_batch(ids, times, values, 100 + number)
        with pytest.MonkeyPatch.context() as patch:
            told = few.apply(batch)
            patch.setattr(series, "FEW", 0)
            assert many.apply(batch) == told
    for column in ("values", "times_us", "received_us", "quality", "dirty"):
        assert getattr(few, column).tobytes() == getattr(many, column).tobytes(), column


@given(ROWS)
def test_the_frames_are_the_same_bytes(rows: list[tuple[int, int, float]]) -> None:
    ids, times, values = (list(column) for column in zip(*rows, strict=True))
    batch = make_batch(ids, times, values, 7)
    few = frame.encode_frame(batch, offset=3, channel_no=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame, "FEW", 0)
        assert frame.encode_frame(batch, offset=3, channel_no=2) == few
        assert [len(part) for part in frame.split_by_span(batch)] == [len(rows)]
    assert [len(part) for part in frame.split_by_span(batch)] == [len(rows)]


@pytest.mark.parametrize("count", [2, FEW, FEW + 1])
def test_a_frame_cannot_span_more_than_its_deltas_can_say(count: int) -> None:
    times = [0] * (count - 1) + [frame.MAX_SPAN_US + 1]
    batch = make_batch([0] * count, times, [1.0] * count, 7)
    with pytest.raises(frame.FrameError):
        frame.encode_frame(batch, offset=1, channel_no=1)
    assert [len(part) for part in frame.split_by_span(batch)] == [count - 1, 1]
