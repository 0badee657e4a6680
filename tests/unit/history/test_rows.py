"""Readings written down: every row of a file is the reading that it was made from, whatever its names hold."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import Batch, make_batch
from bridge.history import parquet_rows
from bridge.history.catalog import SeriesRecord
from bridge.history.faults import NotInstalled
from bridge.history.labels import decode_column, has_grown, has_grown_in
from bridge.history.local_time import MAX_TIME_US, MIN_TIME_US, write_offset, write_times
from bridge.history.parquet_rows import ParquetRows
from bridge.history.text_rows import CsvRows, JsonRows, RowWriter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Africa/Monrovia", "Australia/Lord_Howe"]
NASTY = ["plain", "", 'quo"te', "com,ma", "new\r\nline", "=1+1", "ünï💥", "<script>", "nan", "1.0", "true", " x ", "\\"]

zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.one_of(
    st.integers(MIN_TIME_US, MAX_TIME_US),
    st.integers(-3_000_000_000_000_000, 3_000_000_000_000_000),
    # round the hours at which clocks are changed, of all years
    st.integers(0, 400_000).map(lambda half: half * 1_800_000_000 + (half % 3 - 1) * 1_000_000),
)
finite = st.floats(allow_nan=True, allow_infinity=False)


def plain_time(time_us: int, zone: tzinfo) -> str:
    return (EPOCH + timedelta(microseconds=time_us)).astimezone(zone).isoformat(timespec="microseconds")


@settings(max_examples=300)
@given(st.lists(times, max_size=20), zones)
def test_times_are_those_of_datetime(some: list[int], zone: ZoneInfo) -> None:
    # Microseconds and offsets are all that `isoformat` and we disagree about: an offset of whole seconds is written so.
    assert write_times(np.array(some, np.int64), zone) == [plain_time(one, zone) for one in some]


def test_the_hour_that_comes_twice_is_told_apart_by_its_offset() -> None:
    at = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()) * 1_000_000
    assert write_times(np.array([at, at + 3_600_000_000]), ZoneInfo("Europe/Berlin")) == [
        "2026-10-25T02:30:00.000000+02:00",
        "2026-10-25T02:30:00.000000+01:00",
    ]


def test_clocks_that_are_changed_within_an_hour() -> None:
    at = int(datetime(2026, 10, 3, 15, 30, tzinfo=UTC).timestamp()) * 1_000_000
    assert write_times(np.array([at - 1, at]), ZoneInfo("Australia/Lord_Howe")) == [
        "2026-10-04T01:59:59.999999+10:30",
        "2026-10-04T02:30:00.000000+11:00",
    ]


def test_offsets() -> None:
    assert write_offset(0) == "+00:00"
    assert write_offset(-12_600_000_000) == "-03:30"
    assert write_offset(3_208_000_000) == "+00:53:28"


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[int, SeriesRecord], Batch]:
    records = {}
    names = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
    for series_id in draw(st.sets(st.integers(0, 50), min_size=1, max_size=4)):
        kind = draw(st.sampled_from(["number", "boolean", "text", "unknown"]))
        texts = tuple(draw(st.lists(names, max_size=4, unique=True))) if kind == "text" else ()
        info = draw(st.sampled_from([{}, {"unit": "°C"}, {"unit": 'a"b,c'}]))
        records[series_id] = SeriesRecord(series_id, draw(names), draw(names), kind, texts, info)
    rows = draw(st.lists(st.tuples(st.sampled_from(sorted(records)), times), max_size=30))
    values = []
    for series_id, _ in rows:
        record = records[series_id]
        if record.kind in ("number", "unknown"):
            values.append(draw(finite))
        else:
            top = 1 if record.kind == "boolean" else len(record.texts)
            values.append(draw(st.one_of(st.just(math.nan), st.integers(0, top).map(float))))
    return records, make_batch([row[0] for row in rows], [row[1] for row in rows], values, 0)


def meaning(record: SeriesRecord, number: float) -> Any:
    if math.isnan(number):
        return None
    if record.kind == "boolean":
        return number != 0
    if record.kind == "text":
        return record.texts[int(number)] if number < len(record.texts) else None
    return number


def model(records: dict[int, SeriesRecord], batch: Batch, zone: tzinfo) -> list[tuple[str, str, str, str, Any]]:
    return [
        (
            plain_time(time_us, zone),
            records[series_id].device_id,
            records[series_id].metric,
            str(records[series_id].info.get("unit", "")),
            meaning(records[series_id], value),
        )
        for series_id, time_us, value in zip(
            batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True
        )
    ]


def write(writer: RowWriter, records: dict[int, SeriesRecord], batches: list[Batch]) -> bytes:
    return writer.begin() + b"".join(writer.encode(records, batch) for batch in batches) + writer.end()


def halves(batch: Batch) -> list[Batch]:
    first = np.arange(len(batch)) < len(batch) // 2
    return [batch.select(first), batch.select(~first)]


def as_told(cell: str) -> str:
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), "a spreadsheet would calculate it"
    return cell.removeprefix("'")


def test_no_text_is_a_formula_and_numbers_are_numbers() -> None:
    texts = ("=1+1", "-2", "'quoted'", "+x", "@SUM(A1)", "\ta", "ok=1")
    records = {
        0: SeriesRecord(0, "=cmd|' /C calc'!A0", "-m", "text", texts, {"unit": "@u"}),
        1: SeriesRecord(1, "d", "m", "number", (), {}),
    }
    batch = make_batch([0] * len(texts) + [1], range(len(texts) + 1), [*map(float, range(len(texts))), -5.0], 0)
    _, *rows = csv.reader(io.StringIO(write(CsvRows(UTC), records, [batch]).decode(), newline=""), strict=True)
    assert rows[0][1:4] == ["'=cmd|' /C calc'!A0", "'-m", "'@u"]
    assert [row[4] for row in rows] == ["'=1+1", "'-2", "''quoted'", "'+x", "'@SUM(A1)", "'\ta", "ok=1", "-5"]


@settings(max_examples=200)
@given(tables(), zones)
def test_csv_says_every_reading(table: tuple[dict[int, SeriesRecord], Batch], zone: ZoneInfo) -> None:
    records, batch = table
    text = write(CsvRows(zone), records, halves(batch)).decode()

    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)

    assert header == ["time", "device_id", "metric", "unit", "value"]
    expected = model(records, batch, zone)
    assert [(row[0], *map(as_told, row[1:4])) for row in rows] == [row[:4] for row in expected]
    for written, (*_, value) in zip((row[4] for row in rows), expected, strict=True):
        if isinstance(value, bool) or value is None:
            assert written == {True: "true", False: "false", None: ""}[value]
        elif isinstance(value, str):
            assert as_told(written) == value
        else:
            assert float(written) == value
            assert not written.endswith(".0")
    assert text.count("\n") == text.count("\r\n") or any("\n" in field for row in rows for field in row)


def test_an_empty_text_is_not_a_null_in_csv() -> None:
    records = {0: SeriesRecord(0, "d", "m", "text", ("",), {})}
    text = write(CsvRows(UTC), records, [make_batch([0, 0], [0, 1], [0.0, math.nan], 0)]).decode()
    assert text.split("\r\n")[1:] == [
        '1970-01-01T00:00:00.000000+00:00,d,m,,""',
        "1970-01-01T00:00:00.000001+00:00,d,m,,",
        "",
    ]


@settings(max_examples=200)
@given(tables(), zones)
def test_json_lines_say_every_reading(table: tuple[dict[int, SeriesRecord], Batch], zone: ZoneInfo) -> None:
    records, batch = table
    lines = write(JsonRows(zone), records, halves(batch)).decode().split("\n")
    assert lines.pop() == ""
    assert [tuple(json.loads(line).values()) for line in lines] == model(records, batch, zone)
    assert all(list(json.loads(line)) == ["time", "device_id", "metric", "unit", "value"] for line in lines)


@settings(max_examples=100, deadline=None)
@given(tables(), st.sampled_from(ZONES), st.integers(1, 20))
def test_parquet_says_every_reading(table: tuple[dict[int, SeriesRecord], Batch], zone: str, group: int) -> None:
    records, batch = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_rows, "ROWS_PER_GROUP", group)
        data = write(ParquetRows(ZoneInfo(zone)), records, halves(batch))

    found = pq.read_table(io.BytesIO(data))

    assert found.schema.names == ["time", "device_id", "metric", "unit", "value", "text"]
    assert str(found.schema.field("time").type) == f"timestamp[us, tz={zone}]"
    assert found.column("time").cast("int64").to_pylist() == batch.times_us.tolist()
    columns = [found.column(name).to_pylist() for name in ("device_id", "metric", "unit", "value", "text")]
    for (*labels, value, text), (_, *expected, meant) in zip(
        zip(*columns, strict=True), model(records, batch, UTC), strict=True
    ):
        assert labels == expected
        assert (value, text) == ((None, meant) if isinstance(meant, str) else (meant, None))


def test_without_pyarrow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotInstalled, match=r"pip install fleetwire\[parquet\]"):
        ParquetRows(UTC)


def test_texts_that_came_up_later_are_noticed() -> None:
    text = SeriesRecord(3, "d", "m", "text", ("a", "b"), {})
    number = SeriesRecord(0, "d", "n", "number", (), {})
    assert not has_grown(text, np.array([0.0, 1.0, np.nan]))
    assert has_grown(text, np.array([0.0, 2.0]))
    assert not has_grown(number, np.array([5.0]))
    assert not has_grown_in({0: number, 3: text}, make_batch([0, 3, 3], [0, 0, 1], [9.0, 1.0, math.nan], 0))
    assert has_grown_in({0: number, 3: text}, make_batch([0, 3, 3], [0, 0, 1], [9.0, 1.0, 2.0], 0))
    assert not has_grown_in({}, make_batch([], [], [], 0))
    assert decode_column(text, np.array([1.0, np.nan, 2.0, -1.0])) == ["b", None, None, None]
