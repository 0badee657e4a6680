"""Sorting what arrived, and telling what is there twice."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.history.arrivals import Arrivals
from bridge.history.chunk import UNROLLED, read_chunk
from bridge.history.seal import MAX_CONFLICTS, OFF_CLOCK_US, Conflict, find_known, seal_chunks, sort_arrivals
from bridge.history.spans import MAX_TIME_US, PARTITION_US, RAW

NOW_US = 1_767_225_600_000_000
rows = st.tuples(
    # Few series and few times: most readings meet another one of theirs.
    st.sampled_from([0, 65_536, 2**32 - 1]),
    st.sampled_from([NOW_US, NOW_US + 1000, NOW_US - PARTITION_US[RAW], -1]),
    st.sampled_from([0.0, 1.0, -0.0, math.nan, math.inf]),
)


def arrivals(some: list[tuple[int, int, float]], received_us: int = NOW_US) -> Arrivals:
    return Arrivals(
        np.array([r[0] for r in some], np.uint32),
        np.array([r[1] for r in some], np.int64),
        np.array([r[2] for r in some], float),
        np.full(len(some), received_us, np.int64),
    )


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, max_size=60))
def test_each_time_of_a_series_is_kept_once_and_the_rest_is_counted(some: list[tuple[int, int, float]]) -> None:
    sealing = sort_arrivals(arrivals(some))

    first: dict[tuple[int, int], float] = {}
    duplicates = conflicts = 0
    for series_id, time_us, value in some:
        if (series_id, time_us) not in first:
            first[series_id, time_us] = value
        elif same(first[series_id, time_us], value):
            duplicates += 1
        else:
            conflicts += 1
    kept = list(zip(sealing.series_ids.tolist(), sealing.times_us.tolist(), strict=True))
    assert kept == sorted(first)
    assert all(same(value, first[key]) for key, value in zip(kept, sealing.values.tolist(), strict=True))
    assert (sealing.duplicates, sealing.n_conflicts) == (duplicates, conflicts)
    assert len(sealing.conflicts) == conflicts


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, max_size=60))
def test_the_chunks_hold_the_readings_and_the_facts_are_those_of_the_readings(
    some: list[tuple[int, int, float]],
) -> None:
    sealing = sort_arrivals(arrivals(some))

    chunks = seal_chunks(sealing, ())

    rebuilt = []
    for chunk in chunks:
        times, values = read_chunk(chunk.times, chunk.values)
        facts = chunk.facts
        known = values[~np.isnan(values)]
        assert (facts.resolution, facts.reach, facts.level) == (RAW, UNROLLED, 0)
        assert {int(t) // PARTITION_US[RAW] for t in times} == {facts.part}
        assert (facts.start_us, facts.end_us, facts.n) == (times[0], times[-1], len(times))
        assert facts.n_values == len(known)
        assert (facts.smallest, facts.largest) == ((known.min(), known.max()) if len(known) else (None, None))
        assert same(facts.total if facts.total is not None else 0.0, known.sum() if len(known) else 0.0)
        assert same(math.nan if facts.first is None else facts.first, values[0])
        assert same(math.nan if facts.last is None else facts.last, values[-1])
        rebuilt += [(facts.series_id, int(t)) for t in times]
    assert rebuilt == list(zip(sealing.series_ids.tolist(), sealing.times_us.tolist(), strict=True))


def test_a_conflict_names_both_values_and_only_so_many_are_named() -> None:
    sealing = sort_arrivals(arrivals([(3, NOW_US, 1.0), (3, NOW_US, 2.0)]))
    assert sealing.conflicts == [Conflict(3, NOW_US, 1.0, 2.0)]

    many = sort_arrivals(arrivals([(3, NOW_US, float(v)) for v in range(500)]))
    assert many.n_conflicts == 499
    assert len(many.conflicts) == MAX_CONFLICTS


def test_readings_far_from_their_receipt_are_kept_in_their_place_and_flagged() -> None:
    some = [(1, NOW_US - OFF_CLOCK_US - 1, 1.0), (1, NOW_US - OFF_CLOCK_US, 2.0), (1, NOW_US + OFF_CLOCK_US + 1, 3.0)]

    sealing = sort_arrivals(arrivals(some))

    assert sealing.times_us.tolist() == [r[1] for r in some]
    assert sum(chunk.facts.off_clock for chunk in seal_chunks(sealing, ())) == 2


def test_a_time_beyond_all_sense_is_replaced_by_that_of_the_receipt_and_flagged() -> None:
    sealing = sort_arrivals(arrivals([(1, MAX_TIME_US + 1, 1.0), (2, -MAX_TIME_US - 1, 2.0)]))

    assert sealing.times_us.tolist() == [NOW_US, NOW_US]
    assert sealing.off_clock.tolist() == [True, True]


def test_known_readings_are_found_by_their_time() -> None:
    piece = (np.array([1, 5, 9]), np.zeros(3))
    known = (np.array([0, 5, 7]), np.zeros(3))

    assert find_known(piece, known).tolist() == [-1, 1, -1]


def test_the_series_of_a_device_get_the_same_bytes_of_times() -> None:
    chunks = seal_chunks(sort_arrivals(arrivals([(s, NOW_US + t, 1.0) for t in range(5) for s in range(3)])), ())

    assert len({chunk.times for chunk in chunks}) == 1


def test_nothing_makes_no_chunks() -> None:
    assert seal_chunks(sort_arrivals(arrivals([])), ()) == []
