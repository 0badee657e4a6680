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
from bridge.history.reduce import find_extremes

# A mean is kept as one of 65,536 places between the smallest and the largest value: two bytes instead of eight, and
# nearer than a screen can show.
MEAN_STEPS = 65_535
ROLLUP_COLUMNS = 6  # that `to_columns` makes
# Those of them that say which readings the smallest and the largest were: time within the bucket, and value.
OFFSETS, MINS, MAXS = slice(1, 3), 3, 4


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


_NOTHING, _NO_TIMES = np.empty(0), np.empty(0, np.int64)
EMPTY_ROLLUP = Rollup(_NO_TIMES, np.empty(0, np.uint32), _NO_TIMES, _NO_TIMES, _NOTHING, _NOTHING, _NOTHING)


def count_rows(times_us: NDArray[np.int64], pieces: NDArray[np.intp], width_us: int) -> NDArray[np.intp]:
    """How many rows the rollup of each piece would have: a fraction of what it takes to make it."""
    starts = _starts_within(times_us // width_us, pieces)
    return np.diff(np.append(np.searchsorted(starts, pieces), len(starts)))


def roll(times_us: NDArray[np.int64], values: NDArray[np.float64], width_us: int) -> Rollup:
    """The rollup of readings in order of time."""
    return roll_pieces(times_us, values, np.zeros(1, np.intp), width_us)[0]


def roll_pieces(
    times_us: NDArray[np.int64], values: NDArray[np.float64], pieces: NDArray[np.intp], width_us: int
) -> tuple[Rollup, NDArray[np.intp]]:
    """The rollups of many pieces, each in order of time, one after another; and where the rows of each begin.

    `pieces`: where they begin. All at once, because each call of numpy costs as much as some hundred readings.
    """
    buckets = times_us // width_us
    starts = _starts_within(buckets, pieces)
    if not len(starts):
        return EMPTY_ROLLUP, pieces[:0]
    smallest, largest = find_extremes(values, starts)
    is_value = ~np.isnan(values)
    counts = np.add.reduceat(is_value, starts, dtype=np.int64)
    with np.errstate(all="ignore"):  # opposite infinities have no sum; NaN says so
        sums = np.add.reduceat(values if is_value.all() else np.where(is_value, values, 0.0), starts)
    rollup = Rollup(
        buckets[starts] * width_us,
        counts.astype(np.uint32),
        times_us[smallest],
        times_us[largest],
        values[smallest],
        values[largest],
        _mean(sums, counts),
    )
    return rollup, np.searchsorted(starts, pieces)


def coarsen(rollup: Rollup, pieces: NDArray[np.intp], width_us: int) -> tuple[Rollup, NDArray[np.intp]]:
    """As `roll_pieces`, from finer rollups whose buckets fit into the wider ones, and are in order of time."""
    buckets = rollup.starts_us // width_us
    starts = _starts_within(buckets, pieces)
    if not len(starts):
        return rollup, starts
    smallest, largest = find_extremes(rollup.mins, starts)[0], find_extremes(rollup.maxs, starts)[1]
    joined = _join_rows(rollup, np.arange(len(buckets)), starts, smallest, largest)
    return joined._replace(starts_us=buckets[starts] * width_us), np.searchsorted(starts, pieces)


def merge_rollups(rollups: Sequence[Rollup]) -> Rollup:
    """The rollup of all readings of several, which have none in common."""
    return merge_pieces([rollups])[0]


def merge_pieces(pieces: Sequence[Sequence[Rollup]]) -> tuple[Rollup, NDArray[np.intp]]:
    """For each piece the rollup of all readings of its rollups, one after another; and where the rows of each begin."""
    everything = [one for some in pieces for one in some]
    rows = Rollup._make(np.concatenate(columns) for columns in zip(*everything, strict=True))
    numbers = np.repeat(np.arange(len(pieces)), [sum(len(one.starts_us) for one in some) for some in pieces])
    first = np.searchsorted(numbers, np.arange(len(pieces)))
    if not len(numbers) or bool(((rows.starts_us[1:] > rows.starts_us[:-1]) | (numbers[1:] != numbers[:-1])).all()):
        return rows, first  # one row a bucket, in order of time
    # Within a bucket the rows are in order of their smallest reading, so that the first of equals is the earliest;
    # for the largest they need an order of their own.
    order = np.lexsort((rows.min_times_us, rows.starts_us, numbers))
    by_max = np.lexsort((rows.max_times_us, rows.starts_us, numbers))
    maxs = rows.maxs[by_max]
    starts_us = rows.starts_us[order]
    starts = _starts_within(starts_us, first)
    smallest = order[find_extremes(rows.mins[order], starts)[0]]
    largest = by_max[find_extremes(maxs, starts)[1]]
    joined = _join_rows(rows, order, starts, smallest, largest)
    return joined, np.searchsorted(starts, first)


def as_points(rollup: Rollup) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times and values of the readings that a rollup names, in order of time; one that is both, once."""
    times = np.column_stack((rollup.min_times_us, rollup.max_times_us))
    values = np.column_stack((rollup.mins, rollup.maxs))
    swap = rollup.max_times_us < rollup.min_times_us
    times[swap] = times[swap][:, ::-1]
    values[swap] = values[swap][:, ::-1]
    once = np.column_stack((np.ones(len(times), bool), times[:, 0] != times[:, 1])).ravel()
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


def _starts_within(buckets: NDArray[np.int64], pieces: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where runs of equal buckets begin; at the begin of a piece always."""
    new = np.empty(len(buckets), bool)
    new[1:] = buckets[1:] != buckets[:-1]
    if len(buckets):
        new[pieces] = True
    return np.flatnonzero(new)


def _join_rows(
    rows: Rollup,
    order: NDArray[np.intp],
    starts: NDArray[np.intp],
    smallest: NDArray[np.intp],
    largest: NDArray[np.intp],
) -> Rollup:
    """One row for each group, which begins at `starts` of `order`; `smallest`, `largest`: rows with its extremes."""
    counts = rows.counts[order].astype(np.int64)
    with np.errstate(all="ignore"):
        sums = np.add.reduceat(np.where(counts > 0, rows.means[order] * counts, 0.0), starts)
    counts = np.add.reduceat(counts, starts)
    return Rollup(
        rows.starts_us[order[starts]],
        counts.astype(np.uint32),
        rows.min_times_us[smallest],
        rows.max_times_us[largest],
        rows.mins[smallest],
        rows.maxs[largest],
        _mean(sums, counts),
    )


def _mean(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
