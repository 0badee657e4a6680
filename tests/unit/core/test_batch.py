"""The builder's columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import BatchBuilder, make_batch

rows = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)))


@given(rows)
@settings(max_examples=60, deadline=None)
def test_what_was_appended_is_taken_in_order_and_once(appended: list[tuple[int, int, float]]) -> None:
    builder = BatchBuilder()
    for row in appended:
        builder.append(*row)
    assert len(builder) == len(appended)

    batch = builder.take(7)

    taken = [] if batch is None else list(zip(*(column.tolist() for column in batch[:3]), strict=True))
    assert taken == appended
    assert batch is None or batch.server_time_us == 7
    assert builder.take(8) is None


def test_a_batch_does_not_change_when_the_builder_goes_on() -> None:
    builder = BatchBuilder()
    builder.append(1, 2, 3.0)
    batch = builder.take(0)
    assert batch is not None
    for _ in range(1000):
        builder.append(9, 9, 9.0)
    assert (batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist()) == ([1], [2], [3.0])


def test_drop_takes_back_the_readings_of_some_series() -> None:
    builder = BatchBuilder()
    for series_id in (1, 2, 1, 3):
        builder.append(series_id, series_id * 10, series_id / 2)

    assert builder.drop({1, 7}) == 2
    assert builder.drop({1, 7}) == 0

    batch = builder.take(0)
    assert batch is not None
    assert (batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist()) == ([2, 3], [20, 30], [1.0, 1.5])


def test_select_keeps_what_the_mask_says() -> None:
    batch = make_batch([1, 2, 3], [10, 20, 30], [0.1, 0.2, 0.3], 99)
    part = batch.select(np.array([True, False, True]))
    assert (part.series_ids.tolist(), part.times_us.tolist(), part.values.tolist()) == ([1, 3], [10, 30], [0.1, 0.3])
    assert part.server_time_us == 99
