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
    """Columns of equal length, in the order of arrival; the offset is that of the frame a reading came in."""

    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    received_us: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series_ids)

    def select(self, which: NDArray[np.bool_] | slice) -> Arrivals:
        return Arrivals(
            self.series_ids[which],
            self.times_us[which],
            self.values[which],
            self.received_us[which],
            self.offsets[which],
        )

    @staticmethod
    def join(parts: list[Arrivals]) -> Arrivals:
        if len(parts) == 1:
            return parts[0]
        parts = [EMPTY, *parts]
        return Arrivals(
            np.concatenate([part.series_ids for part in parts]),
            np.concatenate([part.times_us for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.received_us for part in parts]),
            np.concatenate([part.offsets for part in parts]),
        )


EMPTY = Arrivals(
    np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
)


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
    heads: list[tuple[int, int, int]] = []  # offset, base time, received
    values: list[bytes] = []
    series_ids: list[bytes] = []
    deltas: list[bytes] = []
    for data in blobs:
        at = 0
        while at < len(data):
            count, *head = _read_head(data, at)
            at += HEADER_BYTES
            values.append(data[at : at + 8 * count])
            series_ids.append(data[at + 8 * count : at + 12 * count])
            deltas.append(data[at + 12 * count : at + 16 * count])
            at += BYTES_PER_READING * count
            counts.append(count)
            heads.append((head[0], head[1], head[2]))
    if not counts:
        return EMPTY
    columns = np.repeat(np.array(heads, dtype=np.int64), counts, axis=0)
    return Arrivals(
        np.frombuffer(b"".join(series_ids), "<u4"),
        np.frombuffer(b"".join(deltas), "<u4") + columns[:, 1],
        np.frombuffer(b"".join(values), "<f8"),
        columns[:, 2],
        columns[:, 0],
    )


def _read_head(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Count, offset, base time and receive time of the frame at `at`."""
    if len(data) - at < HEADER_BYTES:
        raise Damaged("a frame cut short")
    _kind, version, _flags, count, offset, base_us, received_us, _channel, _ = HEADER.unpack_from(data, at)
    if version != VERSION or len(data) - at - HEADER_BYTES < count * BYTES_PER_READING:
        raise Damaged("bytes that are not a frame")
    return count, offset, base_us, received_us
