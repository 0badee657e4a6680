"""A span of one series in some numbers: how many readings, the smallest, the largest, the mean, the first, the last."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from bridge.history.query import History
from bridge.history.rollup import Rollup
from bridge.history.spans import HOUR_US, MINUTE_US, ceil_to

# Into so many buckets a span is cut: their rows name the extremes, and the first and the last of them is all that is
# read to find the first and the last reading. More would make more rows, fewer would read more.
BUCKETS = 100
READINGS_AT_ONCE = 1_000_000  # in memory, to find the first and the last of many series

FIRST, LAST = 0, -1

Edge: TypeAlias = tuple[int | None, float]
"""Time and value of a reading."""
NOTHING: Edge = (None, math.nan)


class Statistics(NamedTuple):
    """Of the `n` readings that are values. NaN and None where there are none.

    From rollups the mean is exact to a 65,000th of the range. `first`, `last`: values, not times.
    """

    series_id: int
    n: int
    smallest: float
    largest: float
    mean: float
    first: float
    last: float
    min_time_us: int | None
    max_time_us: int | None
    first_time_us: int | None
    last_time_us: int | None


def measure(history: History, series_ids: Sequence[int], from_us: int, to_us: int) -> list[Statistics]:
    """The statistics of each of these series over [from, to). Blocking.

    Where only rollups are left, those at the two ends of the span are whole.

    Raises:
        HistoryError: a span that does not end after it begins.
        Damaged: the journal is not as it was written.
    """
    if not series_ids:
        return []
    width_us = _choose_width(to_us - from_us)
    rows = history.buckets_of(series_ids, from_us, to_us, width_us)
    rows = [one.select(one.counts > 0) for one in rows]
    begins = [
        {one: int(row.starts_us[at]) for one, row in zip(series_ids, rows, strict=True) if len(row.starts_us)}
        for at in (FIRST, LAST)
    ]
    edges = [
        _find_edges(history, buckets, from_us, to_us, width_us, at)
        for buckets, at in zip(begins, (FIRST, LAST), strict=True)
    ]
    return [
        _sum_up(one, row, *(edge.get(one, NOTHING) for edge in edges))
        for one, row in zip(series_ids, rows, strict=True)
    ]


def _sum_up(series_id: int, rows: Rollup, first: Edge, last: Edge) -> Statistics:
    if not len(rows.starts_us):
        nan = math.nan
        return Statistics(series_id, 0, nan, nan, nan, nan, nan, None, None, None, None)
    smallest, largest = int(np.argmin(rows.mins)), int(np.argmax(rows.maxs))
    with np.errstate(invalid="ignore"):  # opposite infinities have no mean
        mean = float(np.average(rows.means, weights=rows.counts))
    return Statistics(
        series_id,
        int(rows.counts.sum()),
        float(rows.mins[smallest]),
        float(rows.maxs[largest]),
        mean,
        first[1],
        last[1],
        int(rows.min_times_us[smallest]),
        int(rows.max_times_us[largest]),
        first[0],
        last[0],
    )


def _find_edges(
    history: History, buckets: Mapping[int, int], from_us: int, to_us: int, width_us: int, at: int
) -> dict[int, Edge]:
    """Of each series the first or last reading in its bucket that is a value. Those of one bucket are read together.

    Not there: a series of which only rollups are left, if their readings lie outside of the span.
    """
    together: dict[int, list[int]] = {}
    for series_id, begin_us in buckets.items():
        together.setdefault(begin_us, []).append(series_id)
    edges: dict[int, Edge] = {}
    for bucket_us, series_ids in together.items():
        begin_us, end_us = max(from_us, bucket_us), min(to_us, bucket_us + width_us)
        many = len(series_ids) > 1 and history.count(series_ids, begin_us, end_us) > READINGS_AT_ONCE
        for some in [[one] for one in series_ids] if many else [series_ids]:
            found = history.readings(some, begin_us, end_us, sys.maxsize)
            found = found.select(~np.isnan(found.values))
            order = np.argsort(found.series_ids, kind="stable")
            ids = found.series_ids[order]
            starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1]))) if len(ids) else np.empty(0, np.intp)
            chosen = order[starts if at == FIRST else np.append(starts[1:], len(ids)) - 1] if len(ids) else order
            for one, time_us, value in zip(
                found.series_ids[chosen].tolist(),
                found.times_us[chosen].tolist(),
                found.values[chosen].tolist(),
                strict=True,
            ):
                edges[one] = time_us, value
    return edges


def _choose_width(span_us: int) -> int:
    """Whole hours or minutes, where they are not too wide; any width below a minute."""
    width_us = max(1, -(-span_us // BUCKETS))
    for unit_us in (HOUR_US, MINUTE_US):
        if width_us >= unit_us:
            return ceil_to(width_us, unit_us)
    return width_us
