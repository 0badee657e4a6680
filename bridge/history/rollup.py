"""Rollups: what happened in each minute, or hour, in one row. Pure.

A rollup knows not only the smallest and the largest reading but when they were. That makes it a selection of readings
instead of an invention, and rollups of disjoint readings can be merged in any order: late data is simply a further one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.codec import Column
from bridge.history.reduce import find_extremes, first_of

# A mean is kept as one of 65,536 places between the smallest and the largest value: two bytes instead of eight, and
# nearer than a screen can show.
MEAN_STEPS = 65_535
ROLLUP_COLUMNS = 6  # that `to_columns` makes


class Rollup(NamedTuple):
    """One row for each bucket that has readings, in order of time.

    `counts`: readings that are not NaN. Where there are none, `mins`, `maxs` and `means` are NaN and the two times
    those of the first reading.
    """

    starts_us: NDArray[np.int64]
    counts: NDArray[np.uint32]
    min_times_us: NDArray[np.int64]
    max_times_us: NDArray[np.int64]
    mins: NDArray[np.float64]
    maxs: NDArray[np.float64]
    means: NDArray[np.float64]

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rollup:
        return Rollup._make(column[which] for column in self)


def roll(times_us: NDArray[np.int64], values: NDArray[np.float64], width_us: int) -> Rollup:
    """The rollup of readings in order of time."""
    buckets = times_us // width_us
    starts = first_of(buckets)
    if not len(starts):
        return Rollup(times_us, np.empty(0, np.uint32), times_us, times_us, values, values, values)
    smallest, largest = find_extremes(values, starts)
    is_value = ~np.isnan(values)
    counts = np.add.reduceat(is_value, starts, dtype=np.int64)
    with np.errstate(all="ignore"):  # opposite infinities have no sum; NaN says so
        sums = np.add.reduceat(np.where(is_value, values, 0.0), starts)
    return Rollup(
        buckets[starts] * width_us,
        counts.astype(np.uint32),
        times_us[smallest],
        times_us[largest],
        values[smallest],
        values[largest],
        _mean(sums, counts),
    )


def merge_rollups(rollups: Sequence[Rollup]) -> Rollup:
    """The rollup of all readings of several, which have none in common."""
    if len(rollups) == 1:
        return rollups[0]
    rows = Rollup._make(np.concatenate(columns) for columns in zip(*rollups, strict=True))
    if not len(rows.starts_us):
        return rows
    order = np.lexsort((rows.min_times_us, rows.starts_us))
    rows = rows.select(order)
    starts = first_of(rows.starts_us)
    if len(starts) == len(rows.starts_us):
        return rows
    # Within a bucket the rows are in order of their smallest reading, so that the first of equals is the earliest;
    # for the largest they need an order of their own.
    smallest = find_extremes(rows.mins, starts)[0]
    by_max = np.lexsort((rows.max_times_us, rows.starts_us))
    largest = by_max[find_extremes(rows.maxs[by_max], starts)[1]]
    counts = np.add.reduceat(rows.counts, starts, dtype=np.int64)
    with np.errstate(all="ignore"):
        sums = np.add.reduceat(np.where(rows.counts > 0, rows.means * rows.counts, 0.0), starts)
    return Rollup(
        rows.starts_us[starts],
        counts.astype(np.uint32),
        rows.min_times_us[smallest],
        rows.max_times_us[largest],
        rows.mins[smallest],
        rows.maxs[largest],
        _mean(sums, counts),
    )


def as_points(rollup: Rollup) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times and values of the readings that a rollup names, in order of time; one that is both, once."""
    times = np.column_stack((rollup.min_times_us, rollup.max_times_us))
    values = np.column_stack((rollup.mins, rollup.maxs))
    swap = rollup.max_times_us < rollup.min_times_us
    times[swap] = times[swap][:, ::-1]
    values[swap] = values[swap][:, ::-1]
    once = np.column_stack((np.ones(len(rollup.starts_us), bool), times[:, 0] != times[:, 1])).ravel()
    return times.ravel()[once], values.ravel()[once]


def to_columns(rollup: Rollup) -> list[Column]:
    """The columns to store beside the starts. Times are offsets from them, which keeps them small."""
    with np.errstate(all="ignore"):
        place = (rollup.means - rollup.mins) / (rollup.maxs - rollup.mins) * MEAN_STEPS
    place = np.where(np.isfinite(place), np.clip(np.rint(place), 0, MEAN_STEPS), 0)
    return [
        rollup.counts,
        (rollup.min_times_us - rollup.starts_us).astype(np.uint32),
        (rollup.max_times_us - rollup.starts_us).astype(np.uint32),
        rollup.mins,
        rollup.maxs,
        place.astype(np.uint16),
    ]


def from_columns(starts_us: NDArray[np.int64], columns: Sequence[Column]) -> Rollup:
    """What `to_columns` was given, but for the mean, which has 65,536 places between smallest and largest."""
    counts, min_offsets, max_offsets, mins, maxs, place = columns
    with np.errstate(all="ignore"):
        means = mins + place.astype(np.float64) / MEAN_STEPS * (maxs - mins)
    return Rollup(
        starts_us,
        counts,
        starts_us + min_offsets,
        starts_us + max_offsets,
        mins,
        maxs,
        np.where(mins == maxs, mins, means),
    )


def _mean(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
