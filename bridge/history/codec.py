"""Columns of numbers <-> bytes. Pure; the only file that knows pcodec.

Layout, little endian: u8 version, u8 number of columns; for each column u8 form, u8 type, u32 bytes; then the bodies.
A column is bit for bit what it was: NaN, infinities and -0.0 included.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from enum import Enum
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from bridge.history.faults import Damaged

Column: TypeAlias = NDArray[Any]

VERSION = 1
_HEAD = struct.Struct("<BB")
_ENTRY = struct.Struct("<BBI")
_BODY = _HEAD.size + _ENTRY.size  # where the body of a single column begins
_PLAIN, _PCODEC = 0, 1
_TYPES = tuple(np.dtype(name) for name in ("<f8", "<i8", "<u4", "<u2"))
_TYPE_CODES = {dtype: code for code, dtype in enumerate(_TYPES)}
_PLAIN_HEADS = {
    (_HEAD.pack(VERSION, 1) + _ENTRY.pack(_PLAIN, code, 0))[:-4]: dtype for dtype, code in _TYPE_CODES.items()
}


class Effort(Enum):
    """What to spend on a column. `NONE`: not compressed, for what is rewritten soon.

    pcodec's levels go from 0 to 12. Measured on an hour of a simulated sensor, µs and bytes a value: level 1 0.038 and
    0.59, level 4 0.080 and 0.49, level 8 0.088 and 0.49; on half a day level 4 0.106 and 0.49, level 8 0.093 and 0.46.
    Level 1 takes three times the room of level 8 for a week of readings every two minutes.
    """

    NONE = None
    FULL = ChunkConfig(compression_level=8)


def pack(columns: Sequence[Column], effort: Effort) -> bytes:
    """The columns (f64, i64, u32 or u16) as bytes."""
    entries, bodies = [_HEAD.pack(VERSION, len(columns))], []
    for column in columns:
        column = np.ascontiguousarray(column)
        if effort is not Effort.NONE and len(column):
            form, body = _PCODEC, standalone.simple_compress(column, effort.value)
        else:
            form, body = _PLAIN, column.tobytes()
        entries.append(_ENTRY.pack(form, _TYPE_CODES[column.dtype], len(body)))
        bodies.append(body)
    return b"".join((*entries, *bodies))


def pack_each(column: Column, starts: Sequence[int]) -> list[bytes]:
    """For each stretch of the column, from one start to the next, what `pack([stretch], Effort.NONE)` makes of it.

    In one pass: a fleet has thousands of series, and each call of numpy costs as much as a hundred numbers.
    """
    data, size, code = column.tobytes(), column.dtype.itemsize, _TYPE_CODES[column.dtype]
    ends = [*starts[1:], len(column)]
    head = _HEAD.pack(VERSION, 1)
    return [
        head + _ENTRY.pack(_PLAIN, code, (end - start) * size) + data[start * size : end * size]
        for start, end in zip(starts, ends, strict=True)
    ]


def unpack(data: bytes, which: slice = slice(None)) -> list[Column]:
    """The columns in `data`, or some of them.

    Raises:
        Damaged: these bytes do not come from `pack`.
    """
    plain = _PLAIN_HEADS.get(data[: _BODY - 4])
    if plain is not None and len(data) - _BODY == int.from_bytes(data[_BODY - 4 : _BODY], "little"):
        # What was just sealed: thousands of small columns, for which all that follows takes longer than to read them.
        if (len(data) - _BODY) % plain.itemsize:
            raise Damaged("columns cut short")
        return [np.frombuffer(data, plain, offset=_BODY)][which]
    try:
        version, count = _HEAD.unpack_from(data)
        if version != VERSION:
            raise Damaged(f"columns of version {version}")
        at = _HEAD.size + count * _ENTRY.size
        columns = []
        wanted = range(count)[which]
        for number in range(count):
            form, type_code, length = _ENTRY.unpack_from(data, _HEAD.size + number * _ENTRY.size)
            body = data[at : at + length]
            if len(body) != length:
                raise Damaged("columns cut short")
            at += length
            if number not in wanted:
                continue
            dtype = _TYPES[type_code]
            column = np.frombuffer(body, dtype) if form == _PLAIN else standalone.simple_decompress(body)
            if column is None or column.dtype != dtype:
                raise Damaged("a column of another type")
            columns.append(column)
    except (struct.error, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise Damaged(f"columns: {error}") from error
    return columns


def checksum(data: bytes) -> int:
    """CRC-32: a database notices a torn page, but not a flipped bit in the middle of a blob."""
    return zlib.crc32(data)


def content_id(data: bytes) -> int:
    """A number from 0 to 2**63 - 1 that stands for these bytes, and fits a SQL BIGINT."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") >> 1
