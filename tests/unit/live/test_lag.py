"""A dashboard that falls behind: what it gets instead, when, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.model import Description
from bridge.live.hub import LiveLimits
from tests.unit.live.helpers import NOW_US, Client, Plane, S
from tests.unit.live.test_resume import Dashboard, Journal

MS = 1_000


@pytest.fixture
def plane() -> Plane:
    plane = Plane()
    plane.says("a", n=0)
    plane.flush()
    plane.flush_fleet()
    return plane


def slow(plane: Plane, channel: str = "log", *, binary: bool = False, **fields: Any) -> Client:
    """A dashboard that has read everything so far, and reads nothing from now on."""
    client = plane.client(binary=binary)
    client.subscribes(channel, **fields)
    plane.tick()
    client.inbox()
    client.reads = False
    return client


def publish(plane: Plane, *values: float, device: str = "a") -> None:
    for value in values:
        plane.now_us += MS
        plane.says(device, n=value)
        plane.flush()
        plane.flush_fleet()


def catch_up(plane: Plane, client: Client) -> list[dict[str, Any]]:
    client.reads = True
    plane.tick()
    return [m for m in client.inbox() if m["type"] != "presence"]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("channel", ["fleet", "log", "device/a"])
def test_it_gets_smallest_largest_and_newest_then_everything_again(plane: Plane, channel: str, binary: bool) -> None:
    client = slow(plane, channel, binary=binary)
    offset = next(c for c in plane.hub._channels.values() if c.name == channel).offset
    publish(plane, 5, 99, 7, -3, 6)
    plane.tick()
    assert client.packets == []  # nothing while it does not read
    lag, merged = catch_up(plane, client)
    assert lag == {
        "type": "lag",
        "channel": channel,
        "after": offset,
        "offset": offset + 5,
        "messages": 5,
        "conflated": 2,
        "devices": [],
        "series": [],
    }
    assert (merged["type"], merged["merged"], merged["offset"]) == ("readings", True, offset + 5)
    unit = 1 if binary else 1000
    times = [(NOW_US + number * MS) // unit for number in (2, 4, 5)]
    assert merged["rows"] == [[0, time, value] for time, value in zip(times, (99, -3, 6), strict=True)]
    publish(plane, 1)
    assert [m["offset"] for m in client.inbox()] == [offset + 6]


def test_what_is_counted(plane: Plane) -> None:
    clients = [slow(plane), slow(plane, binary=True)]
    publish(plane, *range(10, 20))
    assert (plane.counters.lagged, plane.counters.merged) == (0, 0)
    plane.tick()
    publish(plane, *range(20, 30))
    for _ in range(3):
        plane.tick()  # nothing is counted twice
    for client in clients:
        assert catch_up(plane, client)[0]["conflated"] == 18
    counters = plane.counters
    assert (counters.lagged, counters.merged, counters.dropped) == (2, 36, 0)
    assert (counters.resumed, counters.not_resumed) == (0, 0)


def test_the_others_get_everything(plane: Plane) -> None:
    """A dashboard that is slow costs the others nothing, and another of its own channels neither."""
    fast = plane.client()
    fast.subscribes("log")
    fast.inbox()
    slow(plane)
    publish(plane, *range(1, 11))
    assert [m["rows"][0][2] for m in fast.inbox("readings")] == list(range(1, 11))


def test_what_changed_meanwhile_comes_with_the_lag_and_whole(plane: Plane) -> None:
    client = slow(plane)
    for number in range(3):
        plane.now_us += MS
        plane.says("new", mode=f"mode {number}")
        plane.flush()
    plane.fleet.observe_description("native", "mqtt", Description("a", name="Pump"), plane.now_us)
    plane.flush()
    lag, merged = catch_up(plane, client)
    assert {d["device_id"]: d["name"] for d in lag["devices"]} == {"new": "new", "a": "Pump"}
    assert [(s["texts_from"], s["texts"]) for s in lag["series"]] == [(0, ["mode 0", "mode 1", "mode 2"])]
    assert [row[2] for row in merged["rows"]] == ["mode 0", "mode 2"]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("returns", [True, False])
def test_a_device_that_went_takes_its_series_along_even_if_it_is_back(
    plane: Plane, returns: bool, binary: bool
) -> None:
    plane.says("a", old=1)
    plane.flush()
    plane.flush_fleet()
    dashboard = Dashboard("log", binary=binary, journal=Journal())
    dashboard.connect(plane)
    assert dashboard.client is not None
    dashboard.client.reads = False
    publish(plane, 1, 2)
    plane.fleet.remove("native", "a")
    plane.flush()
    if returns:
        publish(plane, 1, 2)
    dashboard.client.reads = True
    plane.tick()
    dashboard.read()
    assert dashboard.merged_frames == 1
    dashboard.knows_what_the_bridge_knows(plane)


def test_nothing_but_changes_is_a_lag_with_an_empty_frame(plane: Plane) -> None:
    client = slow(plane, binary=True)
    plane.fleet.observe_description("native", "mqtt", Description("a", name="Pump"), plane.now_us)
    plane.flush()
    lag, merged = catch_up(plane, client)
    assert (lag["messages"], lag["conflated"]) == (1, 0)
    assert (merged["merged"], merged["rows"], merged["offset"]) == (True, [], lag["offset"])


@pytest.mark.parametrize("binary", [True, False])
def test_who_breaks_off_before_the_merged_frame_resumes_where_it_was(plane: Plane, binary: bool) -> None:
    dashboard = Dashboard("log", binary=binary)
    dashboard.connect(plane)
    client = dashboard.client
    assert client is not None
    client.reads = False
    publish(plane, *range(1, 9))
    plane.tick()
    client.reads = True
    plane.tick()
    before = dashboard.offset
    dashboard.drop(2)  # presence, lag; the frame is lost on the way
    assert (dashboard.offset, dashboard.merged_frames) == (before, 0)
    dashboard.connect(plane)
    assert dashboard.snapshots == 1
    assert dashboard.counted == {0: 8}  # each of the eight, one by one
    assert plane.counters.resumed == 1


def test_who_leaves_while_it_is_behind_resumes_as_any_other(plane: Plane) -> None:
    dashboard = Dashboard("log", binary=False)
    dashboard.connect(plane)
    assert dashboard.client is not None
    dashboard.client.reads = False
    publish(plane, *range(1, 9))
    plane.tick()
    dashboard.drop()
    assert not any(channel.laggards for channel in plane.hub._channels.values())
    publish(plane, 9)
    dashboard.connect(plane)
    assert (dashboard.snapshots, dashboard.counted) == (1, {0: 9})
    assert plane.counters.lagged == 0


def test_unsubscribing_ends_the_lag(plane: Plane) -> None:
    client = slow(plane)
    publish(plane, 1, 2)
    assert client.says({"type": "unsubscribe", "id": "sub"}) == []
    client.reads = True
    plane.tick()
    publish(plane, 3)
    assert client.inbox("lag", "readings") == []


@pytest.mark.parametrize("channel", ["device/a", "log"])
def test_a_channel_with_nobody_but_slow_ones_stays_open(plane: Plane, channel: str) -> None:
    part = {"devices": ["a"]} if channel == "log" else {}
    witness = plane.client()
    witness.subscribes(channel, **part)
    client = slow(plane, channel, **part)
    publish(plane, 1)
    witness.leaves()
    for number in range(5):
        plane.now_us += 50 * S
        publish(plane, number)
        plane.tick()
    lag, merged = catch_up(plane, client)
    assert (lag["type"], lag["messages"]) == ("lag", 6)
    assert merged["rows"][-1][2] == 4


# ----- when it is too much ----------------------------------------------------------------------------------


def snapshot_instead(plane: Plane, client: Client, missed: int) -> None:
    messages = catch_up(plane, client)
    assert [m["type"] for m in messages if m["type"] != "recent"] == ["snapshot"]
    assert (messages[0]["id"], messages[0]["recovered"]) == ("sub", False)
    assert messages[0]["offset"] == plane.hub.log_channel.offset
    assert (plane.counters.dropped, plane.counters.lagged) == (missed, 0)  # one or the other, for each time
    publish(plane, 7)
    assert client.inbox()[0]["offset"] == messages[0]["offset"] + 1


def test_more_than_the_memory_for_it_is_a_snapshot_instead() -> None:
    plane = Plane(limits=LiveLimits(max_lag_bytes=16 * 20))
    plane.says("a", **{f"m{number}": 0 for number in range(10)})
    plane.flush()
    client = slow(plane)
    for value in (1, 2, 3, 2):
        plane.now_us += MS
        plane.says("a", **{f"m{number}": value for number in range(10)})
        plane.flush()
    plane.tick()
    lag = plane.hub.log_channel.laggards[client.session]
    assert lag.is_lost
    assert lag.batch is None  # nothing is held for it any more
    snapshot_instead(plane, client, 4)


def test_more_than_the_ring_holds_is_a_snapshot_instead() -> None:
    plane = Plane(limits=LiveLimits(ring_bytes=500))
    plane.says("a", n=1)
    plane.flush()
    client = slow(plane)
    publish(plane, *range(50))  # between two ticks
    snapshot_instead(plane, client, 50)
    assert plane.counters.merged == 0


def test_behind_for_longer_than_the_ring_holds_is_no_loss() -> None:
    """It is merged at every tick, so only what comes between two has to fit."""
    plane = Plane(limits=LiveLimits(ring_bytes=500))
    plane.says("a", n=1)
    plane.flush()
    client = slow(plane)
    for number in range(100):
        publish(plane, number)
        plane.tick()
    lag, merged = catch_up(plane, client)
    assert (lag["messages"], lag["conflated"]) == (100, 98)
    assert [row[2] for row in merged["rows"]] == [0, 99]


def test_readings_too_far_apart_for_one_frame_are_a_snapshot_instead(plane: Plane) -> None:
    client = slow(plane, binary=True)
    publish(plane, 1)
    plane.tick()
    plane.now_us += 72 * 60 * S
    publish(plane, 2)
    snapshot_instead(plane, client, 2)


def test_memory_for_a_slow_one_is_bounded_by_its_series(plane: Plane) -> None:
    client = slow(plane)
    for number in range(1_000):
        publish(plane, number % 17)
        if number % 10 == 0:
            plane.tick()
    lag = plane.hub.log_channel.laggards[client.session]
    assert lag.batch is not None
    assert len(lag.batch) <= 3


# ----- stats ------------------------------------------------------------------------------------------------


def test_stats_that_were_missed_are_told_as_missed_and_come_again(plane: Plane) -> None:
    client = slow(plane, "stats")
    for _ in range(3):
        plane.hub.publish_stats(plane.now_us)
    lag, merged = catch_up(plane, client)
    assert (lag["messages"], lag["conflated"], merged["rows"]) == (3, 0, [])
    plane.hub.publish_stats(plane.now_us)
    stats = client.inbox()[0]
    assert (stats["type"], stats["offset"]) == ("stats", lag["offset"] + 1)
    assert stats["counters"]["lagged"] == 1


def test_stats_are_numbered_and_may_be_resumed(plane: Plane) -> None:
    client = plane.client()
    snapshot = client.subscribes("stats")[0]
    assert (snapshot["recovered"], snapshot["counters"]["readings"]) == (False, 1)
    assert "devices" not in snapshot
    client.inbox()
    for _ in range(3):
        plane.now_us += 2 * S
        plane.hub.publish_stats(plane.now_us)
    told = client.inbox()
    assert [m["offset"] for m in told] == [snapshot["offset"] + number for number in (1, 2, 3)]
    assert [m["time_ms"] for m in told] == [(NOW_US + number * 2 * S) // 1000 for number in (1, 2, 3)]
    client.leaves()
    back = plane.client()
    again = back.subscribes("stats", epoch="e1", offset=told[0]["offset"])
    assert again[0]["recovered"] is True
    assert [m["offset"] for m in again[1:]] == [m["offset"] for m in told[1:]]
