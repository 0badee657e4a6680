"""Devices and series as records, and as the protocol tells them: what is kept of them, and how the past is described.

The shapes are those of `Device.summary`, `Device.detail` and `Latest.describe`: a reader cannot tell a snapshot of the
past from one of the present.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NamedTuple

from bridge.core.model import Availability, Kind, Quality
from bridge.core.series import MAX_SAFE_INTEGER, Device, Series
from bridge.history.catalog import Catalog, DeviceRecord, SeriesRecord
from bridge.history.events import Event
from bridge.history.latest import State

REMOVED = "removed"
"""An availability in an event, and nowhere else: the device was forgotten at that time, at the request of its owner."""

_DEVICE_FIELDS = ("name", "convention", "native_id", "source", "manufacturer", "model", "area", "sw_version")
_SERIES_FIELDS = ("name", "unit", "unit_source", "precision", "min", "max")


class Reading(NamedTuple):
    """The newest reading of a series at a moment."""

    time_us: int
    value: float


def record_device(device: Device) -> DeviceRecord:
    """What is kept of a device: all but what comes and goes with every message, and its availability (an event)."""
    info = {field: getattr(device, field) for field in _DEVICE_FIELDS}
    return DeviceRecord(
        device.device_id,
        {**info, "first_seen_ms": device.first_seen_us // 1000, "commands": device.detail()["commands"]},
    )


def record_series(series: Series) -> SeriesRecord:
    """What is kept of a series."""
    info = {field: getattr(series, field) for field in _SERIES_FIELDS}
    info["declared"] = series.declared
    info["device_since_ms"] = series.device.first_seen_us // 1000  # a device that was removed and came back is another
    return SeriesRecord(
        series.series_id, series.device.device_id, series.metric, str(series.kind), tuple(series.texts), info
    )


def describe_device(
    record: DeviceRecord, availability: Event | None, last_seen_us: int | None, *, detail: bool
) -> dict[str, Any]:
    """As `Device.summary`, or `Device.detail`."""
    info = record.info
    data = availability.data if availability else {}
    commands = info.get("commands", {})
    return {
        "device_id": record.device_id,
        **{field: info.get(field, "") for field in _DEVICE_FIELDS if field not in ("native_id", "source")},
        "availability": data.get("availability", str(Availability.UNKNOWN)),
        "availability_since_ms": available_since_ms(availability) if availability else info.get("first_seen_ms"),
        "availability_source": data.get("source", "derived"),
        "first_seen_ms": info.get("first_seen_ms"),
        "last_seen_ms": None if last_seen_us is None else last_seen_us // 1000,
        "clock_suspect": False,
        "commands": commands if detail else list(commands),
    }


def available_since_ms(event: Event) -> int:
    """Since when it has been so. Not the time of the event where only the source of the knowledge became another."""
    return int(event.data.get("since_ms", event.time_us // 1000))


def describe_series(record: SeriesRecord, reading: Reading | None) -> dict[str, Any]:
    """As `Latest.describe`. The time of receipt is not kept for each reading; the device's own time stands for it."""
    info = record.info
    value = None if reading is None else decode(record, reading.value)
    time_ms = None if reading is None else reading.time_us // 1000
    quality = Quality.STALE if reading is None else Quality.BAD if math.isnan(reading.value) else Quality.GOOD
    return {
        "series_id": record.series_id,
        "device_id": record.device_id,
        "metric": record.metric,
        "name": info.get("name") or record.metric,
        "kind": record.kind,
        "unit": info.get("unit", ""),
        "unit_source": info.get("unit_source", ""),
        "precision": info.get("precision"),
        "min": info.get("min"),
        "max": info.get("max"),
        "texts_from": 0,
        "texts": list(record.texts),
        "value": value,
        "time_ms": time_ms,
        "received_ms": time_ms,
        "quality": str(quality),
    }


def decode(record: SeriesRecord, number: float) -> float | int | bool | str | None:
    """What a number means for this series, as `Series.decode`."""
    if math.isnan(number):
        return None
    if record.kind == Kind.BOOLEAN:
        return number != 0
    if record.kind == Kind.TEXT:
        return record.texts[int(number)] if 0 <= number < len(record.texts) else None
    if number.is_integer() and abs(number) <= MAX_SAFE_INTEGER:
        return int(number)
    return number


def current_series(catalog: Catalog, state: State, at_us: int) -> dict[int, Reading | None]:
    """The series that there were at a moment, each with its newest reading.

    Of the series of one metric (its kind changed, and with it the meaning of its numbers) it is the one that had
    begun last. Not there: the series of devices that had not appeared yet.
    """
    readings = _readings_of(state)
    chosen: dict[tuple[str, str], int] = {}
    for series_id, record in sorted(catalog.series.items()):
        device = catalog.devices.get(record.device_id)
        born_ms = device.info.get("first_seen_ms") if device else None
        if series_id not in readings and (born_ms is None or born_ms * 1000 > at_us):
            continue
        if _is_of_another_life(record, born_ms):
            continue
        key = (record.device_id, record.metric)
        if key not in chosen or series_id in readings:
            chosen[key] = series_id
    return {series_id: readings.get(series_id) for series_id in sorted(chosen.values())}


def present_series(catalog: Catalog, state: State) -> dict[int, Reading | None]:
    """The series that there are now: of each metric the one that began last, whether it has a reading yet or not."""
    readings = _readings_of(state)
    chosen: dict[tuple[str, str], int] = {}
    for series_id, record in sorted(catalog.series.items()):
        device = catalog.devices.get(record.device_id)
        if device is not None and not _is_of_another_life(record, device.info.get("first_seen_ms")):
            chosen[record.device_id, record.metric] = series_id
    return {series_id: readings.get(series_id) for series_id in sorted(chosen.values())}


def _readings_of(state: State) -> dict[int, Reading]:
    columns = state.series_ids.tolist(), state.times_us.tolist(), state.values.tolist()
    return {series_id: Reading(time_us, value) for series_id, time_us, value in zip(*columns, strict=True)}


def _is_of_another_life(record: SeriesRecord, born_ms: int | None) -> bool:
    """Whether the series belonged to a device of the same id that was removed before this one came, or came later."""
    since_ms = record.info.get("device_since_ms")
    return since_ms is not None and born_ms is not None and since_ms != born_ms


def describe_moment(
    catalog: Catalog,
    state: State,
    availability: Collection[Event],
    at_us: int,
    *,
    device_ids: Collection[str] | None = None,
    detail: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """`devices` and `series` as in a snapshot, as they were at a moment; of all devices or of some.

    A device is there from when it was first seen to when it was removed.
    """
    available = {event.device_id: event for event in availability}
    last_seen: dict[str, int] = {}
    series: list[dict[str, Any]] = []
    gone = {id_ for id_, event in available.items() if event.data.get("availability") == REMOVED}
    for series_id, reading in current_series(catalog, state, at_us).items():
        record = catalog.series[series_id]
        if record.device_id in gone or (device_ids is not None and record.device_id not in device_ids):
            continue
        series.append(describe_series(record, reading))
        if reading is not None:
            last_seen[record.device_id] = max(last_seen.get(record.device_id, 0), reading.time_us)
    devices = [
        describe_device(record, available.get(device_id), last_seen.get(device_id), detail=detail)
        for device_id, record in catalog.devices.items()
        if device_id not in gone
        and (device_ids is None or device_id in device_ids)
        and (device_id in last_seen or (record.info.get("first_seen_ms") or 0) * 1000 <= at_us)
    ]
    return {"devices": devices, "series": series}
