"""The recent past in memory: the batches of the last minutes, bounded in bytes and seconds.

A chart that opens shows something at once. It is a log, not a table: one scan of the columns with a mask answers
"everything of these series", and costs nothing while nobody asks.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import Batch
from bridge.core.frame import BYTES_PER_READING, MAX_SPAN_US

# An idle fleet makes a batch of one message at a time; kept one by one, their Python objects would outweigh
# their readings twentyfold. So small batches are joined, this many at a time.
JOIN_BATCHES = 64


# Sorting a million readings takes a third of a second, during which nothing else would move. A fleet that makes more
# than this in fifteen minutes gets shorter sparklines.
MAX_SORTED = 300_000


class RecentLog:
    """The newest batches. `append` forgets what is too old or too much."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._max_age_us = int(min(max_seconds * 1e6, MAX_SPAN_US))
        self._batches: deque[Batch] = deque()
        self._small: list[Batch] = []  # newer than all of _batches, waiting to be joined
        self._bytes = 0

    def __len__(self) -> int:
        return sum(len(batch) for batch in (*self._batches, *self._small))

    def append(self, batch: Batch) -> None:
        self._small.append(batch)
        self._bytes += len(batch) * BYTES_PER_READING
        if len(self._small) == JOIN_BATCHES:
            self._batches.append(_join(self._small))
            self._small = []
        horizon = batch.server_time_us - self._max_age_us
        while self._batches and (self._bytes > self._max_bytes or self._batches[0].server_time_us < horizon):
            self._bytes -= len(self._batches.popleft()) * BYTES_PER_READING
        while self._small and self._bytes > self._max_bytes:
            self._bytes -= len(self._small.pop(0)) * BYTES_PER_READING

    def select(self, series_ids: NDArray[np.uint32], points: int, now_us: int) -> Batch | None:
        """The recent readings of some series in order of time, thinned to at most `points` a series.

        Late readings older than the log's own span are left out: they belong to history, not to a sparkline.
        """
        batches = (*self._batches, *self._small)
        if not batches or not len(series_ids):
            return None
        wanted = np.zeros(int(max(b.series_ids.max() for b in batches)) + 1, dtype=bool)
        wanted[series_ids[series_ids < len(wanted)]] = True
        parts: list[Batch] = []
        found = 0
        for batch in reversed(batches):  # the newest first, in case there is more than we may sort
            parts.append(batch.select(wanted[batch.series_ids]))
            found += len(parts[-1])
            if found > MAX_SORTED:
                break
        ids, times, values, _ = _join(parts[::-1])
        fresh = (times >= now_us - self._max_age_us) & (times <= now_us + self._max_age_us)
        ids, times, values = ids[fresh], times[fresh], values[fresh]
        if not len(ids):
            return None
        order = np.lexsort((times, ids))  # by series, then by time
        ids, times, values = ids[order], times[order], values[order]
        keep = _thin(ids, points)
        ids, times, values = ids[keep], times[keep], values[keep]
        if int(times.max()) - int(times.min()) > MAX_SPAN_US:
            near = times >= int(times.max()) - MAX_SPAN_US
            ids, times, values = ids[near], times[near], values[near]
        return Batch(ids, times, values, now_us)


def _join(batches: list[Batch]) -> Batch:
    return Batch(
        np.concatenate([batch.series_ids for batch in batches]),
        np.concatenate([batch.times_us for batch in batches]),
        np.concatenate([batch.values for batch in batches]),
        batches[-1].server_time_us,
    )


def _thin(ids: NDArray[np.uint32], points: int) -> NDArray[np.bool_]:
    """Keeps at most `points` evenly spread readings of each run of equal ids, always with the newest."""
    starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
    lengths = np.diff(np.append(starts, len(ids)))
    stride = np.maximum(1, -(-lengths // points))  # rounded up
    # Counted from the end of each run, so that the newest reading (distance 0) always stays.
    distance = np.repeat(starts + lengths - 1, lengths) - np.arange(len(ids))
    return np.asarray(distance % np.repeat(stride, lengths) == 0)
