"""Sealing: journal readings become one small chunk for each series. Pure.

Everything that can be done for all series at once is: one stable sort, then vector operations between the borders. Per
series there remain a few slices, which is what keeps a reading below a tenth of a microsecond here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.arrivals import Arrivals
from bridge.history.chunk import UNROLLED, Chunk, Facts, Readings, as_null
from bridge.history.codec import pack
from bridge.history.reduce import first_of, usual_interval
from bridge.history.spans import MAX_TIME_US, PARTITION_US, RAW, US_PER_S

# A reading whose own time differs by more than this from that of its receipt is counted as off the clock: delivered
# late, or measured by a device whose clock is wrong. It is kept where its own time puts it.
OFF_CLOCK_US = 300 * US_PER_S
# Conflicts that are reported in full; all are counted.
MAX_CONFLICTS = 100


class Conflict(NamedTuple):
    """A second reading with the series and the time of one we have, but another value. The first was kept."""

    series_id: int
    time_us: int
    kept: float
    refused: float


class Sealing(NamedTuple):
    """Readings by series, by partition of time and by time, each time of a series once.

    `starts`: where the pieces (one series, one partition) begin. `order`: the place in the arrivals of each reading.
    """

    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    off_clock: NDArray[np.bool_]
    starts: NDArray[np.intp]
    duplicates: int
    n_conflicts: int
    conflicts: list[Conflict]

    def without(
        self, dropped: NDArray[np.bool_], duplicates: int, n_conflicts: int, conflicts: list[Conflict]
    ) -> Sealing:
        """The same without these readings, which are counted as what they are."""
        kept = ~dropped
        ids, times = self.series_ids[kept], self.times_us[kept]
        return Sealing(
            ids, times, self.values[kept], self.off_clock[kept], _piece_starts(ids, times),
            self.duplicates + duplicates, self.n_conflicts + n_conflicts,
            (self.conflicts + conflicts)[:MAX_CONFLICTS],
        )  # fmt: skip

    def pieces(self) -> list[tuple[int, slice]]:
        """(series id, where its readings are) of each piece."""
        ends = np.append(self.starts[1:], len(self.series_ids)).tolist()
        starts = self.starts.tolist()
        ids = self.series_ids[self.starts].tolist()
        return [(series_id, slice(start, end)) for series_id, start, end in zip(ids, starts, ends, strict=True)]


def sort_arrivals(arrivals: Arrivals) -> Sealing:
    """Sort and drop what is there twice. Of equal series and time the one that arrived first is kept."""
    ids, times, values = arrivals.series_ids, arrivals.times_us, arrivals.values
    beyond = (times > MAX_TIME_US) | (times < -MAX_TIME_US)
    if beyond.any():
        times = np.where(beyond, arrivals.received_us, times)
    off_clock = (np.abs(times - arrivals.received_us) > OFF_CLOCK_US) | beyond
    order = _stable_order(ids)
    ids, times = ids[order], times[order]
    if bool(((times[1:] < times[:-1]) & (ids[1:] == ids[:-1])).any()):
        again = np.lexsort((times, ids))
        order, ids, times = order[again], ids[again], times[again]
    values, off_clock = values[order], off_clock[order]
    first = np.ones(len(ids), bool)
    first[1:] = (ids[1:] != ids[:-1]) | (times[1:] != times[:-1])
    duplicates, n_conflicts = 0, 0
    conflicts: list[Conflict] = []
    if not first.all():
        kept = values[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
        duplicates, n_conflicts, conflicts = compare(ids, times, kept, values, ~first)
        ids, times, values, off_clock = ids[first], times[first], values[first], off_clock[first]
    return Sealing(ids, times, values, off_clock, _piece_starts(ids, times), duplicates, n_conflicts, conflicts)


def compare(
    ids: NDArray[np.uint32],
    times_us: NDArray[np.int64],
    kept: NDArray[np.float64],
    refused: NDArray[np.float64],
    which: NDArray[np.bool_],
) -> tuple[int, int, list[Conflict]]:
    """Of the refused readings in `which`: how many say the same as the kept ones, how many not, and who."""
    same = (kept == refused) | (np.isnan(kept) & np.isnan(refused))
    other = np.flatnonzero(which & ~same)
    named = other[:MAX_CONFLICTS]
    conflicts = [
        Conflict(*row)
        for row in zip(*(column[named].tolist() for column in (ids, times_us, kept, refused)), strict=True)
    ]
    return int(np.count_nonzero(which & same)), len(other), conflicts


def find_known(piece: Readings, known: Readings) -> NDArray[np.intp]:
    """For each reading of `piece` the place of the one with the same time in `known`, or -1."""
    at = np.minimum(np.searchsorted(known[0], piece[0]), len(known[0]) - 1)
    return np.where(known[0][at] == piece[0], at, -1)


def make_chunks(sealing: Sealing) -> list[Chunk]:
    """The chunks of a sealing, not compressed: an hour later they are merged, and compressed then."""
    starts = sealing.starts
    if not len(starts):
        return []
    times, values = sealing.times_us, sealing.values
    ends = np.append(starts[1:], len(times)) - 1
    is_value = ~np.isnan(values)
    with np.errstate(all="ignore"):
        totals = np.add.reduceat(np.where(is_value, values, 0.0), starts).tolist()
    n_values = np.add.reduceat(is_value, starts, dtype=np.int64).tolist()
    off_clock = np.add.reduceat(sealing.off_clock, starts, dtype=np.int64).tolist()
    smallest, largest = np.fmin.reduceat(values, starts).tolist(), np.fmax.reduceat(values, starts).tolist()
    first_us, last_us = times[starts].tolist(), times[ends].tolist()
    first, last = values[starts].tolist(), values[ends].tolist()
    ids, lengths = sealing.series_ids[starts].tolist(), (ends - starts + 1).tolist()
    intervals: dict[bytes, int] = {}  # the series of a device share their times
    chunks = []
    for number, (start, length) in enumerate(zip(starts.tolist(), lengths, strict=True)):
        here = slice(start, start + length)
        packed = pack([times[here]], compress=False)
        interval_us = intervals.get(packed)
        if interval_us is None:
            interval_us = intervals[packed] = usual_interval(times[here])
        has_value = n_values[number] > 0
        facts = Facts(
            ids[number], RAW, UNROLLED, 0, first_us[number] // PARTITION_US[RAW], first_us[number], last_us[number],
            length, n_values[number], smallest[number] if has_value else None,
            largest[number] if has_value else None, as_null(totals[number]) if has_value else None,
            as_null(first[number]), as_null(last[number]), interval_us, off_clock[number],
        )  # fmt: skip
        chunks.append(Chunk(facts, packed, pack([values[here]], compress=False)))
    return chunks


def _stable_order(ids: NDArray[np.uint32]) -> NDArray[np.intp]:
    """As `argsort(kind="stable")`, eight times faster: numpy sorts 16-bit numbers by radix, wider ones by merging."""
    if not len(ids):
        return np.empty(0, np.intp)
    order = np.argsort(ids.astype(np.uint16), kind="stable")  # the low half; cut, not clipped
    if int(ids.max()) >= 2**16:
        order = order[np.argsort((ids >> 16).astype(np.uint16)[order], kind="stable")]
    return order


def _piece_starts(ids: NDArray[np.uint32], times_us: NDArray[np.int64]) -> NDArray[np.intp]:
    parts = times_us // PARTITION_US[RAW]
    if not len(ids):
        return first_of(parts)
    return np.flatnonzero(np.concatenate(([True], (ids[1:] != ids[:-1]) | (parts[1:] != parts[:-1]))))
