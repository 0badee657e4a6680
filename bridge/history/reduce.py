"""As many points as a screen can show, of as many as there are; and where there is nothing. Pure.

A point of an answer is always a reading, with its own time: the smallest and the largest of its pixel. Nothing is
averaged or interpolated. Pixels are buckets of equal width whose edges are multiples of it, so that an answer from
rollups, whose buckets fit into the pixels, is the very answer that the readings would have given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.spans import MAX_TIME_US

# A silence is a gap when it is longer than this many usual intervals (the fleet calls a device stale after five) ...
GAP_FACTOR = 5
# ... and than this: below a second it is the network that hesitates, not the device.
MIN_GAP_US = 1_000_000
# Which interval is the usual one: nine tenths are no longer. The median would find gaps all over a series that
# reports when something changes.
USUAL = 0.9


class Points(NamedTuple):
    """Readings of one series in order of time. `patience_us`: how long a silence after each is still no gap."""

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    patience_us: NDArray[np.int64]


def first_of(groups: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where each run of equal numbers in `groups` begins."""
    if not len(groups):
        return np.empty(0, np.intp)
    return np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))


def find_extremes(values: NDArray[np.float64], starts: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Index of the first smallest and of the first largest value of each group; the first, if all are NaN.

    `starts`: where the groups begin; the first one at 0.
    """
    if not len(starts):
        return starts, starts
    lengths = np.diff(np.append(starts, len(values)))
    groups = np.repeat(np.arange(len(starts)), lengths)
    return (
        _first_equal(values, np.fmin.reduceat(values, starts), lengths, groups),
        _first_equal(values, np.fmax.reduceat(values, starts), lengths, groups),
    )


def _first_equal(
    values: NDArray[np.float64],
    group_values: NDArray[np.float64],
    lengths: NDArray[np.intp],
    groups: NDArray[np.intp],
) -> NDArray[np.intp]:
    found = values == np.repeat(group_values, lengths)
    nothing = np.isnan(group_values)
    if nothing.any():
        found |= np.repeat(nothing, lengths)  # nothing but NaN there
    hits = np.flatnonzero(found)
    return hits[first_of(groups[hits])]


def usual_interval(times_us: NDArray[np.int64]) -> int:
    """The usual time between readings, µs; 0 = cannot be known from so few."""
    if len(times_us) < 2:
        return 0
    intervals = np.diff(times_us)
    at = int(USUAL * (len(intervals) - 1))
    return int(np.partition(intervals, at)[at])


def patience(interval_us: int) -> int:
    """How long a silence of a series with this usual interval is still no gap."""
    return min(max(MIN_GAP_US, GAP_FACTOR * interval_us), MAX_TIME_US)


def reduce_numbers(points: Points, width_us: int) -> Points:
    """At most two points for each pixel of `width_us`, and a NaN where a gap begins.

    `width_us=0` keeps every point. A gap is then a silence longer than the patience with the reading before or after
    it, whichever is larger; with pixels, so many empty ones between two that are not.
    """
    if not len(points.times_us):
        return points
    if not width_us:
        return _mark_gaps(points, np.diff(points.times_us))
    pixels = points.times_us // width_us
    starts = first_of(pixels)
    smallest, largest = find_extremes(points.values, starts)
    two = np.column_stack((np.minimum(smallest, largest), np.maximum(smallest, largest))).ravel()
    kept = two[np.concatenate(([True], two[1:] != two[:-1]))]
    lengths = np.diff(np.append(starts, len(pixels)))
    longest = np.repeat(np.maximum.reduceat(points.patience_us, starts), lengths)
    reduced = Points(points.times_us[kept], points.values[kept], longest[kept])
    return _mark_gaps(reduced, (np.diff(pixels[kept]) - 1) * width_us)


def reduce_states(points: Points, width_us: int) -> Points:
    """The changes of a text or boolean state, each run's first reading and the last before a gap; NaN as above.

    With `width_us`, of the changes in one pixel the first two and the last: who looks closer sees the others.
    """
    times, values = points.times_us, points.values
    if not len(times):
        return points
    silent = np.diff(times) > np.maximum(points.patience_us[1:], points.patience_us[:-1])
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    kept = np.concatenate(([True], ~same | silent)) | np.concatenate((silent, [True]))
    # What is silent is decided before: between the first and the last reading of a long run nothing is missing.
    gap_after = np.concatenate((silent, [False]))[kept]
    points = Points(times[kept], values[kept], points.patience_us[kept])
    if width_us:
        pixels = points.times_us // width_us
        starts = first_of(pixels)
        ends = np.append(starts[1:], len(pixels))
        chosen = np.zeros(len(pixels), bool)
        chosen[starts] = chosen[ends - 1] = chosen[np.minimum(starts + 1, ends - 1)] = True
        chosen |= gap_after
        points = Points(points.times_us[chosen], points.values[chosen], points.patience_us[chosen])
        gap_after = gap_after[chosen]
    return _insert_gaps(points, np.flatnonzero(gap_after[:-1]))


def _mark_gaps(points: Points, silence_us: NDArray[np.int64]) -> Points:
    allowed = np.maximum(points.patience_us[1:], points.patience_us[:-1])
    return _insert_gaps(points, np.flatnonzero(silence_us > allowed))


def _insert_gaps(points: Points, after: NDArray[np.intp]) -> Points:
    """A NaN behind each of these points, one patience later (or halfway, if that is nearer to the next)."""
    if not len(after):
        return points
    before_us, next_us = points.times_us[after], points.times_us[after + 1]
    at_us = before_us + np.minimum(points.patience_us[after], (next_us - before_us) // 2)
    return Points(
        np.insert(points.times_us, after + 1, at_us),
        np.insert(points.values, after + 1, np.nan),
        np.insert(points.patience_us, after + 1, points.patience_us[after]),
    )
