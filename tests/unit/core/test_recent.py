"""The log of the recent past: its bounds, and its thinning against a naive model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import Batch, make_batch
from bridge.core.frame import BYTES_PER_READING, MAX_SPAN_US, encode_frame
from bridge.core.recent import JOIN_BATCHES, RecentLog

NOW_US = 1_767_225_600_000_000
S = 1_000_000


def one(series_id: int, time_us: int, value: float = 0.0) -> Batch:
    return make_batch([series_id], [time_us], [value], time_us)


def ids(*series_ids: int) -> np.ndarray:
    return np.array(series_ids, dtype=np.uint32)


@pytest.mark.parametrize("size", [1, 10, 500])
def test_the_log_never_holds_more_bytes_than_it_may(size: int) -> None:
    max_bytes = 1_000 * BYTES_PER_READING
    log = RecentLog(max_bytes, 900)
    for i in range(3 * JOIN_BATCHES + 5):
        log.append(make_batch([1] * size, [NOW_US + i] * size, [float(i)] * size, NOW_US + i))
        assert len(log) * BYTES_PER_READING <= max_bytes
    kept = log.select(ids(1), 10**9, NOW_US + S)
    assert kept is not None
    assert kept.values[-1] == 3 * JOIN_BATCHES + 4  # the newest is there
    # and what was forgotten is the oldest
    assert kept.values[0] == max(kept.values[-1] - len(kept) // size + 1, 0)


def test_a_batch_larger_than_the_log_is_forgotten_at_once() -> None:
    log = RecentLog(10 * BYTES_PER_READING, 900)
    log.append(make_batch([1] * 11, [NOW_US] * 11, [0.0] * 11, NOW_US))
    assert len(log) == 0
    log.append(one(1, NOW_US))
    assert len(log) == 1


def test_what_is_too_old_is_forgotten() -> None:
    log = RecentLog(10**9, 60)
    for second in range(1000):
        log.append(one(1, NOW_US + second * S))
    assert len(log) <= 60 + 2 * JOIN_BATCHES
    kept = log.select(ids(1), 10**9, NOW_US + 999 * S)
    assert kept is not None
    assert len(kept) == 61  # 60 seconds, both ends included


def test_nothing_is_selected_from_nothing() -> None:
    log = RecentLog(10**6, 60)
    assert log.select(ids(1), 10, NOW_US) is None
    log.append(one(1, NOW_US))
    assert log.select(ids(), 10, NOW_US) is None
    assert log.select(ids(2, 2**32 - 1), 10, NOW_US) is None


def test_readings_far_from_now_are_left_out() -> None:
    log = RecentLog(10**6, 60)
    for time_us in (NOW_US, NOW_US - 10**12, NOW_US + 10**12):
        log.append(make_batch([1], [time_us], [1.0], NOW_US))
    kept = log.select(ids(1), 10, NOW_US)
    assert kept is not None
    assert kept.times_us.tolist() == [NOW_US]


def test_a_selection_always_fits_into_one_frame() -> None:
    log = RecentLog(10**6, 10**9)
    for time_us in (NOW_US - MAX_SPAN_US, NOW_US, NOW_US + MAX_SPAN_US):
        log.append(make_batch([1], [time_us], [1.0], NOW_US))
    kept = log.select(ids(1), 10, NOW_US)
    assert kept is not None
    encode_frame(kept, offset=0, channel_no=1)
    assert kept.times_us[-1] == NOW_US + MAX_SPAN_US


@pytest.mark.parametrize("count", [1, 12, 13, 23, 24, 25, 100])
def test_twelve_points_are_twelve_at_most(count: int) -> None:
    log = RecentLog(10**6, 3600)
    log.append(make_batch([1] * count, [NOW_US + i for i in range(count)], [float(i) for i in range(count)], NOW_US))
    kept = log.select(ids(1), 12, NOW_US + S)
    assert kept is not None
    assert min(count, 7) <= len(kept) <= 12
    assert kept.values[-1] == count - 1


readings = st.lists(st.tuples(st.integers(0, 4), st.integers(-50, 50)), max_size=120)


@given(readings, st.sets(st.integers(0, 6)), st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_select_thins_each_series_in_order_and_keeps_its_newest(
    rows: list[tuple[int, int]], wanted: set[int], points: int, batch_size: int
) -> None:
    log = RecentLog(10**6, 3600)
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        log.append(
            make_batch(
                [row[0] for row in part],
                [NOW_US + row[1] * S for row in part],
                [float(start + i) for i in range(len(part))],  # the order of arrival
                NOW_US,
            )
        )

    kept = log.select(ids(*sorted(wanted)), points, NOW_US)

    got: dict[int, list[tuple[int, float]]] = {}
    if kept is not None:
        for series_id, time_us, value in zip(*(column.tolist() for column in kept[:3]), strict=True):
            got.setdefault(series_id, []).append((time_us, value))
    model: dict[int, list[tuple[int, float]]] = {}
    for arrival, (series_id, second) in enumerate(rows):
        if series_id in wanted:
            model.setdefault(series_id, []).append((NOW_US + second * S, float(arrival)))
    assert got.keys() == model.keys()
    for series_id, all_points in model.items():
        all_points.sort()
        mine = got[series_id]
        assert len(mine) <= points
        assert mine == sorted(mine)
        assert set(mine) <= set(all_points)
        assert mine[-1] == all_points[-1]
        if len(all_points) <= points:
            assert mine == all_points
        elif points > 1:
            # spread evenly: no gap is more than twice the ideal one
            positions = [all_points.index(point) for point in mine]
            assert max(np.diff(positions), default=1) <= 2 * len(all_points) / points
