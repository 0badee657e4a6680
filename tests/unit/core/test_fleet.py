"""The last known state: births, kinds, texts, clocks, availability, removal, limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.model import (
    Availability,
    AvailabilityChange,
    CommandInfo,
    Description,
    Kind,
    MetricInfo,
    Readings,
    Reason,
    TimeFlag,
    Value,
)
from bridge.core.series import Device, Series

NOW_US = 1_767_225_600_000_000
S = 1_000_000
SUSPECT = TimeFlag.CLOCK_SUSPECT


class World:
    """A fleet, and short words for what happens to it."""

    def __init__(self, **limits: Any) -> None:
        self.counters = Counters()
        self.fleet = Fleet(FleetLimits(**limits), self.counters)

    def says(self, device: str, at_us: int = NOW_US, *, convention: str = "native", **values: Value) -> None:
        self.observe(Readings(device, list(values.items())), at_us, convention=convention)

    def observe(
        self, readings: Readings, at_us: int = NOW_US, *, convention: str = "native", retained: bool = False
    ) -> None:
        self.fleet.observe_readings(convention, "mqtt", readings, at_us, retained=retained)

    def describes(self, device: str, at_us: int = NOW_US, **fields: Any) -> None:
        self.fleet.observe_description("native", "mqtt", Description(device, **fields), at_us)

    def availability(self, device: str, availability: Availability, at_us: int = NOW_US, source: str = "lwt") -> None:
        self.fleet.observe_availability("native", "mqtt", AvailabilityChange(device, availability, source), at_us)

    def device(self, device_id: str) -> Device:
        return self.fleet.devices[device_id]

    def series(self, device_id: str, metric: str) -> Series:
        return self.device(device_id).series[metric]

    def latest(self, device_id: str, metric: str) -> dict[str, Any]:
        self.fleet.take_batch(NOW_US)
        return self.fleet.latest.describe(self.series(device_id, metric))

    def readings(self) -> list[tuple[int, int, float]]:
        batch = self.fleet.take_batch(NOW_US)
        return [] if batch is None else list(zip(*(column.tolist() for column in batch[:3]), strict=True))

    def changed(self) -> list[str]:
        return [device.device_id for device in self.fleet.take_changes().devices]


@pytest.fixture
def world() -> World:
    return World()


# ----- births and descriptions ------------------------------------------------------------------------------


def test_a_device_is_born_with_its_first_reading(world: World) -> None:
    world.says("d", temperature=21.5)

    changes = world.fleet.take_changes()
    assert [device.device_id for device in changes.devices] == ["d"]
    assert [series.metric for series in changes.series] == ["temperature"]
    device = world.device("d")
    assert (device.name, device.convention, device.source) == ("d", "native", "mqtt")
    assert (device.first_seen_us, device.last_seen_us) == (NOW_US, NOW_US)
    assert device.availability is Availability.ONLINE
    assert world.readings() == [(0, NOW_US, 21.5)]
    assert not world.fleet.take_changes()  # told once


def test_a_second_reading_is_no_news(world: World) -> None:
    world.says("d", x=1)
    world.fleet.take_changes()
    world.says("d", NOW_US + S, x=2)
    assert not world.fleet.take_changes()


def test_a_reading_has_the_devices_time_or_else_the_receive_time(world: World) -> None:
    world.observe(Readings("d", [("x", 1)], time_us=NOW_US - 5 * S))
    world.observe(Readings("d", [("x", 2)]), NOW_US + S)
    assert [time_us for _, time_us, _ in world.readings()] == [NOW_US - 5 * S, NOW_US + S]


def test_a_description_before_the_first_reading(world: World) -> None:
    world.describes(
        "d",
        name="Boiler",
        model="B1",
        area="Hall 2",
        metrics={"on": MetricInfo(kind=Kind.BOOLEAN)},
        commands={"reboot": CommandInfo()},
    )
    assert world.device("d").availability is Availability.UNKNOWN  # a retained description is no sign of life
    assert world.device("d").last_seen_us == 0
    assert world.latest("d", "on")["value"] is None

    world.says("d", on=1)
    assert world.latest("d", "on")["value"] is True
    assert world.device("d").summary()["name"] == "Boiler"


def test_a_description_after_the_first_readings_keeps_series_and_values(world: World) -> None:
    world.says("d", temperature=21.5)
    world.fleet.take_batch(NOW_US)
    world.fleet.take_changes()
    before = world.series("d", "temperature")

    world.describes("d", name="Boiler", metrics={"temperature": MetricInfo(unit="°C", kind=Kind.NUMBER)})

    changes = world.fleet.take_changes()
    assert (changes.devices, changes.series) == ([world.device("d")], [before])
    told = world.latest("d", "temperature")
    assert (told["value"], told["unit"], told["unit_source"]) == (21.5, "°C", "declared")


def test_a_new_description_replaces_name_and_commands_but_no_metric(world: World) -> None:
    world.describes("d", name="Old", sw_version="1", commands={"a": CommandInfo()}, metrics={"x": MetricInfo()})
    world.describes("d", commands={"b": CommandInfo()})
    device = world.device("d")
    assert (device.name, device.sw_version, list(device.commands), list(device.series)) == ("d", "", ["b"], ["x"])


def test_units_may_come_with_the_readings(world: World) -> None:
    world.observe(Readings("d", [("t", 1.0)], units={"t": MetricInfo(unit="K", unit_source="inferred")}))
    assert world.latest("d", "t")["unit"] == "K"
    world.fleet.take_changes()
    world.observe(Readings("d", [("t", 2.0)], units={"t": MetricInfo(unit="K", unit_source="inferred")}))
    assert not world.fleet.take_changes()


# ----- kinds, values, texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([21.5], "number", 21.5),
        ([3], "number", 3),
        ([True], "boolean", True),
        (["open"], "text", "open"),
        ([None], "unknown", None),
        ([None, 4], "number", 4),
        ([True, 0], "boolean", False),
        ([True, 1.0], "boolean", True),
        ([True, 7], "number", 7),  # "on" was a first guess
        ([5, True], "number", 1),
        ([5, False], "number", 0),
        (["open", 3], "text", "3"),
        (["open", 2.5], "text", "2.5"),
        (["open", True], "text", "true"),
        (["open", None], "text", None),
        ([5, "open"], "number", None),
        ([True, "open"], "boolean", None),
        ([2**53], "number", 2.0**53),
        ([2**70], "number", 2.0**70),
        ([-(2**70)], "number", -(2.0**70)),
        ([10**400], "number", None),
    ],
)
def test_the_kind_follows_the_first_value(world: World, values: list[Value], kind: str, told: Value) -> None:
    for number, value in enumerate(values):
        world.observe(Readings("d", [("m", value)]), NOW_US + number)
    latest = world.latest("d", "m")
    assert (latest["kind"], latest["value"]) == (kind, told)
    assert type(latest["value"]) is type(told)
    assert latest["quality"] == ("bad" if told is None else "good")


@pytest.mark.parametrize(
    ("declared", "value", "told"),
    [
        (Kind.NUMBER, True, 1),
        (Kind.NUMBER, "open", None),
        (Kind.BOOLEAN, 1, True),
        (Kind.BOOLEAN, 2, None),
        (Kind.BOOLEAN, 0.5, None),
        (Kind.BOOLEAN, "on", None),
        (Kind.TEXT, 5, "5"),
        (Kind.TEXT, False, "false"),
        (Kind.TEXT, "x", "x"),
    ],
)
def test_a_declared_kind_does_not_follow_the_values(world: World, declared: Kind, value: Value, told: Value) -> None:
    world.describes("d", metrics={"m": MetricInfo(kind=declared)})
    world.says("d", m=value)
    latest = world.latest("d", "m")
    assert (latest["kind"], latest["value"]) == (declared, told)
    assert world.counters.rejected == ({Reason.KIND_CHANGED: 1} if told is None else {})


def test_integers_beyond_doubles_are_counted(world: World) -> None:
    world.says("d", exact=2**53 - 1, a=2**53, b=2**70, c=10**400)
    assert world.counters.inexact == 3
    assert world.counters.rejected == {Reason.OUT_OF_RANGE: 1}
    assert [value for _, _, value in world.readings()][:3] == [2.0**53 - 1, 2.0**53, 2.0**70]


def test_a_kind_that_a_description_changes_forgets_what_the_old_numbers_meant(world: World) -> None:
    """The common start: telemetry and the retained description arrive together, and the guess was wrong."""
    world.says("d", m="unavailable")  # a text: its number is an index
    old_id = world.fleet.devices["d"].series["m"].series_id
    world.describes("d", metrics={"m": MetricInfo(kind=Kind.NUMBER)})
    latest = world.latest("d", "m")
    assert latest["series_id"] != old_id  # what remembers the old numbers must not read them as values
    assert old_id not in world.fleet.series
    assert (latest["kind"], latest["value"], latest["quality"]) == ("number", None, "stale")  # and not 0
    assert world.counters.rejected == {Reason.KIND_CHANGED: 1}
    assert world.fleet.latest.take_dirty(NOW_US) is None

    world.says("d", m=4.5)
    assert world.latest("d", "m")["value"] == 4.5


def test_a_kind_change_forgets_the_applied_value_too(world: World) -> None:
    world.says("d", m="on", other=1)
    world.fleet.take_batch(NOW_US)
    world.says("d", m="off", other=2)
    world.describes("d", metrics={"m": MetricInfo(kind=Kind.BOOLEAN)})
    assert world.latest("d", "m")["value"] is None
    assert world.latest("d", "other")["value"] == 2  # of the others nothing is dropped


def test_texts_are_numbered_in_order_of_appearance(world: World) -> None:
    for number, text in enumerate(["a", "b", "a", "", "b"]):
        world.says("d", NOW_US + number, m=text)
    assert world.series("d", "m").texts == ["a", "b", ""]
    assert [value for _, _, value in world.readings()] == [0, 1, 0, 2, 1]


def test_a_new_text_is_a_change_a_known_one_is_not(world: World) -> None:
    world.says("d", m="a")
    world.fleet.take_changes()
    world.says("d", NOW_US + 1, m="a")
    assert not world.fleet.take_changes()
    world.says("d", NOW_US + 2, m="b")
    assert world.fleet.take_changes().series == [world.series("d", "m")]


def test_texts_are_limited_and_what_is_too_much_is_counted() -> None:
    world = World(max_texts_per_metric=3)
    for number in range(10):
        world.says("d", NOW_US + number, m=f"text {number}")
    assert len(world.series("d", "m").texts) == 3
    assert world.counters.rejected == {Reason.TOO_MANY_TEXTS: 7}
    assert world.latest("d", "m")["value"] is None  # not the wrong text
    world.says("d", NOW_US + 20, m="text 1")
    assert world.latest("d", "m")["value"] == "text 1"


values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@given(st.lists(st.lists(st.tuples(st.sampled_from(["a", "b", "__proto__"]), values), max_size=4), max_size=10))
@settings(max_examples=50, deadline=None)
def test_any_values_give_columns_of_equal_length_and_a_snapshot_that_can_be_told(
    messages: list[list[tuple[str, Value]]],
) -> None:
    world = World(max_texts_per_metric=4)
    count = 0
    for number, message in enumerate(messages):
        world.observe(Readings("d", message), NOW_US + number)
        count += len(message)
    batch = world.fleet.take_batch(NOW_US)
    assert (0 if batch is None else len(batch)) == count == world.counters.readings
    for series in world.fleet.series.values():
        told = world.fleet.latest.describe(series)
        value = told["value"]
        assert value is None or isinstance(value, {"number": int | float, "boolean": bool, "text": str}[told["kind"]])
        assert not isinstance(value, float) or math.isfinite(value)
        assert len(series.texts) == len(series.text_codes) <= 4


# ----- retained values --------------------------------------------------------------------------------------


def test_a_retained_reading_is_shown_as_stale_and_is_never_a_reading(world: World) -> None:
    world.observe(Readings("d", [("t", 20.0), ("s", "open")]), retained=True)
    assert world.readings() == []
    assert world.counters.retained == 2
    device = world.device("d")
    assert (device.availability, device.last_seen_us) == (Availability.UNKNOWN, 0)
    told = world.latest("d", "t")
    assert (told["value"], told["quality"], told["time_ms"]) == (20, "stale", None)
    assert world.latest("d", "s")["value"] == "open"

    world.says("d", NOW_US + S, t=21.0)
    assert (world.latest("d", "t")["value"], world.latest("d", "t")["quality"]) == (21, "good")

    world.fleet.take_changes()
    world.observe(Readings("d", [("t", 20.0)]), NOW_US + 2 * S, retained=True)  # the broker sends it again
    assert world.latest("d", "t")["value"] == 21
    assert not world.fleet.take_changes()


def test_late_readings_are_counted_and_not_shown(world: World) -> None:
    world.says("d", x=1)
    world.fleet.take_batch(NOW_US)
    world.observe(Readings("d", [("x", 2)], time_us=NOW_US - 3600 * S, time_flag=TimeFlag.LATE), NOW_US + S)
    assert world.readings() == [(0, NOW_US - 3600 * S, 2.0)]  # kept
    assert world.latest("d", "x")["value"] == 1
    assert world.counters.late == 1


# ----- clocks -----------------------------------------------------------------------------------------------


def test_a_clock_is_suspect_while_it_is_wrong(world: World) -> None:
    world.observe(Readings("d", [("x", 1)], time_flag=SUSPECT))
    assert world.device("d").clock_suspect
    assert world.counters.clock_suspect == 1
    assert world.readings() == [(0, NOW_US, 1.0)]
    assert world.changed() == ["d"]

    world.observe(Readings("d", [("x", 2)], time_flag=SUSPECT), NOW_US + S)
    assert world.counters.clock_suspect == 2
    assert world.changed() == []


@pytest.mark.parametrize("time_us", [None, NOW_US + S, NOW_US - 3600 * S])
def test_a_clock_is_trusted_again_once_it_is_right(world: World, time_us: int | None) -> None:
    world.observe(Readings("d", [("x", 1)], time_flag=SUSPECT))
    world.fleet.take_changes()
    world.observe(Readings("d", [("x", 2)], time_us=time_us), NOW_US + S)
    assert not world.device("d").clock_suspect
    assert world.changed() == ["d"]


# ----- availability -----------------------------------------------------------------------------------------


def test_offline_by_last_will_then_a_live_message_is_online(world: World) -> None:
    world.says("d", x=1)
    world.availability("d", Availability.OFFLINE, NOW_US + S)
    device = world.device("d")
    assert (device.availability, device.availability_source) == (Availability.OFFLINE, "lwt")
    assert device.availability_since_us == NOW_US + S
    world.fleet.take_changes()

    world.says("d", NOW_US + 2 * S, x=2)
    assert (device.availability, device.availability_source) == (Availability.ONLINE, "derived")
    assert world.changed() == ["d"]


def test_a_sign_of_life_is_one(world: World) -> None:
    world.fleet.observe_life("native", "mqtt", "d", NOW_US)
    assert world.device("d").availability is Availability.ONLINE
    assert world.device("d").last_seen_us == NOW_US
    assert world.readings() == []


def talk(world: World, count: int, every_us: int, start_us: int = NOW_US) -> int:
    """The device `d` speaks regularly, with ticks between; the time of its last message."""
    at_us = start_us
    for number in range(count):
        at_us = start_us + number * every_us
        world.fleet.tick(at_us - 1)
        world.says("d", at_us, x=number)
    return at_us


def stale_at(world: World, from_us: int, step_us: int = S, limit: int = 100_000) -> int:
    """When `d` becomes stale, ticking once a second."""
    for number in range(limit):
        at_us = from_us + number * step_us
        world.fleet.tick(at_us)
        if world.device("d").availability is Availability.STALE:
            return at_us
    raise AssertionError("it never became stale")


@pytest.mark.parametrize(
    ("count", "every_s", "expected_s"),
    [
        (1, 0, 300),  # one message: the usual interval is not known
        (2, 1, 30),  # fast: never before the minimum
        (10, 1, 30),
        (10, 6, 30),
        (10, 60, 300),  # five of its intervals
        (10, 600, 3000),
        (3, 3600, 18_000),
    ],
)
def test_silence_becomes_stale_after_the_right_time(world: World, count: int, every_s: int, expected_s: int) -> None:
    last_us = talk(world, count, every_s * S)
    world.fleet.take_changes()

    assert stale_at(world, last_us) == last_us + expected_s * S

    device = world.device("d")
    assert device.availability_source == "timeout"
    assert world.changed() == ["d"]
    world.says("d", last_us + 10**10, x=1)
    assert device.availability is Availability.ONLINE


def test_a_device_that_becomes_faster_is_stale_sooner(world: World) -> None:
    last_us = talk(world, 5, 3600 * S)
    last_us = talk(world, 200, S, last_us + S)
    assert stale_at(world, last_us) <= last_us + 35 * S


def test_a_device_that_was_told_online_but_never_speaks_is_stale_in_the_end(world: World) -> None:
    world.availability("d", Availability.ONLINE, source="birth")
    assert stale_at(world, NOW_US) == NOW_US + 300 * S


def test_who_is_offline_or_unknown_does_not_become_stale(world: World) -> None:
    world.says("off", x=1)
    world.availability("off", Availability.OFFLINE)
    world.describes("silent")
    for hour in range(48):
        world.fleet.tick(NOW_US + hour * 3600 * S)
    assert world.device("off").availability is Availability.OFFLINE
    assert world.device("silent").availability is Availability.UNKNOWN


def test_a_flapping_device_does_not_grow_the_watch_and_is_still_watched(world: World) -> None:
    for number in range(10_000):
        at_us = NOW_US + number * 1000
        world.availability("d", Availability.ONLINE, at_us)
        world.availability("d", Availability.OFFLINE, at_us + 500)
    world.availability("d", Availability.ONLINE, NOW_US + 10 * S)
    assert len(world.fleet._silence) <= 1
    assert stale_at(world, NOW_US + 10 * S) == NOW_US + 310 * S


def test_devices_that_come_and_go_leave_nothing_in_the_watch(world: World) -> None:
    for number in range(1_000):
        at_us = NOW_US + number * S
        world.says(f"d{number}", at_us, x=1)
        world.fleet.remove("native", f"d{number}")
        world.fleet.tick(at_us)
        assert len(world.fleet._silence) <= 32
    assert not world.fleet.devices
    assert not world.fleet.series


def test_a_clock_that_is_set_back_does_not_disturb_the_interval(world: World) -> None:
    last_us = talk(world, 10, 60 * S)
    world.says("d", last_us - 3600 * S, x=1)  # an hour back
    assert world.device("d").interval_us >= 0
    last_us = talk(world, 20, 60 * S, last_us - 3600 * S + 60 * S)
    world.fleet.tick(last_us + 150 * S)
    assert world.device("d").availability is Availability.ONLINE


steps = st.lists(
    st.tuples(
        st.sampled_from(["speak", "online", "offline", "remove", "tick"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 400),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=100, deadline=None)
def test_staleness_is_exactly_what_a_full_scan_would_find(actions: list[tuple[str, str, int]]) -> None:
    world = World()
    limits = FleetLimits()
    at_us = NOW_US
    for action, name, seconds in actions:
        at_us += seconds * S
        expected = {}
        for device_id, device in world.fleet.devices.items():
            since = max(device.last_seen_us, device.availability_since_us)
            patience = (
                max(limits.stale_min_us, int(device.interval_us * limits.stale_factor))
                if device.interval_us
                else limits.stale_default_us
            )
            is_stale = device.availability is Availability.ONLINE and since + patience <= at_us
            expected[device_id] = Availability.STALE if is_stale else device.availability
        world.fleet.tick(at_us)
        assert {i: device.availability for i, device in world.fleet.devices.items()} == expected
        if action == "speak":
            world.says(name, at_us, x=1)
        elif action == "remove":
            world.fleet.remove("native", name)
        elif action != "tick":
            world.availability(name, Availability(action), at_us)


# ----- removal, clashes, limits -----------------------------------------------------------------------------


def test_a_removed_device_is_told_and_forgotten(world: World) -> None:
    world.says("d", x=1)
    world.fleet.take_batch(NOW_US)
    world.fleet.take_changes()
    world.says("d", NOW_US + 1, x=2, y=3)

    world.fleet.remove("native", "d")

    changes = world.fleet.take_changes()
    assert (changes.devices, changes.removed, changes.series) == ([], ["d"], [])
    assert not world.fleet.devices
    assert not world.fleet.series
    assert world.readings() == []  # nobody could tell what they belong to
    assert world.fleet.latest.take_dirty(NOW_US) is None
    assert world.fleet.find("native", "d") is None
    world.fleet.remove("native", "d")  # twice is fine
    assert not world.fleet.take_changes()


def test_a_device_that_comes_back_has_new_series_and_the_old_ones_are_told_gone(world: World) -> None:
    world.says("d", x=1)
    world.fleet.take_changes()
    old = world.series("d", "x")

    world.fleet.remove("native", "d")
    world.says("d", NOW_US + S, x=2)  # before anybody was told of the removal

    changes = world.fleet.take_changes()
    assert changes.removed == ["d"]
    assert [device.device_id for device in changes.devices] == ["d"]
    assert world.series("d", "x").series_id > old.series_id
    assert changes.series == [world.series("d", "x")]


def test_two_conventions_may_use_one_id(world: World) -> None:
    world.says("d", x=1)
    world.says("d", x=2, convention="plain")
    assert set(world.fleet.devices) == {"d", "plain:d"}
    assert world.device("plain:d").native_id == "d"
    assert world.latest("d", "x")["value"] == 1
    assert world.latest("plain:d", "x")["value"] == 2


def test_an_id_that_looks_like_a_clash_cannot_take_over(world: World) -> None:
    world.says("d", x=1)
    world.says("plain:d", x=2)
    world.says("d", x=3, convention="plain")
    assert set(world.fleet.devices) == {"d", "plain:d"}
    assert world.latest("plain:d", "x")["value"] == 2
    assert world.counters.rejected == {Reason.INVALID_NAME: 1}


def test_devices_are_limited_and_what_is_too_much_is_counted() -> None:
    world = World(max_devices=2)
    for name in ("a", "b", "c", "c"):
        world.says(name, x=1)
    world.describes("e")
    world.availability("f", Availability.ONLINE)
    world.fleet.observe_life("native", "mqtt", "g", NOW_US)
    assert set(world.fleet.devices) == {"a", "b"}
    assert world.counters.rejected == {Reason.TOO_MANY_DEVICES: 5}
    world.fleet.remove("native", "a")
    world.says("c", x=1)
    assert set(world.fleet.devices) == {"b", "c"}


def test_metrics_are_limited_and_what_is_too_much_is_counted() -> None:
    world = World(max_metrics_per_device=2)
    world.says("d", a=1, b=2, c=3, d=4)
    world.says("other", a=1)
    world.describes("d", metrics={"e": MetricInfo()})
    world.observe(Readings("d", [("f", 1)]), retained=True)
    assert list(world.device("d").series) == ["a", "b"]
    assert world.counters.rejected == {Reason.TOO_MANY_METRICS: 4}
    assert len(world.readings()) == 3


@pytest.mark.parametrize("name", ["__proto__", "constructor", "", "a/b", "../x", "\u202e", "\0", "#", "💥"])
def test_hostile_names_are_just_names(world: World, name: str) -> None:
    world.observe(Readings(name, [(name, name)]))
    told = world.latest(name, name)
    assert (told["device_id"], told["metric"], told["texts"], told["value"]) == (name, name, [name], name)


def test_thousands_of_series_fit(world: World) -> None:
    for number in range(3_000):
        world.says(f"d{number}", x=number)
    batch = world.fleet.take_batch(NOW_US)
    assert batch is not None
    assert batch.values.tolist() == list(range(3_000))
    assert world.latest("d2999", "x")["value"] == 2_999
