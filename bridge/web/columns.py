"""Answers of the history as bytes: JSON, or binary columns that a browser maps typed arrays onto. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bridge.history.catalog import SeriesRecord
from bridge.history.labels import decode_column, name_of, unit_of
from bridge.history.query import Answer

RESOLUTION_NAMES = ("readings", "minutes", "hours")
COLUMN_ALIGNMENT = 8  # bytes of a float64: typed arrays begin at multiples of it


class Table(NamedTuple):
    """An answer to one request: of each series its record and what was found."""

    from_us: int
    to_us: int
    points: int
    series: Sequence[tuple[SeriesRecord, Answer]]

    @property
    def size(self) -> int:
        return sum(len(answer.times_us) for _, answer in self.series)


def as_ms(time_us: int | None) -> int | float | None:
    """Milliseconds; whole ones as an integer."""
    if time_us is None:
        return None
    return time_us / 1000 if time_us % 1000 else time_us // 1000


def encode_json(table: Table) -> bytes:
    """Series by series: one call for millions of points would hold everybody else up."""
    parts = []
    for record, answer in table.series:
        times = answer.times_us
        whole = not (times % 1000).any()
        columns = {
            "times_ms": (times // 1000 if whole else times / 1000).tolist(),
            "values": decode_column(record, answer.values),
        }
        parts.append(msgspec.json.encode(_describe(record, answer) | columns))
    head = msgspec.json.encode(_head(table))
    return head[:-1] + b',"series":[' + b",".join(parts) + b"]}"


def encode_columns(table: Table) -> bytes:
    """u32 length of a JSON head; the head; of each series f64[count] times in ms and f64[count] values."""
    series = [_describe(record, answer) | {"count": len(answer.times_us)} for record, answer in table.series]
    head = msgspec.json.encode(_head(table) | {"series": series})
    head += b" " * (-(4 + len(head)) % COLUMN_ALIGNMENT)
    parts = [struct.pack("<I", len(head)), head]
    for _, answer in table.series:
        parts += [_bytes(answer.times_us / 1000), _bytes(answer.values)]
    return b"".join(parts)


def _head(table: Table) -> dict[str, Any]:
    return {"from_ms": as_ms(table.from_us), "to_ms": as_ms(table.to_us), "points": table.points}


def _describe(record: SeriesRecord, answer: Answer) -> dict[str, Any]:
    info: Mapping[str, Any] = record.info
    return {
        "series_id": record.series_id,
        "device_id": record.device_id,
        "metric": record.metric,
        "name": name_of(record),
        "kind": record.kind,
        "unit": unit_of(record),
        "precision": info.get("precision"),
        "texts": record.texts,
        "resolution": RESOLUTION_NAMES[answer.resolution],
        "width_ms": as_ms(answer.width_us),
        "off_clock": answer.off_clock,
        "damaged": answer.damaged,
    }


def _bytes(column: NDArray[np.float64]) -> bytes:
    return column.astype("<f8", copy=False).tobytes()
