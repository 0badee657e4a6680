"""Of every series the smallest, the largest and the newest reading, whatever they are and however often one merges."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import Batch, make_batch
from bridge.core.frame import BYTES_PER_READING, encode_frame
from bridge.live.channel import Entry
from bridge.live.merge import Lag, merge
from bridge.live.messages import Packet

Row = tuple[int, int, float]

NAN, INF = math.nan, math.inf
# Few ids, times and values, so that they meet; and all that a double can be.
VALUES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([NAN, INF, -INF, -0.0, 1e308]), st.floats(width=32))
ROWS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 7, 2**32 - 1]), st.integers(-5, 5) | st.integers(-(2**62), 2**62), VALUES),
    min_size=1,
    max_size=40,
)


def batch_of(rows: list[Row], server_time_us: int = 0) -> Batch:
    return make_batch([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], server_time_us)


def rows_of(batch: Batch) -> list[Row]:
    return list(zip(batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True))


def by_series(rows: list[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def check(few: list[Row], many: list[Row]) -> None:
    """`few` is what may stay of `many`, the readings of one series in the order of arrival."""
    newest = max(range(len(many)), key=lambda at: (many[at][1], at))  # of equal times the one that arrived last
    assert (few[-1][1], same(few[-1][2], many[newest][2])) == (many[newest][1], True)
    values, kept = ([row[2] for row in rows if not math.isnan(row[2])] for rows in (many, few))
    assert bool(values) == bool(kept)
    if values:
        assert (min(kept), max(kept)) == (min(values), max(values))
    # Nothing that was not there, nothing that has no reason to stay.
    left = [(row[1], repr(row[2])) for row in many]
    for row in few:
        left.remove((row[1], repr(row[2])))
    reasons = {newest} | ({values.index(min(values)), values.index(max(values))} if values else set())
    assert len(few) <= min(3, len(many))
    if not any(math.isnan(row[2]) for row in many):
        assert len(few) == len(reasons)


@given(ROWS, st.integers(1, 5), st.integers(0, 2**60))
@settings(max_examples=300, deadline=None)
def test_like_the_naive_model_in_however_many_batches(rows: list[Row], parts: int, server_time_us: int) -> None:
    size = -(-len(rows) // parts)
    batches = [batch_of(rows[at : at + size], server_time_us - at) for at in range(0, len(rows), size)]
    merged = merge(batches)
    assert (merged.series_ids.dtype, merged.times_us.dtype, merged.values.dtype) == (np.uint32, np.int64, np.float64)
    assert merged.server_time_us == server_time_us
    assert merged.times_us.tolist() == sorted(merged.times_us.tolist())
    few, many = by_series(rows_of(merged)), by_series(rows)
    assert set(few) == set(many)
    for series_id, some in few.items():
        check(some, many[series_id])


@given(ROWS, ROWS, ROWS)
@settings(max_examples=150, deadline=None)
def test_merged_bit_by_bit_says_the_same_as_merged_at_once(one: list[Row], two: list[Row], three: list[Row]) -> None:
    """A dashboard that is slow for long has its readings merged at every tick."""
    step = merge([merge([merge([batch_of(one)]), batch_of(two)]), batch_of(three)])
    few, many = by_series(rows_of(step)), by_series([*one, *two, *three])
    assert set(few) == set(many)
    for series_id, some in few.items():
        check(some, many[series_id])


def test_one_reading_stays_as_it_is() -> None:
    for value in (1.5, NAN, INF, -INF):
        merged = rows_of(merge([batch_of([(3, 5, value)])]))
        assert [row[:2] for row in merged] == [(3, 5)]
        assert same(merged[0][2], value)


def test_a_peak_and_a_dip_keep_their_own_times() -> None:
    rows = [(0, at, 20.0) for at in range(100)]
    rows[30] = (0, 30, 95.0)
    rows[60] = (0, 60, -40.0)
    assert rows_of(merge([batch_of(rows)])) == [(0, 30, 95.0), (0, 60, -40.0), (0, 99, 20.0)]


def test_no_value_is_neither_small_nor_large_but_can_be_the_newest() -> None:
    assert [row[1] for row in rows_of(merge([batch_of([(0, 1, NAN), (0, 2, 5.0), (0, 3, NAN), (0, 4, 4.0)])]))] == [
        2,
        4,
    ]
    assert [row[1] for row in rows_of(merge([batch_of([(0, 1, 5.0), (0, 2, 4.0), (0, 3, NAN)])]))] == [1, 2, 3]


def test_a_late_reading_is_not_the_newest_though_it_arrived_last() -> None:
    assert rows_of(merge([batch_of([(0, 9, 1.0), (0, 8, 1.5), (0, 2, 1.2)])])) == [(0, 8, 1.5), (0, 9, 1.0)]


def test_nothing_is_nothing() -> None:
    assert len(merge([Batch.empty(7)])) == 0
    assert rows_of(merge([Batch.empty(7), batch_of([(1, 1, 1.0)])])) == [(1, 1, 1.0)]


# ----- what is kept for one slow dashboard ------------------------------------------------------------------


def frame_entry(offset: int, rows: list[Row]) -> Entry:
    frame = encode_frame(batch_of(rows), offset=offset, channel_no=1)
    return Entry(offset, 0, binary=Packet(frame, is_text=False), make_text=lambda: Packet(b"{}"))


def event_entry(offset: int, device_id: str = "", series_id: int | None = None, *, removes: bool = False) -> Entry:
    about = [device_id] if device_id else []
    numbers = [] if series_id is None else [series_id]
    return Entry(offset, 0, text=Packet(b"{}"), device_ids=about, series_ids=numbers, removes=removes)


NEAR = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), VALUES), min_size=1, max_size=12)
EVENTS = st.tuples(st.sampled_from("abc"), st.booleans()) | st.integers(0, 6)
# What a channel told between one tick and the next, for several ticks.
TOLD = st.lists(st.lists(NEAR | EVENTS, max_size=5), max_size=6)


@given(TOLD, st.integers(0, 40), st.integers(0, 1_000))
@settings(max_examples=150, deadline=None)
def test_a_lag_counts_everything_and_is_bounded(told: list[list[object]], most: int, after: int) -> None:
    lag, offset = Lag(after, most * BYTES_PER_READING), after
    rows: list[Row] = []
    devices: dict[str, None] = {}
    removed: set[str] = set()
    series: dict[int, None] = {}
    is_lost = False
    for tick in told:
        entries = []
        for one in tick:
            offset += 1
            if isinstance(one, list):
                entries.append(frame_entry(offset, one))
                rows += one
            elif isinstance(one, tuple):
                entries.append(event_entry(offset, one[0], removes=one[1]))
                devices[one[0]] = None
                removed |= {one[0]} if one[1] else set()
            else:
                assert isinstance(one, int)
                entries.append(event_entry(offset, series_id=one))
                series[one] = None
        lag.add(entries)
        is_lost = is_lost or (bool(rows) and len(merge([batch_of(rows)])) > most)
        assert lag.is_lost == is_lost or any(math.isnan(row[2]) for row in rows)
        if lag.is_lost:
            assert (lag.batch, lag.device_ids, lag.removed_ids, lag.series_ids) == (None, {}, set(), {})
            assert lag.after == after
            lag.add([frame_entry(offset + 1, [(0, 0, 0.0)])])  # once lost it stays so
            assert lag.is_lost
            assert lag.batch is None
            return
        assert (lag.after, lag.offset, lag.readings) == (after, offset, len(rows))
        assert (list(lag.device_ids), lag.removed_ids, list(lag.series_ids)) == (list(devices), removed, list(series))
        kept = rows_of(lag.batch) if lag.batch is not None else []
        assert len(kept) <= most
        assert lag.merged == len(rows) - len(kept)
        many = by_series(rows)
        assert set(by_series(kept)) == set(many)
        for series_id, few in by_series(kept).items():
            check(few, many[series_id])


def test_a_lag_that_the_ring_cannot_tell_is_lost() -> None:
    lag = Lag(7, 1_000)
    lag.add([frame_entry(8, [(0, 0, 1.0)]), event_entry(9, "a", removes=True), event_entry(10, series_id=3)])
    assert (lag.offset, lag.is_lost, lag.merged) == (10, False, 0)
    lag.add(None)
    assert lag.is_lost
    assert (lag.batch, lag.device_ids, lag.removed_ids, lag.series_ids) == (None, {}, set(), {})


def test_a_lag_without_news_stays_as_it_is() -> None:
    lag = Lag(7, 0)
    lag.add([])
    assert (lag.after, lag.offset, lag.batch, lag.is_lost, lag.merged) == (7, 7, None, False, 0)


def test_a_lag_may_hold_exactly_so_much() -> None:
    rows: list[Row] = [(number, 0, 1.0) for number in range(10)]
    full, over = Lag(0, 10 * BYTES_PER_READING), Lag(0, 10 * BYTES_PER_READING - 1)
    for lag in (full, over):
        lag.add([frame_entry(1, rows)])
    assert (full.is_lost, over.is_lost) == (False, True)
