"""Chunks: a stretch of one series, as columns and the facts about them. Pure.

A chunk has a resolution and a reach. Readings are resolution RAW; their reach is the coarsest resolution for whose
questions they must be read because no rollup stands for them. So for a question at resolution r the chunks with
`resolution <= r <= reach` are the whole truth, each reading in it once: that is the one rule of this history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from bridge.history.codec import Effort, pack, unpack
from bridge.history.faults import Damaged
from bridge.history.reduce import usual_interval
from bridge.history.rollup import MAXS, MINS, OFFSETS, ROLLUP_COLUMNS, Rollup, from_columns, to_columns
from bridge.history.spans import HOUR, PARTITION_US, RAW

# Rows of one chunk at most, by resolution. A state of the whole fleet at a moment reads one chunk of each series: at
# 16,384 readings that is 0.3 ms a series; a fourth of it takes a tenth more room, four times as much saves nothing. A
# row of a rollup has six columns.
MAX_ROWS = (16_384, 4_096, 4_096)
# From here on a chunk is left alone: merging it once more would cost more than it saves.
FULL_ROWS = (8_192, 2_048, 2_048)
# Rows of a rollup chunk below which it is not compressed: when it is first made, since six columns of some hours'
# minutes would take 0.3 ms, to be merged and compressed again half a day later; and at last.
SMALL_ROLLUPS = (256, 32)

Readings: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Times and values of one series: in order of time, each time once."""


class Facts(NamedTuple):
    """What is known of a chunk without reading its columns. `n`: readings, or rows of a rollup."""

    series_id: int
    resolution: int
    reach: int
    level: int  # how often it has been merged; 0: as it was sealed
    part: int  # number of the partition of time
    start_us: int  # of the first reading or bucket
    end_us: int  # of the last one
    n: int
    n_values: int  # of them not NaN; of a rollup, readings it stands for
    smallest: float | None  # of the values that are not NaN; None without any
    largest: float | None
    total: float | None
    first: float | None  # value of the first and of the last reading; None stands for NaN
    last: float | None
    interval_us: int  # usual time between its readings; 0: unknown
    off_clock: int  # readings whose time was far from that of their receipt


class Chunk(NamedTuple):
    """A chunk with its columns as bytes. `times`: shared, byte for byte, by the series of one device."""

    facts: Facts
    times: bytes
    values: bytes


class Found(NamedTuple):
    """A chunk in the store, without its columns."""

    chunk_id: int
    times_id: int
    size: int
    facts: Facts


class Blobs(NamedTuple):
    """The columns of a chunk."""

    times: bytes
    values: bytes


class Stack(NamedTuple):
    """Readings of many series. A piece is a stretch of one series in one partition, in order of time, never empty.

    `starts`: where the pieces begin. `series_ids`, `off_clock` and `reach` have one entry for each.
    """

    series_ids: Sequence[int]
    off_clock: Sequence[int]
    reach: Sequence[int]
    starts: NDArray[np.intp]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def lengths(self) -> NDArray[np.intp]:
        return np.diff(np.append(self.starts, len(self.times_us)))

    def cut(self, longest: int) -> Stack:
        """The same in pieces of at most so many readings, about equal ones where a piece must be cut."""
        lengths = self.lengths
        parts = -(-lengths // longest)
        if not len(parts) or int(parts.max()) == 1:
            return self
        which = np.repeat(np.arange(len(parts)), parts).tolist()
        # A count of the whole piece; its first part carries it.
        first = np.repeat(self.starts, parts)
        number = np.arange(len(first)) - np.repeat(np.cumsum(parts) - parts, parts)
        starts = first + number * np.repeat(lengths, parts) // np.repeat(parts, parts)
        return self._replace(
            series_ids=[self.series_ids[one] for one in which],
            off_clock=[0 if later else self.off_clock[one] for one, later in zip(which, number.tolist(), strict=True)],
            reach=[self.reach[one] for one in which],
            starts=starts,
        )


class SharedTimes:
    """Columns of times, compressed once for all series of a device. For the length of one transaction."""

    def __init__(self) -> None:
        self._packed: dict[bytes, tuple[bytes, int]] = {}

    def pack(self, times_us: NDArray[np.int64]) -> tuple[bytes, int]:
        """The column as bytes, and the usual interval."""
        content = times_us.tobytes()
        known = self._packed.get(content)
        if known is None:
            known = self._packed[content] = pack([times_us], Effort.FULL), usual_interval(times_us)
        return known


def make_chunks(stack: Stack, level: int, shared: SharedTimes) -> list[Chunk]:
    """Compressed chunks of readings, one for each piece."""
    starts = stack.starts.tolist()
    chunks = []
    packed = []
    for start, length in zip(starts, stack.lengths.tolist(), strict=True):
        here = slice(start, start + length)
        packed.append((*shared.pack(stack.times_us[here]), pack([stack.values[here]], Effort.FULL)))
    for facts, (times, _, values) in zip(describe(stack, level, [one[1] for one in packed]), packed, strict=True):
        chunks.append(Chunk(facts, times, values))
    return chunks


def describe(stack: Stack, level: int, intervals_us: Sequence[int]) -> list[Facts]:
    """The facts of each piece. Of all at once, since each call of numpy costs as much as some hundred readings."""
    starts, times, values = stack.starts, stack.times_us, stack.values
    if not len(starts):
        return []
    lengths = stack.lengths
    ends = starts + lengths - 1
    is_value = ~np.isnan(values)
    with np.errstate(all="ignore"):
        totals = np.add.reduceat(values if is_value.all() else np.where(is_value, values, 0.0), starts)
    n_values = lengths if is_value.all() else np.add.reduceat(is_value, starts, dtype=np.int64)
    totals[n_values == 0] = np.nan
    columns = zip(
        stack.series_ids, stack.reach, times[starts].tolist(), times[ends].tolist(), lengths.tolist(),
        n_values.tolist(), _as_nulls(np.fmin.reduceat(values, starts)), _as_nulls(np.fmax.reduceat(values, starts)),
        _as_nulls(totals), _as_nulls(values[starts]), _as_nulls(values[ends]), intervals_us, stack.off_clock,
        strict=True,
    )  # fmt: skip
    return [
        Facts._make((series_id, RAW, reach, level, first_us // PARTITION_US[RAW], first_us, *rest))
        for series_id, reach, first_us, *rest in columns
    ]


def make_rollup_chunk(series_id: int, rollup: Rollup, resolution: int, level: int, interval_us: int) -> Chunk:
    """A chunk of rollup rows, which must lie in one partition and be at least one."""
    return make_rollup_chunks(rollup, [(series_id, slice(0, len(rollup.starts_us)), interval_us)], resolution, level)[0]


def make_rollup_chunks(
    rollup: Rollup, pieces: Sequence[tuple[int, slice, int]], resolution: int, level: int
) -> list[Chunk]:
    """Chunks of parts of these rows, each in one partition and never empty.

    `pieces`: series, where its rows are, usual interval of its readings; in order, and no row twice.
    """
    if not pieces:
        return []
    if sum(here.stop - here.start for _, here, _ in pieces) < len(rollup.starts_us):
        rollup = rollup.select(np.concatenate([np.arange(here.start, here.stop) for _, here, _ in pieces]))
    lengths = [here.stop - here.start for _, here, _ in pieces]
    ends = np.cumsum(lengths)
    starts = ends - lengths
    with np.errstate(all="ignore"):
        totals = np.add.reduceat(np.where(rollup.counts > 0, rollup.means * rollup.counts, 0.0), starts)
    n_values = np.add.reduceat(rollup.counts, starts, dtype=np.int64)
    totals[n_values == 0] = np.nan
    rows = zip(
        pieces, rollup.starts_us[starts].tolist(), rollup.starts_us[ends - 1].tolist(), lengths, n_values.tolist(),
        _as_nulls(np.fmin.reduceat(rollup.mins, starts)), _as_nulls(np.fmax.reduceat(rollup.maxs, starts)),
        _as_nulls(totals), strict=True,
    )  # fmt: skip
    facts = [
        Facts._make(
            (
                series_id,
                resolution,
                resolution,
                level,
                first_us // PARTITION_US[resolution],
                first_us,
                *rest,
                None,
                None,
                interval_us,
                0,
            )
        )
        for (series_id, _, interval_us), first_us, *rest in rows
    ]
    columns = to_columns(rollup)
    chunks = []
    for one, start, end in zip(facts, starts.tolist(), ends.tolist(), strict=True):
        effort = Effort.NONE if one.n < SMALL_ROLLUPS[level > 1] else Effort.FULL
        times = pack([rollup.starts_us[start:end]], effort)
        chunks.append(Chunk(one, times, pack([column[start:end] for column in columns], effort)))
    return chunks


def read_chunk(times: bytes, values: bytes) -> Readings:
    """The readings of a chunk of resolution RAW.

    Raises:
        Damaged: the columns do not fit together.
    """
    return join_readings(read_times(times), values)


def read_times(times: bytes) -> NDArray[np.int64]:
    """The times of a chunk, or the starts of its rows.

    Raises:
        Damaged: this is not a column of times.
    """
    columns = unpack(times)
    if len(columns) != 1 or columns[0].dtype != np.int64:
        raise Damaged("times that are none")
    return columns[0]


def join_readings(times_us: NDArray[np.int64], values: bytes) -> Readings:
    """As `read_chunk`, for times that were read before."""
    columns = unpack(values)
    if len(columns) != 1 or len(columns[0]) != len(times_us):
        raise Damaged("readings whose times and values do not fit")
    return times_us, columns[0]


def read_rollup_chunk(times: bytes, values: bytes) -> Rollup:
    """The rows of a chunk of resolution MINUTE or HOUR.

    Raises:
        Damaged: the columns do not fit together.
    """
    return join_rollup(read_times(times), values)


def join_rollup(starts_us: NDArray[np.int64], values: bytes) -> Rollup:
    """As `read_rollup_chunk`, for starts that were read before."""
    columns = unpack(values)
    if len(columns) != ROLLUP_COLUMNS or any(len(column) != len(starts_us) for column in columns):
        raise Damaged("a rollup whose columns do not fit")
    return from_columns(starts_us, columns)


def read_newest(starts_us: NDArray[np.int64], values: bytes, at_us: int) -> tuple[int, float] | None:
    """Time and value of the newest reading at or before a moment that a rollup names; None: it names only later ones.

    Without a look at the columns that are not needed for it.

    Raises:
        Damaged: the columns do not fit together.
    """
    rows = len(starts_us)
    min_offsets, max_offsets = _some_columns(values, OFFSETS, rows)
    end = int(np.searchsorted(starts_us, at_us, side="right"))
    # The bucket of this moment; and the one before, if all that it names came later.
    for row in range(end - 1, max(end - 3, -1), -1):
        start_us = int(starts_us[row])
        named = [(start_us + int(max_offsets[row]), MAXS), (start_us + int(min_offsets[row]), MINS)]
        before = [one for one in named if one[0] <= at_us]
        if before:
            time_us, which = max(before, key=lambda one: one[0])
            (column,) = _some_columns(values, slice(which, which + 1), rows)
            return time_us, float(column[row])
    return None


def _some_columns(values: bytes, which: slice, rows: int) -> Sequence[NDArray[Any]]:
    columns = unpack(values, which)
    if len(columns) != which.stop - which.start or any(len(column) != rows for column in columns):
        raise Damaged("a rollup whose columns do not fit")
    return columns


def _as_nulls(numbers: NDArray[np.float64]) -> list[float | None]:
    """Floats for SQL, which has no NaN that every database understands."""
    if not np.isnan(numbers).any():
        return cast("list[float | None]", numbers.tolist())
    return [None if number != number else number for number in numbers.tolist()]


UNROLLED = HOUR
"""Reach of readings for which there is no rollup (yet): they answer every question."""
