"""What is kept of devices and series tells of them what they told themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from bridge.core.model import Availability, CommandInfo, Kind, MetricInfo
from bridge.core.series import Device, Series
from bridge.history.catalog import Catalog, DeviceRecord, SeriesRecord
from bridge.history.events import AVAILABILITY, Event
from bridge.history.latest import State
from bridge.history.portrait import (
    REMOVED,
    Reading,
    current_series,
    decode,
    describe_device,
    describe_moment,
    describe_series,
    present_series,
    record_device,
    record_series,
)
from tests.unit.history.databases import examples
from tests.unit.history.kept import NOW_US, STEPS, S, kept, play

Described = dict[str, Any]


def by_id(told: list[Described], key: str) -> dict[Any, Described]:
    return {one[key]: one for one in told}


def without(one: Described, *fields: str) -> Described:
    return {key: value for key, value in one.items() if key not in fields}


# ----- one record -----------------------------------------------------------------------------------------


def a_device() -> Device:
    device = Device("native:d", "d", "native", "mqtt", NOW_US)
    device.name, device.manufacturer, device.model, device.area, device.sw_version = "Pump", "Acme", "P1", "Hall", "1.2"
    device.commands = {"reboot": CommandInfo(danger=True), "set": CommandInfo("Set", "sets", {"type": "object"})}
    device.set_availability(Availability.OFFLINE, "lwt", NOW_US + 5 * S)
    device.last_seen_us = NOW_US + 3 * S
    return device


def test_a_device_is_described_from_its_record_as_it_describes_itself() -> None:
    device = a_device()
    offline = Event(NOW_US + 5 * S, AVAILABILITY, "native:d", {"availability": "offline", "source": "lwt"})
    record = record_device(device)
    assert describe_device(record, offline, NOW_US + 3 * S, detail=False) == device.summary()
    assert describe_device(record, offline, NOW_US + 3 * S, detail=True) == device.detail()
    assert list(describe_device(record, offline, None, detail=False)) == list(device.summary())


def test_a_device_of_which_nothing_but_its_birth_is_known() -> None:
    device = Device("d", "d", "native", "mqtt", NOW_US)
    assert describe_device(record_device(device), None, None, detail=False) == device.summary()


@pytest.mark.parametrize(
    ("kind", "texts", "value"),
    [
        ("number", (), 1.5), ("number", (), 7.0), ("number", (), -0.0), ("number", (), 2.0**53), ("number", (), 1e300),
        ("boolean", (), 0.0), ("boolean", (), 1.0), ("text", ("open", "shut"), 0.0), ("text", ("open", "shut"), 1.0),
        ("text", ("open",), 5.0), ("text", (), -1.0), ("unknown", (), 3.0), ("number", (), math.nan),
        ("text", ("open",), math.nan),
    ],
)  # fmt: skip
def test_a_value_means_what_it_means_to_the_series(kind: str, texts: tuple[str, ...], value: float) -> None:
    series = Series(3, a_device(), "m")
    series.kind, series.texts = Kind(kind), list(texts)
    mine, its = decode(record_series(series), value), series.decode(value)
    assert mine == its
    assert type(mine) is type(its)


def test_a_series_without_a_reading_is_stale_and_one_without_a_value_is_bad() -> None:
    record = SeriesRecord(1, "d", "m", "number", (), {})
    assert describe_series(record, None)["quality"] == "stale"
    assert describe_series(record, None)["time_ms"] is None
    assert describe_series(record, Reading(NOW_US, math.nan))["quality"] == "bad"
    assert describe_series(record, Reading(NOW_US, math.nan))["value"] is None
    assert describe_series(record, Reading(NOW_US, 2.0))["quality"] == "good"
    assert describe_series(record, None)["name"] == "m"


# ----- a moment -------------------------------------------------------------------------------------------


@given(STEPS)
@examples(40)
def test_a_snapshot_of_the_present_from_the_store_is_that_of_the_fleet(steps: list[tuple[Any, ...]]) -> None:
    with kept() as one:
        play(one, steps)
        moment = one.moment()
        told = describe_moment(moment.catalog, moment.state, moment.availability, one.now_us)
        details = describe_moment(moment.catalog, moment.state, moment.availability, one.now_us, detail=True)
        fleet = one.fleet
        mine = by_id(told["devices"], "device_id")
        assert set(mine) == set(fleet.devices)
        for device_id, device in fleet.devices.items():
            # When it was last heard is kept with its readings only.
            assert without(mine[device_id], "last_seen_ms") == without(device.summary(), "last_seen_ms")
            assert by_id(details["devices"], "device_id")[device_id]["commands"] == device.detail()["commands"]
        series = by_id(told["series"], "series_id")
        present = present_series(moment.catalog, moment.state)
        assert {id_ for id_ in present if moment.catalog.series[id_].device_id in fleet.devices} == set(fleet.series)
        for series_id, live in fleet.series.items():
            if series_id not in series:
                # Described as another kind, but without a reading of it yet: the old one is still what was measured.
                assert fleet.latest.describe(live)["time_ms"] is None
                continue
            expected = fleet.latest.describe(live)
            assert without(series[series_id], "received_ms") == without(expected, "received_ms")


def test_who_was_online_how_and_since_when() -> None:
    with kept() as one:
        one.says("d", m=1)
        one.now_us += S
        one.flush()
        one.now_us += 10 * S
        one.becomes("d", "online", "birth")  # the same, from a better source
        one.flush()
        (device,) = one.fleet.devices.values()
        moment = one.moment()
        (told,) = describe_moment(moment.catalog, moment.state, moment.availability, one.now_us)["devices"]
        assert (told["availability"], told["availability_source"]) == ("online", "birth")
        assert told["availability_since_ms"] == device.availability_since_us // 1000 == NOW_US // 1000


def test_a_device_is_there_from_when_it_was_first_seen_to_when_it_was_removed() -> None:
    with kept() as one:
        times: dict[str, int] = {"before": one.now_us - S}
        one.says("d", m=1)
        one.flush()
        times["there"] = one.now_us
        one.now_us += 10 * S
        one.fleet.remove("native", "d")
        one.flush()
        times["gone"] = one.now_us
        one.now_us += 10 * S
        one.says("d", k=5)
        one.flush()
        times["back"] = one.now_us
        told = {}
        for name, at_us in times.items():
            moment = one.moment(at_us)
            told[name] = describe_moment(moment.catalog, moment.state, moment.availability, at_us)
        assert told["before"] == told["gone"] == {"devices": [], "series": []}
        assert [series["metric"] for series in told["there"]["series"]] == ["m"]
        # It came back as another: what the first of that name measured is not its own.
        assert [series["metric"] for series in told["back"]["series"]] == ["k"]
        assert told["back"]["devices"][0]["first_seen_ms"] == times["back"] // 1000


def test_of_a_metric_whose_kind_changed_each_time_shows_the_series_of_that_time() -> None:
    with kept() as one:
        one.says("d", m="open")
        one.flush()
        first_us = one.now_us
        one.now_us += S
        one.describes("d", metrics={"m": MetricInfo(kind=Kind.NUMBER)})
        one.flush()
        one.now_us += S
        one.says("d", m=4)
        one.flush()
        for at_us, series_id, value in ((first_us, 0, "open"), (first_us + S, 0, "open"), (one.now_us, 1, 4)):
            moment = one.moment(at_us)
            (told,) = describe_moment(moment.catalog, moment.state, moment.availability, at_us)["series"]
            assert (told["series_id"], told["value"]) == (series_id, value)


def test_only_the_devices_that_are_asked_for() -> None:
    with kept() as one:
        for device in "abc":
            one.says(device, m=1, n=2)
        one.flush()
        moment = one.moment()
        told = describe_moment(moment.catalog, moment.state, moment.availability, one.now_us, device_ids=["b", "x"])
        assert [device["device_id"] for device in told["devices"]] == ["b"]
        assert {series["device_id"] for series in told["series"]} == {"b"}
        assert len(told["series"]) == 2


def test_readings_from_before_a_device_was_first_heard_show_it_then() -> None:
    """It had measured before it could send."""
    with kept() as one:
        one.says("d", m=1, time_us=NOW_US - 100 * S)
        one.flush()
        at_us = NOW_US - 50 * S
        moment = one.moment(at_us)
        told = describe_moment(moment.catalog, moment.state, moment.availability, at_us)
        assert [series["value"] for series in told["series"]] == [1]
        assert [device["device_id"] for device in told["devices"]] == ["d"]


def test_records_of_an_earlier_program_that_say_little_are_described_all_the_same() -> None:
    catalog = Catalog({"d": DeviceRecord("d", {})}, {4: SeriesRecord(4, "d", "m", "number", (), {})}, 5)
    state = State(np.array([4], np.uint32), np.array([NOW_US]), np.array([1.5]), 0)
    told = describe_moment(catalog, state, [], NOW_US)
    assert told["devices"][0]["availability"] == "unknown"
    assert told["series"][0]["value"] == 1.5
    assert current_series(catalog, state, NOW_US) == {4: Reading(NOW_US, 1.5)}
    assert present_series(catalog, state) == {4: Reading(NOW_US, 1.5)}
    gone = Event(NOW_US, AVAILABILITY, "d", {"availability": REMOVED})
    assert describe_moment(catalog, state, [gone], NOW_US) == {"devices": [], "series": []}
