"""Sealing: journal readings become one chunk for each series. Pure.

Everything that can be done for all series at once is: one stable sort, then vector operations between the borders. Per
series there remain a few slices, and the compression of those that are long enough for it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.arrivals import Arrivals, sort_by_series
from bridge.history.chunk import FULL_ROWS, UNROLLED, Chunk, Readings, SharedTimes, Stack, describe
from bridge.history.codec import pack_each
from bridge.history.merge import roll_up
from bridge.history.reduce import usual_interval
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
    off_clock = np.zeros(len(ids), bool)
    # The least and the greatest first: in nearly every sealing all clocks are right.
    if len(ids) and (int(times.max()) > MAX_TIME_US or int(times.min()) < -MAX_TIME_US):
        off_clock = (times > MAX_TIME_US) | (times < -MAX_TIME_US)
        times = np.where(off_clock, arrivals.received_us, times)
    late = times - arrivals.received_us
    if len(ids) and (int(late.max()) > OFF_CLOCK_US or int(late.min()) < -OFF_CLOCK_US):
        off_clock |= np.abs(late) > OFF_CLOCK_US
    order, ids, times = sort_by_series(ids, times)
    values = values.take(order)
    if off_clock.any():
        off_clock = off_clock.take(order)
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


def seal_chunks(sealing: Sealing, texts: Collection[int]) -> list[Chunk]:
    """The chunks of a sealing, and the rollups of those that are full already. `texts`: see `roll_up`."""
    if not len(sealing.starts):
        return []
    off_clock = np.add.reduceat(sealing.off_clock, sealing.starts, dtype=np.int64)
    long = np.diff(np.append(sealing.starts, len(sealing.times_us))) >= FULL_ROWS[RAW]
    chunks: list[Chunk] = []
    for which, make in ((~long, _make_plain), (long, lambda stack: roll_up(stack, 1, texts, SharedTimes()))):
        if which.any():
            chunks += make(_stack(sealing, which, off_clock))
    return chunks


def _stack(sealing: Sealing, which: NDArray[np.bool_], off_clock: NDArray[np.int64]) -> Stack:
    """Some of the pieces."""
    lengths = np.diff(np.append(sealing.starts, len(sealing.times_us)))
    starts, times, values = sealing.starts, sealing.times_us, sealing.values
    if not which.all():
        kept = np.repeat(which, lengths)
        starts, times, values = np.cumsum(lengths[which]) - lengths[which], times[kept], values[kept]
    ids = sealing.series_ids[sealing.starts[which]].tolist()
    return Stack(ids, off_clock[which].tolist(), [UNROLLED] * len(ids), starts, times, values)


def _make_plain(stack: Stack) -> list[Chunk]:
    """Not compressed: small chunks are merged before long, and compressed then."""
    starts = stack.starts.tolist()
    packed = pack_each(stack.times_us, starts)
    usual_us: dict[bytes, int] = {}  # the series of a device share their times
    for times, start, length in zip(packed, starts, stack.lengths.tolist(), strict=True):
        if times not in usual_us:
            usual_us[times] = usual_interval(stack.times_us[start : start + length])
    facts = describe(stack, 0, [usual_us[times] for times in packed])
    return [Chunk(*one) for one in zip(facts, packed, pack_each(stack.values, starts), strict=True)]


def _piece_starts(ids: NDArray[np.uint32], times_us: NDArray[np.int64]) -> NDArray[np.intp]:
    if not len(ids):
        return np.empty(0, np.intp)
    new = np.empty(len(ids), bool)
    new[0] = True
    np.not_equal(ids[1:], ids[:-1], out=new[1:])
    if int(times_us.min()) // PARTITION_US[RAW] != int(times_us.max()) // PARTITION_US[RAW]:
        parts = times_us // PARTITION_US[RAW]
        new[1:] |= parts[1:] != parts[:-1]
    return np.flatnonzero(new)
