"""What comes together for the history between two flushes, and what of a change is worth remembering."""

from __future__ import annotations

from typing import Any, cast

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.model import Availability, AvailabilityChange, Description, Kind, MetricInfo, Readings
from bridge.history.events import AVAILABILITY, NOTE, Event
from bridge.history.feed import Feed
from bridge.history.journal import Entry
from bridge.history.recorder import Recorder
from bridge.history.scribe import Scribe
from tests.unit.history.kept import NOW_US, S


class Taken:
    """Stands where the recorder stands, and keeps what it is given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.record = self.entries.append


def a_fleet() -> Fleet:
    return Fleet(FleetLimits(), Counters())


def says(fleet: Fleet, device: str, now_us: int = NOW_US, **values: Any) -> None:
    fleet.observe_readings("native", "mqtt", Readings(device, list(values.items())), now_us)


def feed_for(fleet: Fleet) -> tuple[Feed, list[Entry]]:
    taken = Taken()
    return Feed(cast(Recorder, taken), fleet), taken.entries


# ----- the scribe -----------------------------------------------------------------------------------------


def test_who_comes_and_goes_is_an_event_each_time_and_once() -> None:
    fleet = a_fleet()
    scribe = Scribe(fleet)
    told: list[tuple[int, str, str]] = []

    def write(now_us: int) -> None:
        births, events = scribe.write(fleet.take_changes(), now_us)
        assert all(event.kind == AVAILABILITY and event.time_us == now_us for event in events)
        told.extend((now_us, event.data["availability"], event.data["source"]) for event in events)
        assert all(record.device_id == "d" for record in births.devices)

    says(fleet, "d", m=1)
    write(1)
    says(fleet, "d", m=2)
    write(2)  # nothing new
    fleet.observe_availability("native", "mqtt", AvailabilityChange("d", Availability.OFFLINE), NOW_US + S)
    write(3)
    fleet.observe_description("native", "mqtt", Description("d", "Name"), NOW_US + S)
    write(4)  # a name, but nobody came or went
    fleet.remove("native", "d")
    write(5)
    says(fleet, "d", NOW_US + 2 * S, m=1)
    write(6)
    assert told == [
        (1, "online", "derived"), (3, "offline", "lwt"), (5, "removed", "derived"), (6, "online", "derived"),
    ]  # fmt: skip


def test_gone_and_back_within_one_flush_is_told_in_that_order() -> None:
    fleet = a_fleet()
    scribe = Scribe(fleet)
    says(fleet, "d", m=1)
    scribe.write(fleet.take_changes(), 1)
    fleet.remove("native", "d")
    says(fleet, "d", m=1)
    births, events = scribe.write(fleet.take_changes(), 2)
    assert [event.data["availability"] for event in events] == ["removed", "online"]
    assert [record.series_id for record in births.series] == [1]


def test_a_scribe_that_begins_with_a_revived_fleet_says_nothing_of_what_is_known() -> None:
    fleet = a_fleet()
    says(fleet, "d", m=1)
    fleet.take_changes()
    scribe = Scribe(fleet)
    fleet.observe_description("native", "mqtt", Description("d", "Name"), NOW_US)
    births, events = scribe.write(fleet.take_changes(), 2)
    assert events == []
    assert [record.info["name"] for record in births.devices] == ["Name"]


def test_births_hold_what_is_needed_to_read_the_past() -> None:
    fleet = a_fleet()
    scribe = Scribe(fleet)
    says(fleet, "d", t="open")
    info = MetricInfo("Temperature", Kind.NUMBER, "°C", "declared", -20, 60, 1)
    fleet.observe_description("native", "mqtt", Description("d", metrics={"m": info}), NOW_US)
    births, _ = scribe.write(fleet.take_changes(), 1)
    text, number = sorted(births.series, key=lambda record: record.metric, reverse=True)
    assert (text.kind, text.texts) == ("text", ("open",))
    assert (number.kind, number.metric, number.info["unit"], number.info["max"]) == ("number", "m", "°C", 60)
    says(fleet, "d", t="shut")
    births, _ = scribe.write(fleet.take_changes(), 2)
    assert [record.texts for record in births.series] == [("open", "shut")]


# ----- the feed -------------------------------------------------------------------------------------------


def test_all_between_two_flushes_is_one_entry() -> None:
    fleet = a_fleet()
    feed, entries = feed_for(fleet)
    says(fleet, "d", m=1)
    feed.change(fleet.take_changes(), NOW_US)
    feed.log(1, b"device", is_frame=False)
    feed.log(2, b"frame", is_frame=True)
    feed.log(3, b"frame too", is_frame=True)
    feed.happen(Event(NOW_US, NOTE, "", {"note_id": 1}))
    feed.hand_over(3, NOW_US, 5, "token")
    (one,) = entries
    assert (one.offset, one.now_us, one.readings, one.token) == (3, NOW_US, 5, "token")
    assert one.frames == (b"frame", b"frame too")
    assert one.messages == ((1, b"device"),)
    assert one.births is not None
    assert [record.device_id for record in one.births.devices] == ["d"]
    assert [event.kind for event in one.events] == [AVAILABILITY, NOTE]


def test_an_entry_holds_nothing_of_the_one_before() -> None:
    feed, entries = feed_for(a_fleet())
    feed.log(1, b"frame", is_frame=True)
    feed.happen(Event(NOW_US, NOTE, "", {}))
    feed.hand_over(1, NOW_US, 1)
    feed.log(2, b"second", is_frame=True)
    feed.hand_over(2, NOW_US, 1)
    second = entries[1]
    assert (second.frames, second.messages, second.births, second.events) == ((b"second",), (), None, ())


def test_nothing_is_no_entry_but_a_token_alone_is_one() -> None:
    feed, entries = feed_for(a_fleet())
    feed.hand_over(7, NOW_US)
    assert entries == []
    feed.hand_over(7, NOW_US, 0, [])
    assert len(entries) == 1  # an empty list of tokens is one all the same: the caller says None
    feed.hand_over(7, NOW_US, 0, ["t"])
    assert entries[1].token == ["t"]


def test_changes_of_several_flushes_come_together_in_order() -> None:
    fleet = a_fleet()
    feed, entries = feed_for(fleet)
    for number, device in enumerate("abc"):
        says(fleet, device, m=1)
        feed.change(fleet.take_changes(), NOW_US + number)
    feed.hand_over(0, NOW_US)
    births = entries[0].births
    assert births is not None
    assert [record.device_id for record in births.devices] == ["a", "b", "c"]
    assert [record.series_id for record in births.series] == [0, 1, 2]
