"""Readings as rows of text, one for each reading: CSV (RFC 4180) and JSON (one object a line). Pure.

A writer has three methods: `begin`, `encode` for each batch, `end`; all give bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Protocol

import numpy as np

from bridge.core.batch import Batch
from bridge.history.catalog import SeriesRecord
from bridge.history.labels import json_text, unit_of, write_values
from bridge.history.local_time import write_times

CSV_HEADER = b"time,device_id,metric,unit,value\r\n"
# A spreadsheet takes a cell that begins so for a formula, whoever wrote it (OWASP, CSV injection). Names and texts come
# from devices: these get an apostrophe in front, and so does one that begins with an apostrophe. Numbers are ours.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
# What numpy writes down in one call, which stops all other threads meanwhile: a few milliseconds.
ROWS_AT_ONCE = 4_096


class RowWriter(Protocol):
    """Writes readings down. `encode` may keep some back until there are more; `end` gives what is left."""

    def begin(self) -> bytes: ...
    def encode(self, records: Mapping[int, SeriesRecord], batch: Batch) -> bytes: ...
    def end(self) -> bytes: ...


class CsvRows:
    """`time,device_id,metric,unit,value`. A null reading has an empty value; an empty text is `""`."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def begin(self) -> bytes:
        return CSV_HEADER

    def encode(self, records: Mapping[int, SeriesRecord], batch: Batch) -> bytes:
        def labels(record: SeriesRecord) -> str:
            return "".join(f",{_cell(text)}" for text in (record.device_id, record.metric, unit_of(record)))

        columns = _columns(records, batch, self._zone, labels, lambda text: _cell(text) or '""', "")
        parts = ["".join([f"{time}{label},{value}\r\n" for time, label, value in rows]) for rows in columns]
        return "".join(parts).encode("utf-8", "replace")

    def end(self) -> bytes:
        return b""


class JsonRows:
    """One object a line, with the same fields."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def begin(self) -> bytes:
        return b""

    def encode(self, records: Mapping[int, SeriesRecord], batch: Batch) -> bytes:
        def labels(record: SeriesRecord) -> str:
            texts = (json_text(text) for text in (record.device_id, record.metric, unit_of(record)))
            return '"device_id":{},"metric":{},"unit":{}'.format(*texts)

        columns = _columns(records, batch, self._zone, labels, json_text, "null")
        parts = [
            "".join([f'{{"time":"{time}",{label},"value":{value}}}\n' for time, label, value in rows])
            for rows in columns
        ]
        return "".join(parts).encode("utf-8", "replace")

    def end(self) -> bytes:
        return b""


def _columns(
    records: Mapping[int, SeriesRecord],
    batch: Batch,
    zone: tzinfo,
    write_labels: Callable[[SeriesRecord], str],
    write_text: Callable[[str], str],
    null: str,
) -> Iterator[zip[tuple[str, str, str]]]:
    """(time, labels, value) of each reading, some thousands at a time."""
    present = np.unique(batch.series_ids).tolist()
    labels = {series_id: write_labels(records[series_id]) for series_id in present}
    texts = {series_id: [write_text(text) for text in records[series_id].texts] for series_id in present}
    for at in range(0, len(batch), ROWS_AT_ONCE):
        rows = slice(at, at + ROWS_AT_ONCE)
        part = Batch(batch.series_ids[rows], batch.times_us[rows], batch.values[rows], batch.server_time_us)
        yield zip(
            write_times(part.times_us, zone),
            [labels[series_id] for series_id in part.series_ids.tolist()],
            write_values(records, part, texts, null),
            strict=True,
        )


def _cell(text: str) -> str:
    if text.startswith(FORMULA_SIGNS):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text
