"""Readings as they arrived: journal blobs (frames one after another) to columns. Pure.

A quiet fleet makes a frame of every message. Decoded one by one, their numpy views would cost more than everything
else that is done with a reading; here a frame costs one header and three slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.core.frame import BYTES_PER_READING, HEADER, HEADER_BYTES, VERSION
from bridge.history.faults import Damaged


class Arrivals(NamedTuple):
    """Columns of equal length, in the order of arrival."""

    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    received_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series_ids)


EMPTY = Arrivals(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))


def split_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, frame) of each frame in `data`.

    Raises:
        Damaged: `data` is not made of whole frames.
    """
    at = 0
    while at < len(data):
        count, offset = _read_head(data, at)[:2]
        end = at + HEADER_BYTES + count * BYTES_PER_READING
        yield offset, data[at:end]
        at = end


def decode_arrivals(blobs: Iterable[bytes]) -> Arrivals:
    """All readings of the frames in `blobs`.

    Raises:
        Damaged: they are not made of whole frames.
    """
    counts: list[int] = []
    base_us: list[int] = []
    received_us: list[int] = []
    values: list[bytes] = []
    series_ids: list[bytes] = []
    deltas: list[bytes] = []
    for data in blobs:
        at = 0
        while at < len(data):
            count, _, base, received = _read_head(data, at)
            at += HEADER_BYTES
            values.append(data[at : at + 8 * count])
            series_ids.append(data[at + 8 * count : at + 12 * count])
            deltas.append(data[at + 12 * count : at + 16 * count])
            at += BYTES_PER_READING * count
            counts.append(count)
            base_us.append(base)
            received_us.append(received)
    if not counts:
        return EMPTY
    times_us = np.repeat(np.array(base_us, np.int64), counts)
    times_us += np.frombuffer(b"".join(deltas), "<u4")
    return Arrivals(
        np.frombuffer(b"".join(series_ids), "<u4"),
        times_us,
        np.frombuffer(b"".join(values), "<f8"),
        np.repeat(np.array(received_us, np.int64), counts),
    )


def sort_by_series(
    ids: NDArray[np.uint32], times_us: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.uint32], NDArray[np.int64]]:
    """The order by series, then time, then arrival; and both columns in it.

    Eight times as fast as a stable `argsort`: numpy sorts 16-bit numbers by radix, wider ones by merging.
    """
    if not len(ids):
        return np.empty(0, np.intp), ids, times_us
    order = np.argsort(ids.astype(np.uint16), kind="stable")  # the low half; cut, not clipped
    if int(ids.max()) >= 2**16:
        order = order[np.argsort((ids >> 16).astype(np.uint16)[order], kind="stable")]
    ids, times_us = ids.take(order), times_us.take(order)
    back = times_us[1:] < times_us[:-1]
    if back.any() and bool((back & (ids[1:] == ids[:-1])).any()):
        again = np.lexsort((times_us, ids))
        order, ids, times_us = order[again], ids[again], times_us[again]
    return order, ids, times_us


def _read_head(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Count, offset, base time and receive time of the frame at `at`."""
    if len(data) - at < HEADER_BYTES:
        raise Damaged("a frame cut short")
    _kind, version, _flags, count, offset, base_us, received_us, _channel, _ = HEADER.unpack_from(data, at)
    if version != VERSION or len(data) - at - HEADER_BYTES < count * BYTES_PER_READING:
        raise Damaged("bytes that are not a frame")
    return count, offset, base_us, received_us
