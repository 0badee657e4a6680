"""`fleetwire export`, `backup` and `check-history`: on the store itself, whether the bridge runs or not."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bridge.core.batch import Batch
from bridge.errors import BridgeError
from bridge.history.catalog import Catalog, SeriesRecord
from bridge.history.faults import HistoryError
from bridge.history.labels import has_grown_in
from bridge.history.local_time import find_zone, parse_time
from bridge.history.parquet_rows import ParquetRows
from bridge.history.pieces import SERIES_AT_ONCE, join_answers, read_pieces
from bridge.history.query import History
from bridge.history.store import Store
from bridge.history.store_faults import describe
from bridge.history.store_sqlite import file_of, is_damage, is_sqlite
from bridge.history.text_rows import CsvRows, JsonRows, RowWriter
from bridge.settings import Settings, history_url

FORMATS: dict[str, Callable[[tzinfo], RowWriter]] = {"csv": CsvRows, "json": JsonRows, "parquet": ParquetRows}
MAX_POINTS = 100_000  # of one series: more would be nearly every reading, for which there is no --points at all
MAX_POINTS_IN_ALL = 10_000_000  # they are put in order in memory: 240 MB
ROWS_AT_ONCE = 50_000


class HistoryCommandError(BridgeError):
    """A command on the history cannot be carried out; the text is for the person at the terminal."""


class Wanted(NamedTuple):
    """What to export. No devices, metrics or times: all there are. `points` of each series; None: every reading."""

    devices: Sequence[str]
    metrics: Sequence[str]
    begin: str | None
    end: str | None
    points: int | None
    format: str
    zone: str


class _Progress:
    """A line that tells how far it is, for a person who waits."""

    def __init__(self, from_us: int, to_us: int) -> None:
        self._from_us, self._length_us = from_us, max(1, to_us - from_us)
        self._shown = sys.stderr.isatty()
        self._rows = 0

    def tell(self, at_us: int, rows: int) -> None:
        self._rows += rows
        if self._shown:
            done = 100 * (at_us - self._from_us) // self._length_us
            sys.stderr.write(f"\r{done:3} %  {self._rows:,} readings")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\n")


def export(settings: Settings, wanted: Wanted, output: Path | None) -> str:
    """Write readings to a file, or to standard output. Returns what people must know of it, if anything.

    Raises:
        HistoryCommandError: there is no history, or not what is wanted of it.
    """
    with _store(settings) as store:
        if wanted.format not in FORMATS:
            raise HistoryError(f"--format is one of {', '.join(FORMATS)}, not {wanted.format!r}")
        if output is None and wanted.format == "parquet" and sys.stdout.isatty():
            raise HistoryError("Parquet is not for a terminal; name a file with -o")
        zone = find_zone(wanted.zone)
        history = History(store)
        first_us, last_us = history.span()
        end_us = 1 if last_us is None else last_us + 1
        from_us = (first_us or 0) if wanted.begin is None else parse_time(wanted.begin)
        to_us = end_us if wanted.end is None else parse_time(wanted.end)
        if wanted.begin is not None and wanted.end is not None and from_us >= to_us:
            raise HistoryError("--to must be later than --from")
        records = _select(_catalog(store), wanted)
        writer = FORMATS[wanted.format](zone)
        if wanted.points is None:  # through what is empty there is nothing to read; but pixels are parts of the whole
            from_us, to_us = max(from_us, first_us or 0), min(to_us, end_us)
        with _open(output) as file:
            file.write(writer.begin())
            progress = _Progress(from_us, to_us)
            for at_us, batch in _batches(history, list(records), from_us, to_us, wanted.points):
                if has_grown_in(records, batch):
                    records = _select(_catalog(store), wanted)
                file.write(writer.encode(records, batch))
                progress.tell(at_us, len(batch))
            file.write(writer.end())
            progress.end()
        return str(history.damages)


def back_up(settings: Settings, target: Path) -> None:
    """A consistent copy of the history.

    Raises:
        HistoryCommandError: there is none, or it cannot be written there.
    """
    with _store(settings) as store:
        if target.is_dir() or not target.parent.is_dir():
            raise HistoryError(f"{target} is a folder" if target.is_dir() else f"there is no folder {target.parent}")
        if store.path is not None and target.exists() and target.samefile(store.path):
            raise HistoryError(f"{target} is the history itself")
        store.backup(target)


def find_damage(settings: Settings) -> list[str]:
    """What is not as it was written, in words.

    Raises:
        HistoryCommandError: there is no history.
    """
    try:
        with _store(settings) as store:
            return store.find_damage(everything=True)
    except DamagedFile as error:
        return [error.what]


class DamagedFile(HistoryCommandError):
    """The database itself cannot be read."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)

    def __str__(self) -> str:
        return f"the history is damaged: {self.what}"


@contextlib.contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    """The store as it is: never a new one in place of one that is missing or damaged."""
    url = history_url(settings)
    path = file_of(url)
    try:
        if is_sqlite(url) and (path is None or not path.is_file() or not path.stat().st_size):
            raise HistoryError(f"there is no history in {path}")
        store = Store(url)
        try:
            yield store
        finally:
            store.close()
    except (BridgeError, BrokenPipeError):
        raise
    except Exception as error:
        if is_damage(error):
            raise DamagedFile(str(getattr(error, "orig", error))) from None
        fault = describe(error)
        if not fault.known:
            raise
        raise HistoryCommandError(fault.reason.replace("cannot be written", "cannot be used")) from None


def _catalog(store: Store) -> Catalog:
    with store.reading() as snapshot:
        return snapshot.catalog()


def _select(catalog: Catalog, wanted: Wanted) -> dict[int, SeriesRecord]:
    for device_id in wanted.devices:
        if device_id not in catalog.devices and not any(one.device_id == device_id for one in catalog.series.values()):
            raise HistoryError(f"there is no device {device_id!r}")
    devices, metrics = set(wanted.devices), set(wanted.metrics)
    found = {
        series_id: one
        for series_id, one in catalog.series.items()
        if (not devices or one.device_id in devices) and (not metrics or one.metric in metrics)
    }
    for metric in wanted.metrics:
        if not any(one.metric == metric for one in found.values()):
            raise HistoryError(f"there is no metric {metric!r}")
    return found


def _batches(
    history: History, ids: Sequence[int], from_us: int, to_us: int, points: int | None
) -> Iterator[tuple[int, Batch]]:
    """(how far it is, readings), in order of time."""
    if from_us >= to_us or not ids:
        return
    if points is None:
        for piece in read_pieces(history, ids, from_us, to_us):
            yield piece.end_us, piece.batch
        return
    if not 2 <= points <= MAX_POINTS or points * len(ids) > MAX_POINTS_IN_ALL:
        raise HistoryError(f"--points is from 2 to {MAX_POINTS}, and {MAX_POINTS_IN_ALL} of all {len(ids)} series")
    whole = _points(history, ids, from_us, to_us, points)
    for at in range(0, len(whole), ROWS_AT_ONCE):
        rows = slice(at, at + ROWS_AT_ONCE)
        part = Batch(whole.series_ids[rows], whole.times_us[rows], whole.values[rows], to_us)
        yield int(part.times_us[-1]), part


def _points(history: History, ids: Sequence[int], from_us: int, to_us: int, points: int) -> Batch:
    """As many readings of each series as a chart would show."""
    groups = (ids[at : at + SERIES_AT_ONCE] for at in range(0, len(ids), SERIES_AT_ONCE))
    return join_answers([answer for group in groups for answer in history.query(group, from_us, to_us, points)])


@contextlib.contextmanager
def _open(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that has its name only once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = output.with_name(f"{output.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        raise HistoryCommandError(f"cannot write {output}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
