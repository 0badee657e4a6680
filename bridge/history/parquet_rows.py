"""Readings as Parquet, through pyarrow: the one place that knows it. An extra: `pip install fleetwire[parquet]`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

import numpy as np

from bridge.core.batch import Batch
from bridge.core.model import Kind
from bridge.history.catalog import SeriesRecord
from bridge.history.faults import NotInstalled
from bridge.history.labels import decode_column, unit_of

# Rows that go into one group. Readers skip and decompress whole groups; the rows wait in memory until it is full.
ROWS_PER_GROUP = 200_000


class _Sink(io.RawIOBase):
    """A file that forgets what was taken from it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._written += len(self._parts[-1])
        return len(self._parts[-1])

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class ParquetRows:
    """`time, device_id, metric, unit, value, text`: numbers and booleans (0, 1) in `value`, texts in `text`."""

    def __init__(self, zone: tzinfo) -> None:
        """Raises NotInstalled: there is no pyarrow."""
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise NotInstalled("Parquet needs the package pyarrow: pip install fleetwire[parquet]") from None
        self._pa = pa
        word = pa.dictionary(pa.int32(), pa.string())
        self._schema = pa.schema(
            [
                ("time", pa.timestamp("us", tz=str(zone))),
                ("device_id", word),
                ("metric", word),
                ("unit", word),
                ("value", pa.float64()),
                ("text", pa.string()),
            ]
        )
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema)
        self._waiting: list[Any] = []
        self._rows = 0

    def begin(self) -> bytes:
        return self._sink.take()

    def encode(self, records: Mapping[int, SeriesRecord], batch: Batch) -> bytes:
        if len(batch):
            self._waiting.append(self._table(records, batch))
            self._rows += len(batch)
        if self._rows >= ROWS_PER_GROUP:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        self._write()
        self._writer.close()
        return self._sink.take()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(self._pa.concat_tables(self._waiting), row_group_size=ROWS_PER_GROUP)
            self._waiting, self._rows = [], 0

    def _table(self, records: Mapping[int, SeriesRecord], batch: Batch) -> Any:
        pa = self._pa
        ids, which = np.unique(batch.series_ids, return_inverse=True)
        series = [records[series_id] for series_id in ids.tolist()]

        def words(texts: list[str]) -> Any:
            different, codes = np.unique(np.array(texts, object), return_inverse=True)
            return pa.DictionaryArray.from_arrays(
                pa.array(codes[which], pa.int32()), pa.array(different.tolist(), pa.string())
            )

        values, texts = batch.values.copy(), np.full(len(batch), None, object)
        for at, record in enumerate(series):
            if record.kind == Kind.TEXT:
                here = which == at
                texts[here] = decode_column(record, batch.values[here])
                values[here] = np.nan
        columns = [
            pa.array(batch.times_us).cast(self._schema.field("time").type),
            words([record.device_id for record in series]),
            words([record.metric for record in series]),
            words([unit_of(record) for record in series]),
            pa.array(values, mask=np.isnan(values)),
            pa.array(texts.tolist(), pa.string()),
        ]
        return pa.table(columns, schema=self._schema)
