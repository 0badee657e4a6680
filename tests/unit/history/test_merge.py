"""When chunks are merged, and what becomes of them."""

from __future__ import annotations

import numpy as np

from bridge.history.chunk import MAX_ROWS, UNROLLED, Readings, SharedTimes, read_chunk, read_rollup_chunk
from bridge.history.merge import CLOSED_AFTER_US, FANOUT, Group, Job, merge_raw, merge_readings, plan_merges
from bridge.history.rollup import roll
from bridge.history.spans import HOUR, HOUR_US, MINUTE, MINUTE_US, PARTITION_US, RAW

S = 1_000_000
OPEN_US = PARTITION_US[RAW] + CLOSED_AFTER_US - 1  # partition 0 is not closed yet
CLOSED_US = OPEN_US + 1
SEALED = Job(7, RAW, UNROLLED, 0, (0,))


def every(step_us: int, count: int, start_us: int = 0) -> Readings:
    times = start_us + np.arange(count) * step_us
    return times, np.sin(times / 1e8)


def test_a_level_is_merged_when_there_are_enough_of_it() -> None:
    few, enough = Group(7, RAW, 2, 0, 0, FANOUT - 1, 100), Group(8, RAW, 2, 0, 0, FANOUT, 100)

    assert plan_merges([few, enough], OPEN_US) == [Job(8, RAW, 2, 0, (0,))]


def test_a_closed_partition_is_merged_whole_but_never_what_has_rollups_with_what_has_none() -> None:
    groups = [Group(7, RAW, 2, 0, 0, 1, 100), Group(7, RAW, 2, 0, 1, 2, 100), Group(7, RAW, 2, 0, 2, 3, 100)]

    assert plan_merges(groups, OPEN_US) == []
    assert plan_merges(groups, CLOSED_US) == [Job(7, RAW, 2, 0, (0,)), Job(7, RAW, 2, 0, (1, 2))]


def test_a_single_chunk_of_a_closed_partition_is_left_alone() -> None:
    assert plan_merges([Group(7, RAW, 0, 0, 1, 1, 100)], CLOSED_US) == []


def test_readings_at_one_hertz_get_both_rollups() -> None:
    readings = every(S, 3600 * 3)

    chunks = merge_raw([SEALED], [readings], [5], (), SharedTimes())

    by_resolution = {chunk.facts.resolution: chunk for chunk in chunks}
    assert by_resolution[RAW].facts.reach == RAW
    assert by_resolution[RAW].facts.off_clock == 5
    for resolution, width in ((MINUTE, MINUTE_US), (HOUR, HOUR_US)):
        chunk = by_resolution[resolution]
        expected = roll(*readings, width)
        found = read_rollup_chunk(chunk.times, chunk.values)
        assert found.starts_us.tolist() == expected.starts_us.tolist()
        assert found.maxs.tolist() == expected.maxs.tolist()
        assert chunk.facts.n_values == 3600 * 3
        assert chunk.facts.interval_us == S


def test_readings_every_minute_get_hours_only_and_rarer_ones_none() -> None:
    each_minute = merge_raw([SEALED], [every(MINUTE_US, 600)], [0], (), SharedTimes())
    rare = merge_raw([SEALED], [every(10 * MINUTE_US, 60)], [0], (), SharedTimes())

    assert [(c.facts.resolution, c.facts.reach) for c in each_minute] == [(RAW, MINUTE), (HOUR, HOUR)]
    assert [(c.facts.resolution, c.facts.reach) for c in rare] == [(RAW, HOUR)]


def test_codes_of_texts_are_never_rolled_up() -> None:
    chunks = merge_raw([SEALED], [every(S, 3600)], [0], {7}, SharedTimes())

    assert [(c.facts.resolution, c.facts.reach) for c in chunks] == [(RAW, UNROLLED)]


def test_a_second_merge_makes_no_rollups_again() -> None:
    job = Job(7, RAW, RAW, 0, (1, 3))

    chunks = merge_raw([job], [every(S, 200)], [0], (), SharedTimes())

    assert [(c.facts.resolution, c.facts.reach, c.facts.level) for c in chunks] == [(RAW, RAW, 4)]


def test_what_is_too_long_for_one_chunk_becomes_several_of_about_the_same_length() -> None:
    readings = every(S, 2 * MAX_ROWS[RAW] + 2)

    chunks = merge_raw([Job(7, RAW, RAW, 0, (1,))], [readings], [9], (), SharedTimes())
    assert [chunk.facts.off_clock for chunk in chunks] == [9, 0, 0]  # a count of the whole

    parts = [read_chunk(chunk.times, chunk.values) for chunk in chunks]
    assert len(parts) == 3
    assert max(len(part[0]) for part in parts) - min(len(part[0]) for part in parts) <= 1
    assert np.concatenate([part[0] for part in parts]).tolist() == readings[0].tolist()
    assert np.concatenate([part[1] for part in parts]).tolist() == readings[1].tolist()


def test_chunks_that_lie_between_each_other_are_sorted() -> None:
    times, values = merge_readings([every(2 * S, 5, S), every(2 * S, 5)])

    assert times.tolist() == [number * S for number in range(10)]
    assert values.tolist() == np.sin(times / 1e8).tolist()
