"""Downloads of readings as CSV or Parquet: as they are read, so that years fit through a few megabytes of memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import tzinfo

from aiohttp import web

from bridge.core.batch import Batch
from bridge.history.archive import Archive, Busy
from bridge.history.catalog import SeriesRecord
from bridge.history.labels import has_grown_in
from bridge.history.parquet_rows import ParquetRows
from bridge.history.pieces import FIRST_LENGTH_US, Piece, join_answers
from bridge.history.text_rows import CsvRows, RowWriter
from bridge.web.columns import Table
from bridge.web.selection import Selector
from bridge.web.stream import Stream

log = logging.getLogger(__name__)

ROW_TYPES = {"csv": "text/csv; charset=utf-8; header=present", "parquet": "application/vnd.apache.parquet"}
MAX_DOWNLOADS = 4  # at once: each holds some tens of megabytes, and work for a reader of the history
ROWS_AT_ONCE = 50_000  # of points, which are all in memory already
# Tries to ask on in the middle of a download when too many questions wait; a second between them.
TRIES = 30
TRY_AGAIN_S = 1.0


class Downloads:
    """All downloads of one server."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector
        self.under_way = 0

    async def send_readings(
        self,
        stream: Stream,
        archive: Archive,
        records: Mapping[int, SeriesRecord],
        from_us: int,
        to_us: int,
        format_: str,
        zone: tzinfo,
    ) -> web.StreamResponse:
        """Every reading of these series in [from, to), in order of time."""
        async with self.place(stream):
            writer = await make_writer(format_, zone)
            span = await archive.span()
            if span.first_us is None or span.last_us is None:
                to_us = from_us
            else:
                from_us, to_us = max(from_us, span.first_us), min(to_us, span.last_us + 1)
            ids, length_us = list(records), FIRST_LENGTH_US
            await stream.begin(ROW_TYPES[format_], _file_name(records, format_))
            await stream.send(writer.begin())
            while from_us < to_us and stream.wants_body:
                piece = await self._read(archive, ids, from_us, to_us, length_us)
                if has_grown_in(records, piece.batch):
                    records = await self._selector.again(archive, records)
                await stream.send(await asyncio.to_thread(writer.encode, records, piece.batch))
                from_us, length_us = piece.end_us, piece.length_us
            await stream.send(await asyncio.to_thread(writer.end))
            return await stream.end()

    async def send_points(self, stream: Stream, table: Table, format_: str, zone: tzinfo) -> web.StreamResponse:
        """The points of an answer: the very readings that a chart of it shows."""
        async with self.place(stream):
            writer = await make_writer(format_, zone)
            records = {record.series_id: record for record, _ in table.series}
            batch = await asyncio.to_thread(join_answers, [answer for _, answer in table.series])
            await stream.begin(ROW_TYPES[format_], _file_name(records, format_))
            await stream.send(writer.begin())
            for at in range(0, len(batch), ROWS_AT_ONCE):
                rows = slice(at, at + ROWS_AT_ONCE)
                part = Batch(batch.series_ids[rows], batch.times_us[rows], batch.values[rows], batch.server_time_us)
                await stream.send(await asyncio.to_thread(writer.encode, records, part))
            await stream.send(await asyncio.to_thread(writer.end))
            return await stream.end()

    @asynccontextmanager
    async def place(self, stream: Stream) -> AsyncIterator[None]:
        """A place among the downloads; and when one fails half way, an end that nobody mistakes for a good one."""
        if self.under_way >= MAX_DOWNLOADS:
            raise TooMany
        self.under_way += 1
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            if not stream.has_begun:
                raise
            stream.cut()
            if isinstance(error, ConnectionResetError | asyncio.CancelledError):
                raise
            log.exception("a download was broken off")
            raise ConnectionResetError("broken off") from error
        finally:
            self.under_way -= 1

    async def _read(self, archive: Archive, ids: list[int], from_us: int, to_us: int, length_us: int) -> Piece:
        for _ in range(TRIES):
            try:
                return await archive.piece(ids, from_us, to_us, length_us)
            except Busy:
                await asyncio.sleep(TRY_AGAIN_S)
        return await archive.piece(ids, from_us, to_us, length_us)


class TooMany(Busy):
    """Too many downloads are under way."""

    def __str__(self) -> str:
        return f"{MAX_DOWNLOADS} downloads are under way already; try again when one has ended"


async def make_writer(format_: str, zone: tzinfo) -> RowWriter:
    """In a thread: the first one imports a large package."""
    return await asyncio.to_thread(ParquetRows if format_ == "parquet" else CsvRows, zone)


def _file_name(records: Mapping[int, SeriesRecord], format_: str) -> str:
    devices = {record.device_id for record in records.values()}
    return f"{devices.pop() if len(devices) == 1 else 'fleetwire'}.{format_}"
