"""The fleet as it was when the bridge last ended: names, units, series ids and latest values."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.core.fleet import Fleet
from bridge.core.model import Availability, CommandInfo, Kind
from bridge.core.series import Device, Series
from bridge.history.archive import Moment
from bridge.history.catalog import Catalog, DeviceRecord, SeriesRecord
from bridge.history.events import Event
from bridge.history.portrait import REMOVED, available_since_ms, present_series


def revive_fleet(fleet: Fleet, moment: Moment, now_us: int) -> None:
    """Fill an empty fleet. Latest values are marked stale until a live one comes; who was online is held to be so
    until it has been silent for too long, and who was removed stays away."""
    available = {event.device_id: event for event in moment.availability}
    gone = {id_ for id_, event in available.items() if event.data.get("availability") == REMOVED}
    readings = present_series(moment.catalog, moment.state)
    last_seen: dict[str, int] = {}
    for series_id, reading in readings.items():
        if reading is not None:
            device_id = moment.catalog.series[series_id].device_id
            last_seen[device_id] = max(last_seen.get(device_id, 0), reading.time_us)
    for device_id, series_ids in _by_device(moment.catalog, readings).items():
        if device_id in gone:
            continue
        device = revive_device(moment.catalog.devices[device_id], available.get(device_id), last_seen.get(device_id, 0))
        all_series = [revive_series(moment.catalog.series[series_id], device) for series_id in series_ids]
        fleet.restore(device, all_series, now_us)
        for one in all_series:
            reading = readings[one.series_id]
            if reading is not None:
                fleet.latest.set_retained(one.series_id, reading.value, reading.time_us, reading.time_us)
    fleet.begin_ids(moment.catalog.next_series_id)


def revive_device(record: DeviceRecord, availability: Event | None, last_seen_us: int) -> Device:
    info = record.info
    born_us = int(info.get("first_seen_ms") or 0) * 1000
    device = Device(
        record.device_id, info.get("native_id", record.device_id), info.get("convention", ""), info.get("source", ""),
        born_us,
    )  # fmt: skip
    for field in ("name", "manufacturer", "model", "area", "sw_version"):
        setattr(device, field, info.get(field, ""))
    device.commands = {
        name: CommandInfo(
            one.get("title", ""), one.get("description", ""), one.get("schema", {}), one.get("danger", False)
        )
        for name, one in info.get("commands", {}).items()
    }
    device.last_seen_us = last_seen_us
    if availability is not None and availability.data.get("availability") in set(Availability):
        device.availability = Availability(availability.data["availability"])
        device.availability_source = availability.data.get("source", "derived")
        device.availability_since_us = available_since_ms(availability) * 1000
    return device


def revive_series(record: SeriesRecord, device: Device) -> Series:
    series = Series(record.series_id, device, record.metric)
    info = record.info
    series.kind = Kind(record.kind)
    series.declared = bool(info.get("declared"))
    series.name, series.unit, series.unit_source = (
        info.get("name", ""),
        info.get("unit", ""),
        info.get("unit_source", ""),
    )
    series.precision, series.min, series.max = info.get("precision"), info.get("min"), info.get("max")
    series.texts = list(record.texts)
    series.text_codes = {text: code for code, text in enumerate(record.texts)}
    return series


def _by_device(catalog: Catalog, series_ids: Iterable[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {device_id: [] for device_id in catalog.devices}
    for series_id in series_ids:
        device_id = catalog.series[series_id].device_id
        if device_id in found:
            found[device_id].append(series_id)
    return found
