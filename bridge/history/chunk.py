"""Chunks: a stretch of one series, as columns and the facts about them. Pure.

A chunk has a resolution and a reach. Readings are resolution RAW; their reach is the coarsest resolution for whose
questions they must be read because no rollup stands for them. So for a question at resolution r the chunks with
`resolution <= r <= reach` are the whole truth, each reading in it once: that is the one rule of this history.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bridge.history.codec import pack, unpack
from bridge.history.faults import Damaged
from bridge.history.reduce import usual_interval
from bridge.history.rollup import ROLLUP_COLUMNS, Rollup, from_columns, to_columns
from bridge.history.spans import HOUR, PARTITION_US, RAW

# Readings of one chunk at most. A state of the whole fleet at a moment reads one chunk of each series: at 16,384
# that is 0.3 ms a series; a fourth of it takes a tenth more room, four times as much saves nothing.
MAX_READINGS = 16_384
# From here on a chunk is left alone: merging it once more would cost more than it saves.
FULL_READINGS = 8_192
# Rows of a rollup chunk below which it is not compressed: six columns of an hour's minutes would take 0.2 ms, to be
# merged and compressed again half a day later.
SMALL_ROLLUP = 128

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


class SharedTimes:
    """Columns of times, compressed once for all series of a device. For the length of one transaction."""

    def __init__(self) -> None:
        self._packed: dict[bytes, tuple[bytes, int]] = {}

    def pack(self, times_us: NDArray[np.int64]) -> tuple[bytes, int]:
        """The column compressed, and the usual interval."""
        content = times_us.tobytes()
        known = self._packed.get(content)
        if known is None:
            known = self._packed[content] = pack([times_us], compress=True), usual_interval(times_us)
        return known


def make_chunk(
    series_id: int, readings: Readings, *, reach: int, level: int, off_clock: int, shared: SharedTimes
) -> Chunk:
    """A compressed chunk of readings, which must lie in one partition and be at least one."""
    times, values = readings
    packed, interval_us = shared.pack(times)
    known = values[~np.isnan(values)]
    facts = Facts(
        series_id, RAW, reach, level, int(times[0]) // PARTITION_US[RAW], int(times[0]), int(times[-1]), len(times),
        len(known), as_null(known.min()) if len(known) else None, as_null(known.max()) if len(known) else None,
        sum_of(known), as_null(values[0]), as_null(values[-1]), interval_us, off_clock,
    )  # fmt: skip
    return Chunk(facts, packed, pack([values], compress=True))


def make_rollup_chunk(series_id: int, rollup: Rollup, resolution: int, level: int, interval_us: int) -> Chunk:
    """A chunk of rollup rows, which must lie in one partition and be at least one."""
    known = rollup.counts > 0
    some = bool(known.any())
    starts = rollup.starts_us
    with np.errstate(all="ignore"):
        total = float(np.sum(rollup.means[known] * rollup.counts[known])) if some else np.nan
    facts = Facts(
        series_id, resolution, resolution, level, int(starts[0]) // PARTITION_US[resolution],
        int(starts[0]), int(starts[-1]), len(starts), int(rollup.counts.sum(dtype=np.int64)),
        as_null(rollup.mins[known].min()) if some else None, as_null(rollup.maxs[known].max()) if some else None,
        as_null(total), None, None, interval_us, 0,
    )  # fmt: skip
    compress = len(starts) >= SMALL_ROLLUP
    return Chunk(facts, pack([starts], compress=compress), pack(to_columns(rollup), compress=compress))


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


def as_null(number: float) -> float | None:
    """A float for SQL, which has no NaN that every database understands."""
    number = float(number)
    return None if number != number else number


def sum_of(values: NDArray[np.float64]) -> float | None:
    with np.errstate(all="ignore"):
        return as_null(values.sum()) if len(values) else None


UNROLLED = HOUR
"""Reach of readings for which there is no rollup (yet): they answer every question."""
