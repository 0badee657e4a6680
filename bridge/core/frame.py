"""The binary frame: a batch as the bytes that go to disk and to every dashboard. See docs/protocol.md.

Little endian. A 40-byte header, then the columns value f64, series_id u32, dt_us u32: the widest column first,
so that every column is aligned and a browser maps typed arrays onto it without copying.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import FEW, Batch

HEADER = struct.Struct("<BBHIQqqII")
HEADER_BYTES = HEADER.size  # 40
BYTES_PER_READING = 16
VERSION = 1

KIND_READINGS = 1
KIND_RECENT = 2  # the recent past that follows a snapshot; does not advance the channel's offset
KIND_MERGED = 3  # what a slow reader missed, merged; takes it to the frame's offset in one step

MAX_SPAN_US = 2**32 - 1  # dt_us is a u32: 71 minutes


class FrameError(ValueError):
    """Bytes that are not a frame of this version."""


class Frame(NamedTuple):
    """A decoded frame."""

    kind: int
    offset: int
    channel_no: int
    server_time_us: int
    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]


def encode_frame(batch: Batch, *, offset: int, channel_no: int, kind: int = KIND_READINGS) -> bytes:
    """The frame of a batch whose times span at most 71 minutes (`split_by_span` sees to that).

    Raises:
        FrameError: the times are further apart than `dt_us` can say.
    """
    count = len(batch)
    if 0 < count <= FEW:
        return _encode_few(batch, offset, channel_no, kind)
    base_time_us = int(batch.times_us.min()) if count else 0
    if count and int(batch.times_us.max()) - base_time_us > MAX_SPAN_US:
        raise FrameError("the readings of one frame span more than 71 minutes")
    delta = batch.times_us - base_time_us
    header = HEADER.pack(kind, VERSION, 0, count, offset, base_time_us, batch.server_time_us, channel_no, 0)
    return b"".join((header, batch.values.tobytes(), batch.series_ids.tobytes(), delta.astype("<u4").tobytes()))


def _encode_few(batch: Batch, offset: int, channel_no: int, kind: int) -> bytes:
    """The same without calls of numpy, which for a few readings would be most of the cost."""
    times_us = batch.times_us.tolist()
    base_us = min(times_us)
    if max(times_us) - base_us > MAX_SPAN_US:
        raise FrameError("the readings of one frame span more than 71 minutes")
    header = HEADER.pack(kind, VERSION, 0, len(times_us), offset, base_us, batch.server_time_us, channel_no, 0)
    deltas = struct.pack(f"<{len(times_us)}I", *[time_us - base_us for time_us in times_us])
    return b"".join((header, batch.values.tobytes(), batch.series_ids.tobytes(), deltas))


def decode_frame(data: bytes) -> Frame:
    """The frame in `data`; values and series ids are views onto it, not copies.

    Raises:
        FrameError: too short, too long, or of another version.
    """
    if len(data) < HEADER_BYTES:
        raise FrameError(f"{len(data)} bytes are too few for a header")
    kind, version, _flags, count, offset, base_time_us, server_time_us, channel_no, _ = HEADER.unpack_from(data)
    if version != VERSION:
        raise FrameError(f"version {version} is not known")
    if len(data) != HEADER_BYTES + count * BYTES_PER_READING:
        raise FrameError(f"{len(data)} bytes do not hold {count} readings")
    values = np.frombuffer(data, "<f8", count, HEADER_BYTES)
    series_ids = np.frombuffer(data, "<u4", count, HEADER_BYTES + 8 * count)
    delta = np.frombuffer(data, "<u4", count, HEADER_BYTES + 12 * count)
    times_us = delta.astype(np.int64) + base_time_us
    return Frame(kind, offset, channel_no, server_time_us, series_ids, times_us, values)


def split_by_span(batch: Batch) -> Iterator[Batch]:
    """The batch as one batch, or as several when late data stretches it over more than 71 minutes.

    Within each part the order of arrival is kept; the newest part comes last, so that whoever applies the
    parts in turn ends with the newest values.
    """
    if len(batch) <= FEW:  # the usual case, on a quiet line: without calls of numpy
        times_us = batch.times_us.tolist()
        if not times_us or max(times_us) - min(times_us) <= MAX_SPAN_US:
            return iter((batch,) if times_us else ())
    rest = batch
    parts: list[Batch] = []
    while len(rest):
        newest = int(rest.times_us.max())
        near = rest.times_us >= newest - MAX_SPAN_US
        if near.all():
            parts.append(rest)
            break
        parts.append(rest.select(near))
        rest = rest.select(~near)
    return reversed(parts)
