"""What a dashboard gets that fell behind: the readings it missed, merged, so that little has to be sent.

Of every series the smallest, the largest and the newest reading stay: three points, with their own times, from which
a chart still shows the peak and the page the present value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.core.batch import Batch
from bridge.core.frame import BYTES_PER_READING, decode_frame

if TYPE_CHECKING:
    from bridge.live.channel import Entry


class Lag:
    """What one session has not got of one channel. Bounded: beyond `max_bytes` it only knows that it lost count."""

    __slots__ = (
        "_max_bytes",
        "after",
        "batch",
        "device_ids",
        "is_lost",
        "offset",
        "readings",
        "removed_ids",
        "series_ids",
    )

    def __init__(self, after: int, max_bytes: int) -> None:
        self.after = after  # the last offset that the session has
        self.offset = after  # up to where it is merged
        self.batch: Batch | None = None
        self.readings = 0  # how many there were before they were merged
        self.device_ids: dict[str, None] = {}  # of devices that changed
        self.removed_ids: set[str] = set()  # of those that were gone, if only for a while: their series did not return
        self.series_ids: dict[int, None] = {}  # of series that changed
        self.is_lost = False
        self._max_bytes = max_bytes

    @property
    def merged(self) -> int:
        """Readings that were left out."""
        return self.readings - (len(self.batch) if self.batch is not None else 0)

    def add(self, entries: list[Entry] | None) -> None:
        """Take over the channel's messages after `offset`; None: they are no longer in memory."""
        if entries is None or self.is_lost:
            self._lose()
            return
        batches = [self.batch] if self.batch is not None else []
        for entry in entries:
            if entry.binary is not None:
                frame = decode_frame(entry.binary.payload)
                batches.append(Batch(frame.series_ids, frame.times_us, frame.values, frame.server_time_us))
                self.readings += len(frame.series_ids)
            self.device_ids.update(dict.fromkeys(entry.device_ids))
            if entry.removes:
                self.removed_ids.update(entry.device_ids)
            self.series_ids.update(dict.fromkeys(entry.series_ids))
            self.offset = entry.offset
        if batches:
            self.batch = merge(batches)
            if len(self.batch) * BYTES_PER_READING > self._max_bytes:
                self._lose()

    def _lose(self) -> None:
        self.is_lost = True
        self.batch = None
        self.device_ids.clear()
        self.removed_ids.clear()
        self.series_ids.clear()


def merge(batches: list[Batch]) -> Batch:
    """Of every series the smallest, the largest and the newest reading, in order of time.

    Of several readings at the newest time the one that arrived last counts, as everywhere. NaN ("no value") is neither
    small nor large, but can be the newest.
    """
    ids = np.concatenate([batch.series_ids for batch in batches])
    times = np.concatenate([batch.times_us for batch in batches])
    values = np.concatenate([batch.values for batch in batches])
    known, at = np.unique(ids, return_inverse=True)
    rows = np.arange(len(ids))
    by_time = np.argsort(times, kind="stable")
    # With repeated indices numpy assigns in order, so the last one stays.
    newest = np.empty(len(known), dtype=np.int64)
    newest[at[by_time]] = rows[by_time]
    keep = np.zeros(len(ids), dtype=bool)
    keep[newest] = True
    for reduce, unset in ((np.fmin, np.inf), (np.fmax, -np.inf)):
        extreme = np.full(len(known), unset)
        reduce.at(extreme, at, values)
        hits = rows[values == extreme[at]]
        first = np.full(len(known), -1, dtype=np.int64)
        first[at[hits[::-1]]] = hits[::-1]  # the first to reach it: a plateau begins there
        keep[first[first >= 0]] = True
    kept = by_time[keep[by_time]]
    return Batch(ids[kept], times[kept], values[kept], max(batch.server_time_us for batch in batches))
