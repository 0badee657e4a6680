"""The past over HTTP: every answer against the readings that were written, and every bad question refused."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import struct
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.history import archive as archive_module
from bridge.history import pieces
from bridge.history.catalog import Births, SeriesRecord
from bridge.history.pieces import join_answers
from bridge.history.query import Answer
from bridge.web import download, stream
from bridge.web.columns import Table, encode_columns, encode_json
from bridge.web.guard import SECURITY_HEADERS
from bridge.web.stream import safe_file_name
from tests.unit.history.scene import START_US, Scene
from tests.unit.web.helpers import BEARER, Site, eventually
from tests.unit.web.past import (
    DOOR,
    HOSTILE,
    HOSTILE_SERIES,
    HOUR_MS,
    LAST_S,
    LATE,
    MODE,
    SERIES,
    START_MS,
    TEMPERATURE,
    S,
    serving,
    written,
)

SPAN = {"from": START_MS, "to": START_MS + 2 * HOUR_MS}


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Scene]:
    with written(f"sqlite:///{tmp_path}/history.db") as one:
        yield one


@pytest.fixture
async def site(dashboard: Path, past: Scene) -> AsyncIterator[Site]:
    async with serving(dashboard, past) as site:
        yield site


async def ask(site: Site, what: str, query: Any, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    """Status, headers and body of `GET /api/v1/<what>`."""
    url = f"{site.url}/api/v1/{what}?{urlencode(query, doseq=True)}"
    async with site.http.get(url, headers={**BEARER, **(headers or {})}) as response:
        for name, value in SECURITY_HEADERS.items():
            assert response.headers.getall(name) == [value]
        return response.status, response.headers, await response.read()


async def ask_json(site: Site, what: str, query: Any) -> Any:
    status, headers, body = await ask(site, what, query)
    assert status == 200, body
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Cache-Control"] == "no-store"
    return json.loads(body)


async def refusal(site: Site, what: str, query: Any) -> tuple[int, str, str]:
    status, _, body = await ask(site, what, query)
    error = json.loads(body)["error"]
    return status, error["code"], error["message"]


def expected_rows(
    past: Scene, ids: list[int], from_us: int, to_us: int, zone: Any = UTC
) -> list[tuple[str, str, str, str, Any]]:
    """What a file must say, by the readings that were told."""
    rows = []
    for series_id in ids:
        record = SERIES[series_id]
        for time_us, value in past.model()[series_id].items():
            if not from_us <= time_us < to_us:
                continue
            meaning: Any = None if math.isnan(value) else value
            if record.kind == "boolean":
                meaning = bool(value)
            elif record.kind == "text":
                meaning = record.texts[int(value)]
            time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
            unit = str(record.info.get("unit", ""))
            rows.append((time_us, ids.index(series_id), time.astimezone(zone), record, unit, meaning))
    rows.sort(key=lambda row: row[:2])
    return [
        (time.isoformat(timespec="microseconds"), record.device_id, record.metric, unit, meaning)
        for _, _, time, record, unit, meaning in rows
    ]


def parse_csv(body: bytes) -> list[tuple[str, str, str, str, Any]]:
    header, *rows = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
    assert header == ["time", "device_id", "metric", "unit", "value"]
    # A text that would be a formula has an apostrophe in front.
    rows = [[row[0], *(cell.removeprefix("'") for cell in row[1:])] for row in rows]
    numbers = {SERIES[TEMPERATURE].metric, SERIES[HOSTILE_SERIES].metric}
    words = {"true": True, "false": False}
    return [
        (*row[:4], (float(row[4]) if row[4] else None) if row[2] in numbers else words.get(row[4], row[4]))
        for row in rows
    ]


def parse_columns(body: bytes) -> tuple[dict[str, Any], list[tuple[list[float], list[float]]]]:
    (length,) = struct.unpack_from("<I", body)
    assert (4 + length) % 8 == 0
    head = json.loads(body[4 : 4 + length])
    numbers = np.frombuffer(body, "<f8", offset=4 + length)
    columns, at = [], 0
    for one in head["series"]:
        count = one["count"]
        columns.append((numbers[at : at + count].tolist(), numbers[at + count : at + 2 * count].tolist()))
        at += 2 * count
    assert at == len(numbers)
    return head, columns


# ----- JSON and columns -------------------------------------------------------------------------------------


async def test_history_as_json(site: Site, past: Scene) -> None:
    answer = await ask_json(site, "history", {"series_id": TEMPERATURE, "points": 10_000, **SPAN})

    assert (answer["from_ms"], answer["to_ms"], answer["points"]) == (START_MS, START_MS + 2 * HOUR_MS, 10_000)
    [series] = answer["series"]
    told = list(past.model()[TEMPERATURE].items())
    assert series["times_ms"] == [time_us // 1000 for time_us, _ in told]
    assert series["values"] == [None if math.isnan(value) else value for _, value in told]
    assert {
        name: series[name] for name in ("series_id", "device_id", "metric", "name", "kind", "unit", "precision")
    } == {
        "series_id": TEMPERATURE,
        "device_id": "hall/2",
        "metric": "temperature",
        "name": "Temperature",
        "kind": "number",
        "unit": "°C",
        "precision": 1,
    }
    assert (series["resolution"], series["width_ms"], series["damaged"], series["texts"]) == ("readings", 0, 0, [])


async def test_booleans_and_texts_are_told_as_such_and_times_keep_their_microseconds(site: Site) -> None:
    answer = await ask_json(site, "history", {"device_id": "door", **SPAN})

    door, mode = answer["series"]
    assert (door["name"], door["values"][:3]) == ("open", [False, True, False])
    assert door["times_ms"][:2] == [START_MS + 0.007, START_MS + 60_000.007]
    assert mode["texts"] == ["auto", 'say "hi", then\ngo', ""]
    assert set(mode["values"]) == set(mode["texts"])


async def test_columns_say_what_json_says(site: Site) -> None:
    query = {"series_id": [TEMPERATURE, MODE, HOSTILE_SERIES], "points": 300, **SPAN}
    answer = await ask_json(site, "history", query)
    for extra, headers in (({"format": "binary"}, {}), ({}, {"Accept": "application/vnd.fleetwire.columns"})):
        status, sent, body = await ask(site, "history", {**query, **extra}, headers)

        assert status == 200
        assert sent["Content-Type"] == "application/vnd.fleetwire.columns"
        head, columns = parse_columns(body)
        for series, told, (times, values) in zip(head["series"], answer["series"], columns, strict=True):
            assert series == {k: v for k, v in told.items() if k not in ("times_ms", "values")} | {"count": len(times)}
            assert times == told["times_ms"]
            meant = [None if math.isnan(v) else told["texts"][int(v)] if told["texts"] else v for v in values]
            assert meant == told["values"]


answers = st.integers(0, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-(2**52), 2**52), min_size=n, max_size=n).map(sorted),
        st.lists(st.floats(allow_infinity=False), min_size=n, max_size=n),
        st.integers(0, 2),
        st.integers(0, 10**12),
    )
)
NAMES = st.text(max_size=12)


@settings(max_examples=150)
@given(st.lists(st.tuples(answers, NAMES), max_size=4))
def test_columns_and_json_hold_any_answer(some: list[Any]) -> None:
    series = []
    for number, ((times, values, resolution, width), name) in enumerate(some):
        record = SeriesRecord(number, name, name, "number", (), {"unit": name})
        answer = Answer(number, np.array(times, np.int64), np.array(values), resolution, width, 1, 2)
        series.append((record, answer))
    table = Table(0, 1, 2, series)

    head, columns = parse_columns(encode_columns(table))
    told = json.loads(encode_json(table))

    assert len(head["series"]) == len(told["series"]) == len(some)
    for (answer_of, name), one, other, (times, values) in zip(
        some, head["series"], told["series"], columns, strict=True
    ):
        assert one["device_id"] == other["device_id"] == name
        assert times == other["times_ms"] == [t / 1000 for t in answer_of[0]]
        assert repr(values) == repr(list(map(float, answer_of[1])))
        assert other["values"] == [None if math.isnan(v) else v for v in answer_of[1]]
    batch = join_answers([answer for _, answer in series])
    points = [
        (t, number, v)
        for number, (answer_of, _) in enumerate(some)
        for t, v in zip(answer_of[0], answer_of[1], strict=True)
        if not math.isnan(v)
    ]
    told_points = list(zip(batch.times_us.tolist(), batch.series_ids.tolist(), batch.values.tolist(), strict=True))
    assert [(t, n) for t, n, _ in told_points] == [(t, n) for t, n, _ in sorted(points, key=lambda p: p[:2])]
    assert sorted(told_points) == sorted(points)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2026-01-01T00:00:00", "2026-01-01T02:00:00Z"),
        ("2026-01-01", "2026-01-01T03:00:00+01:00"),
        ("2025-12-31T19:00:00-05:00", "2026-01-01 02:00:00"),
        (f"{START_MS}.000", f"{START_MS + 2 * HOUR_MS}.0"),
    ],
)
async def test_times_may_be_iso_8601(site: Site, begin: str, end: str) -> None:
    answer = await ask_json(site, "history", {"series_id": TEMPERATURE, "from": begin, "to": end})
    assert (answer["from_ms"], answer["to_ms"]) == (START_MS, START_MS + 2 * HOUR_MS)


async def test_a_plus_that_was_not_encoded_is_still_an_offset(site: Site) -> None:
    url = f"{site.url}/api/v1/history?series_id=0&from=2026-01-01T01:00:00+01:00&to={START_MS + HOUR_MS}"
    async with site.http.get(url, headers=BEARER) as response:
        assert (await response.json())["from_ms"] == START_MS


async def test_one_device_or_some_of_its_metrics(site: Site) -> None:
    async def found(**query: Any) -> list[int]:
        return [one["series_id"] for one in (await ask_json(site, "history", {**query, **SPAN}))["series"]]

    assert await found(device_id="door") == [DOOR, MODE]
    assert await found(device_id="door", metric="mode") == [MODE]
    assert await found(device_id="door", metric=["mode", "open"]) == [DOOR, MODE]
    assert await found(device_id="hall/2") == [TEMPERATURE]
    assert await found(device_id=HOSTILE) == [HOSTILE_SERIES]
    assert await found(series_id=[2, 0, 2, 0]) == [2, 0]


async def test_a_series_that_is_younger_than_our_catalog_is_found_and_so_is_a_new_text(site: Site, past: Scene) -> None:
    await ask_json(site, "history", {"series_id": MODE, **SPAN})
    late = SeriesRecord(LATE, "door", "late", "number", (), {})
    longer = SERIES[MODE]._replace(texts=(*SERIES[MODE].texts, "new"))
    with past.store.writing() as writer:
        writer.save_births(Births((), (late, longer)), START_US)
    end_us = START_US + (LAST_S + 60) * S
    past.append([(LATE, end_us, 1.5), (MODE, end_us, 3.0)])
    span = {"from": START_MS, "to": START_MS + 3 * HOUR_MS}

    mode = await ask_json(site, "history", {"series_id": MODE, **span})
    assert mode["series"][0]["values"][-1] == "new"
    answer = await ask_json(site, "history", {"series_id": LATE, **span})
    assert answer["series"][0]["values"] == [1.5]


# ----- bad questions ----------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({"from": 0}, 400, "invalid_message", "to is missing"),
    ({"to": 0}, 400, "invalid_message", "from is missing"),
    ({"from": 5, "to": 5}, 400, "invalid_message", "later"),
    ({"from": 6, "to": 5}, 400, "invalid_message", "later"),
    ({"from": 0, "to": 10**18}, 400, "invalid_message", "to: a time is"),
    ({"from": -(10**14) * 9, "to": 0}, 400, "invalid_message", "between the years"),
    ({"from": "9" * 400, "to": 1}, 400, "invalid_message", "from: a time is"),
    ({"from": "yesterday", "to": 1}, 400, "invalid_message", "from: a time is"),
    ({"from": "1e3", "to": 1}, 400, "invalid_message", "from: a time is"),
    ({"from": "NaN", "to": 1}, 400, "invalid_message", "from: a time is"),
    ({"from": "٣", "to": 9}, 400, "invalid_message", "from: a time is"),
    ({"from": "", "to": 1}, 400, "invalid_message", "from: a time is"),
    ({"from": "0001-01-01T00:00:00+23:59", "to": 1}, 400, "invalid_message", "between the years"),
    ({"from": "9999-12-31", "to": "9999-12-31T23:59:59"}, 400, "invalid_message", "between the years"),
    ({"from": [1, 2], "to": 9}, 400, "invalid_message", "from is given twice"),
    ({"points": 1}, 400, "invalid_message", "points"),
    ({"points": 20_001}, 400, "invalid_message", "points"),
    ({"points": "many"}, 400, "invalid_message", "points"),
    ({"points": "-5"}, 400, "invalid_message", "points"),
    ({"format": "xml"}, 400, "invalid_message", "format is one of"),
    ({"format": ["csv", "json"]}, 400, "invalid_message", "twice"),
    ({"pionts": 5}, 400, "invalid_message", "pionts"),
    ({"series_id": 77}, 404, "not_found", "no series 77"),
    ({"series_id": -1}, 400, "invalid_message", "series_id"),
    ({"series_id": "0x1"}, 400, "invalid_message", "series_id"),
    ({"series_id": 10**30}, 400, "invalid_message", "series_id"),
    ({"series_id": 0, "device_id": "door"}, 400, "invalid_message", "not both"),
    ({"series_id": 0, "metric": "mode"}, 400, "invalid_message", "not both"),
    ({"metric": "mode"}, 400, "invalid_message", "missing"),
    ({}, 400, "invalid_message", "missing"),
    ({"device_id": "nobody"}, 404, "unknown_device", "nobody"),
    ({"device_id": ["door", "hall/2"]}, 400, "invalid_message", "twice"),
    ({"device_id": "door", "metric": ["mode", "x"]}, 404, "not_found", "no metric 'x'"),
    ({"series_id": 0, "format": "csv", "tz": "Europe/Nowhere"}, 400, "invalid_message", "time zone"),
    ({"series_id": 0, "format": "csv", "tz": "../../etc/passwd"}, 400, "invalid_message", "time zone"),
    ({"series_id": 0, "format": "csv", "tz": "Europe"}, 400, "invalid_message", "time zone"),
    ({"series_id": 0, "format": "csv", "tz": "/etc/localtime"}, 400, "invalid_message", "time zone"),
    ({"series_id": 0, "format": "parquet", "tz": ""}, 400, "invalid_message", "time zone"),
    ({"series_id": 0, "format": "csv", "tz": "a\0b"}, 400, "invalid_message", "time zone"),
]


@pytest.mark.parametrize(("query", "status", "code", "words"), WRONG)
async def test_bad_questions_are_refused_in_plain_words(
    site: Site, query: dict[str, Any], status: int, code: str, words: str
) -> None:
    span = {} if {"from", "to"} & set(query) else SPAN
    if span == {}:
        query = {"series_id": 0, **query}
    found = await refusal(site, "history", {**span, **query})
    assert found[:2] == (status, code)
    assert words in found[2]
    assert len(found[2]) < 300
    if "points" not in query and "format" not in query and "pionts" not in query:
        assert (await refusal(site, "statistics", {**span, **query}))[:2] == (status, code)


async def test_too_many_series_or_points_are_refused(site: Site, past: Scene) -> None:
    crowd = tuple(SeriesRecord(100 + n, "crowd", f"m{n}", "number", (), {}) for n in range(1_001))
    with past.store.writing() as writer:
        writer.save_births(Births((), crowd), START_US)

    assert "1000 series" in (await refusal(site, "history", {"device_id": "crowd", **SPAN}))[2]
    few = {"device_id": "crowd", "metric": [f"m{n}" for n in range(101)], **SPAN}
    assert "2000000" in (await refusal(site, "history", {"points": 20_000, **few}))[2]
    assert len((await ask_json(site, "history", few))["series"]) == 101
    # A download of all readings holds a piece at a time, however many series there are.
    status, _, body = await ask(site, "history", {"device_id": "crowd", "format": "csv", **SPAN})
    assert (status, body) == (200, b"time,device_id,metric,unit,value\r\n")


@pytest.mark.parametrize("what", ["history", "statistics", "fleet", "events", "span"])
async def test_without_a_history_it_is_said_so(site: Site, what: str) -> None:
    site.operations.archive = None
    assert (await refusal(site, what, {}))[:2] == (404, "no_history")


@pytest.mark.parametrize("what", ["history", "statistics", "fleet", "events", "span"])
async def test_who_has_no_token_learns_nothing(site: Site, what: str) -> None:
    async with site.http.get(f"{site.url}/api/v1/{what}?from=0&to=1&series_id=0&at=1") as response:
        assert response.status == 401


async def test_too_many_questions_at_once_are_told_to_come_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_WAITING", 0)
    status, headers, body = await ask(site, "history", {"series_id": 0, **SPAN})
    assert (status, json.loads(body)["error"]["code"]) == (503, "busy")
    assert int(headers["Retry-After"]) >= 1


async def test_a_damaged_journal_is_our_fault_and_says_what_to_do(site: Site, past: Scene) -> None:
    with past.store.writing() as writer:
        writer.connection.exec_driver_sql("UPDATE history_journal SET data = zeroblob(length(data))")
    status, code, message = await refusal(site, "history", {"series_id": 0, **SPAN})
    assert (status, code) == (500, "internal")
    assert "check-history" in message


# ----- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
async def test_csv_is_every_reading(site: Site, past: Scene, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 500)
    ids = [HOSTILE_SERIES, TEMPERATURE, DOOR, MODE]
    begin_us, end_us = START_US + 5 * S + 1, START_US + 7_000 * S
    query = {"series_id": ids, "from": begin_us / 1000, "to": end_us // 1000, "format": "csv", "tz": zone}

    status, headers, body = await ask(site, "history", query)

    assert status == 200
    assert headers["Content-Type"].startswith("text/csv")
    assert headers["Content-Disposition"] == 'attachment; filename="fleetwire.csv"'
    assert parse_csv(body) == expected_rows(past, ids, begin_us, end_us, ZoneInfo(zone))


async def test_csv_with_points_is_what_the_chart_shows(site: Site) -> None:
    query = {"series_id": [TEMPERATURE, DOOR], "points": 60, **SPAN}
    answer = await ask_json(site, "history", query)
    _, _, body = await ask(site, "history", query, {"Accept": "text/csv"})

    shown = [
        (time_ms, series["metric"], value)
        for series in answer["series"]
        for time_ms, value in zip(series["times_ms"], series["values"], strict=True)
        if value is not None
    ]
    rows = [(datetime.fromisoformat(row[0]).timestamp() * 1000, row[2], row[4]) for row in parse_csv(body)]
    assert [row[1:] for row in rows] == [one[1:] for one in sorted(shown, key=lambda one: one[0])]
    assert [row[0] for row in rows] == pytest.approx(sorted(one[0] for one in shown), abs=0.001)


async def test_parquet_is_every_reading(site: Site, past: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 500)
    ids = [TEMPERATURE, MODE]
    query = {"series_id": ids, "format": "parquet", "tz": "Europe/Berlin", **SPAN}

    status, headers, body = await ask(site, "history", query)

    assert (status, headers["Content-Type"]) == (200, "application/vnd.apache.parquet")
    rows = pq.read_table(io.BytesIO(body)).to_pylist()
    expected = expected_rows(past, ids, START_US, START_US + 7200 * S, ZoneInfo("Europe/Berlin"))
    assert len(rows) == len(expected)
    for row, (time, device_id, metric, unit, value) in zip(rows, expected, strict=True):
        assert row["time"].isoformat(timespec="microseconds") == time
        assert (row["device_id"], row["metric"], row["unit"]) == (device_id, metric, unit)
        assert row["text" if metric == "mode" else "value"] == value


async def test_without_pyarrow_it_is_said_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    status, code, message = await refusal(site, "history", {"series_id": 0, "format": "parquet", **SPAN})
    assert (status, code) == (501, "not_available")
    assert "pip install fleetwire[parquet]" in message


async def test_a_file_of_nothing_has_a_header(site: Site) -> None:
    query = {"series_id": 0, "from": 0, "to": 1000, "format": "csv"}
    assert (await ask(site, "history", query))[2] == b"time,device_id,metric,unit,value\r\n"
    _, _, body = await ask(site, "history", {**query, "format": "parquet"})
    assert pq.read_table(io.BytesIO(body)).num_rows == 0


async def test_head_tells_of_a_file_and_reads_nothing(site: Site) -> None:
    url = f"{site.url}/api/v1/history?{urlencode({'series_id': 0, 'format': 'csv', **SPAN})}"
    async with site.http.head(url, headers=BEARER) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/csv")


async def test_a_download_that_fails_half_way_does_not_look_whole(
    site: Site, past: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 100)
    read = archive_module.read_piece
    calls = 0

    def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise RuntimeError("the disk is gone")
        return read(*args)

    monkeypatch.setattr(archive_module, "read_piece", failing)
    with pytest.raises(Exception, match=r"(?i)payload|closed|disconnected|transfer"):
        await ask(site, "history", {"series_id": 0, "format": "csv", **SPAN})
    assert (await ask(site, "history", {"series_id": 0, "format": "csv", **SPAN}))[0] == 200


async def test_busy_readers_delay_a_download_and_do_not_break_it(
    site: Site, past: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 1000)
    monkeypatch.setattr(download, "TRY_AGAIN_S", 0.001)
    read = archive_module.read_piece
    calls = 0

    def busy_at_times(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise archive_module.Busy
        return read(*args)

    monkeypatch.setattr(archive_module, "read_piece", busy_at_times)
    _, _, body = await ask(site, "history", {"series_id": 0, "format": "csv", **SPAN})
    assert parse_csv(body) == expected_rows(past, [0], START_US, START_US + LAST_S * S)


async def test_a_reader_that_stops_is_waited_for_with_bounded_memory_and_then_cut(
    site: Site, past: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 1000)
    monkeypatch.setattr(pieces, "MAX_LENGTH_US", 600 * S)
    monkeypatch.setattr(stream, "UNREAD_TIMEOUT_S", 0.5)
    read = archive_module.read_piece
    calls = 0

    def large(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        piece = read(args[0], args[1], START_US, START_US + 600 * S, 600 * S)
        return piece._replace(end_us=args[2] + 1, length_us=1)  # for ever

    monkeypatch.setattr(archive_module, "read_piece", large)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=2**10)
    query = urlencode({"series_id": 0, "format": "csv", **SPAN})
    head = f"GET /api/v1/history?{query} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
    writer.write(f"{head}Authorization: {BEARER['Authorization']}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await eventually(lambda: site.counters.closed_slow == 1, 20)
    asked = calls
    await asyncio.sleep(0.1)
    assert calls == asked < 1_000
    writer.transport.abort()


async def test_so_many_downloads_at_once_and_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_DOWNLOADS", 0)
    query = {"series_id": 0, "format": "csv", **SPAN}
    status, headers, body = await ask(site, "history", query)
    assert (status, json.loads(body)["error"]["code"]) == (503, "busy")
    assert headers["Retry-After"]
    monkeypatch.setattr(download, "MAX_DOWNLOADS", 1)
    for _ in range(3):  # each gives its place back
        assert (await ask(site, "history", query))[0] == 200


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("door.csv", "door.csv"),
        ("../../etc/passwd.csv", "etc-passwd.csv"),
        ('a"; filename="b.exe.csv', "a-filename-b-exe.csv"),
        ("ä\r\nSet-Cookie: x.csv", "Set-Cookie-x.csv"),
        ("<script>.html", "script.html"),
        ("💥.csv", "fleetwire.csv"),
        (f"{'x' * 500}.csv", f"{'x' * 100}.csv"),
    ],
)
def test_file_names_are_safe(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


# ----- statistics, fleet, events, span ----------------------------------------------------------------------


async def test_statistics(site: Site, past: Scene) -> None:
    answer = await ask_json(site, "statistics", {"series_id": [TEMPERATURE, DOOR, MODE], **SPAN})

    temperature, door, mode = answer["statistics"]
    told = [(t // 1000, v) for t, v in past.model()[TEMPERATURE].items() if not math.isnan(v)]
    values = [v for _, v in told]
    assert temperature["mean"] == pytest.approx(sum(values) / len(values), abs=1e-3)
    del temperature["mean"]
    assert temperature == {
        "series_id": TEMPERATURE,
        "device_id": "hall/2",
        "metric": "temperature",
        "count": len(values),
        "min": min(values),
        "max": max(values),
        "first": values[0],
        "last": values[-1],
        "min_time_ms": told[values.index(min(values))][0],
        "max_time_ms": told[values.index(max(values))][0],
        "first_time_ms": told[0][0],
        "last_time_ms": told[-1][0],
    }
    assert (door["min"], door["max"], door["first"], door["last"], door["mean"]) == (False, True, False, True, 0.5)
    assert (mode["count"], mode["min"], mode["mean"], mode["first"], mode["last"]) == (120, None, None, "auto", "")
    empty = await ask_json(site, "statistics", {"series_id": 0, "from": 0, "to": 1000})
    assert empty["statistics"][0]["count"] == 0
    assert {empty["statistics"][0][key] for key in ("min", "max", "mean", "first", "last", "min_time_ms")} == {None}


async def test_the_fleet_at_a_moment(site: Site) -> None:
    answer = await ask_json(site, "fleet", {"at": START_MS + 1_000_000})
    assert answer["at_ms"] == START_MS + 1_000_000
    devices = {one["device_id"]: one for one in answer["devices"]}
    assert set(devices) == {"hall/2", "door", HOSTILE}
    assert devices["door"]["availability"] == "offline"
    series = {one["series_id"]: one for one in answer["series"]}
    assert (series[TEMPERATURE]["value"], series[TEMPERATURE]["time_ms"]) == (
        20 + round(5 * math.sin(1000 / 600), 2),
        START_MS + 1_000_000,
    )
    assert series[MODE]["value"] == SERIES[MODE].texts[1]
    before = await ask_json(site, "fleet", {"at": "2025-01-01"})
    assert (before["devices"], before["series"]) == ([], [])
    assert (await refusal(site, "fleet", {}))[:2] == (400, "invalid_message")
    assert (await refusal(site, "fleet", {"at": 10**18}))[:2] == (400, "invalid_message")


async def test_events(site: Site) -> None:
    async def times(**query: Any) -> list[tuple[float, str]]:
        answer = await ask_json(site, "events", {**SPAN, **query})
        return [(one["time_ms"] - START_MS, one["kind"]) for one in answer["events"]]

    online, note, offline = (0, "availability"), (1.5, "note"), (600_000, "availability")
    assert await times() == [offline, note, online]
    assert await times(order="oldest") == [online, note, offline]
    assert await times(limit=1) == [offline]
    assert await times(limit=2, order="oldest") == [online, note]
    assert await times(kind="note") == [note]
    assert await times(kind=["note", "availability"], device_id="door") == [offline, online]
    assert await times(device_id="nobody") == []
    [event] = (await ask_json(site, "events", {**SPAN, "kind": "note"}))["events"]
    assert (event["data"], event["device_id"]) == ({"text": "hello", "author": "x"}, "")
    assert event["event_id"] > 0
    for wrong in ({"kind": "x"}, {"limit": 0}, {"limit": 10_001}, {"order": "random"}, {"x": 1}):
        assert (await refusal(site, "events", {**SPAN, **wrong}))[:2] == (400, "invalid_message")


async def test_the_span(site: Site) -> None:
    assert await ask_json(site, "span", {}) == {
        "first_ms": START_MS,
        "last_ms": START_MS + (LAST_S - 1) * 1000,
        "now_ms": site.now_us // 1000,
        "kept_from_ms": {"readings": None, "minutes": None, "hours": None},
    }
